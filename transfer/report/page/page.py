"""The report as one HTML file: no script, no reference outward, light and dark."""

from collections.abc import Mapping
from pathlib import Path

from transfer.audit.finding import Audit
from transfer.journal.counts import count_changes
from transfer.journal.spending import added
from transfer.report.findings import ChangeGroup, Findings, hit_interval
from transfer.report.page.changes import chapter, in_order, verdict_table
from transfer.report.page.exam_and_stacks import exam_table, shrinkage, stack_table
from transfer.report.page.forecasts import forecast_section
from transfer.report.page.html import esc, facts, inline, number, table, variables
from transfer.report.page.ladder_quality import audit_section
from transfer.report.page.proposers import account_section
from transfer.report.plots.axes import round_number
from transfer.report.plots.scaling_plot import scale_words
from transfer.report.text import box_words
from transfer.units import percent, times


def page(
    findings: Findings,
    figures: Mapping[str, str],
    *,
    audit: Audit | None = None,
    audit_words: str = "no audit was looked for",
    design_words: str = "",
) -> str:
    """Write the report.

    Parameters
    ----------
    figures
        SVG by name.
    audit, audit_words
        What was found of the ladder, and a line about it.
    """
    name = findings.state.started.name if findings.state.started else findings.ladder.name
    css = Path(__file__).with_name("page.css").read_text()
    parts = [
        f"<h1>{esc(name)}</h1>",
        f"<p class='quiet'>{esc(findings.ladder.about)}</p>" if findings.ladder.about else "",
        _headline(findings),
        exam_table(findings),
        _header(findings),
        _progress(figures),
        _scaling(findings, figures),
        _verdicts(findings, figures),
        stack_table(findings),
        forecast_section(findings, figures),
        account_section(findings),
        audit_section(audit, audit_words, figures, design=design_words),
        _changes(findings),
        _refused(findings),
        _footer(findings),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(name)}</title>\n<style>\n{variables()}{css}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _headline(findings: Findings) -> str:
    stack, target = findings.stack, esc(findings.ladder.target_name)
    if stack is None:
        words = "Nothing accepted" if findings.state.verdicts else "No verdict yet"
        n = len(findings.state.in_flight())
        judged = sum(row.verdict is not None for row in findings.rows)
        return (
            f'<div class="headline"><b>{words}</b>{judged} changes judged, '
            f"{n} in flight.</div>{_tiles(findings)}"
        )
    n = len(stack.arms)
    certified = sum(
        1
        for row in findings.of(ChangeGroup.ACCEPTED)
        if row.verdict and "certified" in row.verdict.outcome.value
    )
    exam = findings.exam if findings.is_examined else None
    look = stack if exam is None else exam.total
    said = " Gains measured apart are assumed to add up: not examined." if n > 1 else ""
    if exam is not None:
        said = f" Examined on fresh seeds: {shrinkage(exam)}." if exam.is_fresh else ""
    return (
        f'<div class="headline"><b class="won">{times(look.mean)} compute at {target}</b>'
        f"80 % interval {times(look.low)} to {times(look.high)}, odds of a gain "
        f"{look.odds:.2f}: {n} accepted ({certified} certified, {n - certified} provisional)."
        f"{said}</div>{_tiles(findings)}"
    )


def _tiles(findings: Findings) -> str:
    lowest = esc(findings.ladder.rungs[0].name)
    refuted, clear = findings.refuted, findings.refuted_clearly
    tiles = []
    if refuted:
        names = ", ".join(esc(row.arm) for row in refuted[:8])
        names += f" and {len(refuted) - 8} more" if len(refuted) > 8 else ""
        tiles.append(
            (
                f"{len(refuted)} better at {lowest}, refused",
                f"{names}: “lower, so keep” would have kept them; {len(clear)} of them won "
                "beyond noise there.",
            )
        )
    if findings.scored:
        n = len(findings.scored)
        low, high = hit_interval(findings.n_hits, n)
        tiles.append(
            (
                f"{findings.n_hits} of {n} forecasts hit",
                "80 % intervals, written down before the run; hit rate "
                f"{percent(findings.n_hits / n)} [{percent(low)}, {percent(high)}].",
            )
        )
    null_changes = findings.null_changes
    passed = sum(1 for row in null_changes if row.verdict and row.verdict.outcome.is_accepted)
    if null_changes:
        words = "Changes that change nothing, sent through everything: false positives as they are."
        tiles.append((f"{passed} of {len(null_changes)} null changes passed", words))
    counts = count_changes(findings.state)
    if counts.n_tried:
        words = " · ".join(word for word in (counts.words, counts.rescreen_words) if word)
        tiles.append((f"{counts.n_tried} changes", esc(words)))
    cells = "".join(f"<div><b>{big}</b>{small}</div>" for big, small in tiles)
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _header(findings: Findings) -> str:
    ladder, state = findings.ladder, findings.state
    objective = ladder.setting.objective
    better = "lower is better" if objective.is_minimized else "higher is better"
    spent = f"{round_number(state.spent)} {ladder.unit}"
    seconds = sum(result.seconds for result in state.results.values())
    hours = f", {seconds / 3600:.2g} trial-hours" if seconds else ""
    pairs = [
        ("ladder", esc(f"{ladder.name}: {scale_words(findings)}")),
        (
            "target",
            esc(f"{ladder.target_name}, {round_number(ladder.target)} {ladder.unit}, never run"),
        ),
        (
            "metric",
            esc(f"{objective.name}, {better}; ")
            + (
                "measured by an evaluator of its own"
                if ladder.setting.is_measured_outside
                else "as the trainer reports it"
            ),
        ),
        (
            "spent",
            esc(
                f"{spent} (the ladder's default budget is {round_number(ladder.budget)}), "
                f"{len(state.results)} trials{hours}"
            ),
        ),
    ]
    if state.spending:
        pairs.append(("models", esc(added(state.spending.values()).words())))
    if box_words(state):
        pairs.append(("box", esc(box_words(state))))
    if ladder.matches:
        pairs.append(("matched", "<br>".join(esc(text) for text in ladder.matches)))
    if ladder.unmatched:
        pairs.append(("not matched", "<br>".join(esc(text) for text in ladder.unmatched)))
    if state.stopped is not None:
        pairs.append(("ended", esc(state.stopped.reason)))
    elif state.pending():
        pairs.append(("running", f"{len(state.pending())} trials asked for have not ended"))
    warnings = "".join(f"<li>{esc(text)}</li>" for text in findings.warnings())
    return facts(pairs) + (f'<ul class="warnings">{warnings}</ul>' if warnings else "")


