"""The report's part on what changes bring together: the exam, and every stack measured."""

from transfer.belief.exam import Exam
from transfer.measure.trend import Z80
from transfer.report.findings import Findings
from transfer.report.page.html import esc, table
from transfer.units import interval, times


def exam_table(findings: Findings) -> str:
    """Show the head's measured gain by rung beside the sum of its parts."""
    exam = findings.exam
    if exam is None:
        return ""
    rows = []
    for effect in exam.effects:
        wide, told = Z80 * effect.gain_se, exam.claimed[effect.rung]
        span = interval(effect.gain - wide, effect.gain, effect.gain + wide)
        forecast = interval(told.low, told.mean, told.high)
        short = "short" if exam.is_short(effect) else ""
        rows.append([esc(effect.rung), span, forecast, str(effect.n), short])
    total, before = exam.total, exam.before
    rows.append(
        [
            f"at {esc(findings.ladder.target_name)}, claimed",
            interval(total.low, total.mean, total.high),
            interval(before.low, before.mean, before.high),
            "",
            f"odds {total.odds:.2f}",
        ]
    )
    head = ["", "together", "forecast", "runs", ""]
    caption = f"<figcaption>{esc(_words(exam))}</figcaption>"
    return f"<h2>Exam of the whole</h2>{caption}" + table(head, rows, numbers=(1, 2, 3))


def _words(exam: Exam) -> str:
    seeds = "fresh seeds" if exam.is_fresh else "the seeds it was chosen by"
    words = (
        f"{exam.base} with {', '.join(exam.arms)} against the first baseline, on {seeds}: what "
        "they are worth together in compute, 80 % intervals; last, what is claimed at the target "
        "with the exam and without."
    )
    if exam.ratio is None:
        return words
    return words + f" Exam ratio, measured over forecast: {exam.ratio:.2f}."


def shrinkage(exam: Exam) -> str:
    """Say how the exam moved the claim: ``claimed 1.34x before the exam, which left .81 of it``."""
    kept = "" if exam.kept is None else f", which left {exam.kept:.2f} of it"
    return f"claimed {times(exam.before.mean)} before the exam{kept}"


def stack_table(findings: Findings) -> str:
    """List the stacks with what they gained on each rung."""
    if not findings.stacks:
        return ""
    rungs = [rung.name for rung in findings.ladder.rungs]
    rows = []
    for row in findings.stacks:
        gains = {effect.rung: times(effect.gain) for effect in row.effects}
        outcome = str(row.verdict.outcome) if row.verdict else "in flight"
        cells = [gains.get(name, "") for name in rungs]
        members = " ".join(row.proposed.change.members)
        rows.append([esc(row.arm), esc(members), esc(row.proposed.base), *cells, esc(outcome)])
    head = ["stack", "members", "on", *(esc(name) for name in rungs), ""]
    return "<h3>Stacks</h3>" + table(head, rows, numbers=range(3, 3 + len(rungs)))