def _figure(figures: Mapping[str, str], name: str, *, kind: str = "") -> str:
    return f'<figure class="{kind}">{inline(figures[name], name)}</figure>'


def _progress(figures: Mapping[str, str]) -> str:
    return (
        "<h2>Progress</h2><figcaption>Each change once at the lowest rung, where a plain loop "
        "decides, and once at the target, where we do. The green line is the accepted stack. Up "
        "is better.</figcaption>" + _figure(figures, "progress")
    )


def _scaling(findings: Findings, figures: Mapping[str, str]) -> str:
    fit, ladder = findings.fit, findings.ladder
    caption = "No baseline run yet."
    if fit is not None:
        caption = (
            f"{fit.n_runs:g} runs of the first baseline on {fit.n_scales} rungs; "
            f"{fit.status}: {fit.status.advice}. Below: what lies off the law, in compute."
        )
    rows = []
    for scale in fit.scales if fit is not None else ():
        rung = min(ladder.rungs, key=lambda r: abs(r.scale / scale.compute - 1))
        noise, slope = findings.noise[rung.name], findings.slopes[rung.name]
        sign = 1 if ladder.setting.objective.is_minimized else -1
        rows.append(
            [
                esc(rung.name),
                esc(round_number(rung.scale)),
                number(sign * scale.mean),
                f"{scale.n_runs:g}",
                number(noise.sd, 5),
                percent(noise.sd / slope, ".1f"),
                f"{noise.rho:.2f}",
                f"{scale.misfit:+.1f}".replace("-", "−"),
            ]
        )
    name = esc(ladder.setting.objective.name)
    head = [
        "rung",
        esc(ladder.unit),
        f"mean {name}",
        "runs",
        "sd of a run",
        "in compute",
        "shared by pairs",
        "off the law (se)",
    ]
    noise_table = table(head, rows, numbers=range(1, 8)) if rows else ""
    return (
        f"<h2>Scaling law of the baseline</h2><figcaption>{esc(caption)}</figcaption>"
        + _figure(figures, "scaling")
        + noise_table
    )


def _verdicts(findings: Findings, figures: Mapping[str, str]) -> str:
    if not findings.rows:
        return ""
    return (
        "<h2>Gains over the rungs</h2><figcaption>Solid: measured. Dashed: on to the forecast at "
        "the target (diamond). Bars are 80 % intervals.</figcaption>"
        + _figure(figures, "gains")
        + "<h2>Verdicts</h2><figcaption>What a change is worth in compute: 1.10x means the "
        "baseline would need 10 % more. Small figures: 80 % interval, n runs.</figcaption>"
        + verdict_table(findings)
    )


def _changes(findings: Findings) -> str:
    if not findings.rows:
        return ""
    chapters = "\n".join(chapter(findings, row) for row in in_order(findings))
    return f"<h2>Changes in full</h2>\n{chapters}"


def _refused(findings: Findings) -> str:
    refused = findings.state.refused
    if not refused:
        return ""
    rows = [
        [esc(r.title, most=120), esc(r.reason, most=300), esc(r.proposer)] for r in refused[:60]
    ]
    return "<h2>Refused before any trial</h2>" + table(["proposal", "why", "by"], rows)


def _footer(findings: Findings) -> str:
    started = findings.state.started
    if started is None:
        return ""
    env = " · ".join(f"{k} {v}" for k, v in sorted(started.environment.items()))
    words = f"policy {started.policy} · seed {started.seed} · ladder {started.ladder_digest}"
    tables = "Tables beside this file: trials, effects, changes (.parquet and .csv)."
    return f"<footer>{esc(words)}<br>{esc(env)}<br>{tables}</footer>"
