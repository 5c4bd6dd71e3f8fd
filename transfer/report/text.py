"""A study in words: the lines that ``status`` and ``show`` print."""

import json
from collections import Counter

from scaling.present.axes import round_number
from transfer.audit.resolution import resolve_study, sight_lines
from transfer.belief.exam_ratio import Exam
from transfer.events import Effect, VerdictReached
from transfer.journal.change_counts import count_changes
from transfer.journal.change_record import ChangeRecord
from transfer.journal.load import Loaded
from transfer.journal.spending import added
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.effect import gain_unit
from transfer.measure.study_effects import Analysis
from transfer.measure.trend import Z80
from transfer.report.constraint_table import find_standings, limit_words
from transfer.report.findings import ChangeGroup, Findings, survey
from transfer.report.pace import pace_of, pace_words
from transfer.report.proposer_accounts import calibration_words
from transfer.units import COMPUTE, GainUnit, loss_form, write_value


def status(loaded: Loaded) -> list[str]:
    """Say where a study stands: budget, verdicts, and one line a change."""
    state, ladder = loaded.state, loaded.ladder
    better = "lower" if ladder.setting.objective.is_minimized else "higher"
    findings = survey(ladder, state)
    hits = f"{findings.n_hits} of {len(findings.scored)} fell into their 80 % interval"
    lines = [
        f"study    {loaded.folder.path}",
        *suspicious_lines(findings, str(loaded.folder.path)),
        *claim_lines(findings),
        f"ladder   {ladder.names}, target {ladder.target_name} ({ladder.target:.2g} "
        f"{ladder.unit}), {ladder.setting.objective.name} {better} is better",
        f"budget   {state.spent:.3g} of {loaded.budget:.3g} {ladder.unit}, "
        f"{len(state.trials.results)} trials, {changes_words(state)}",
        *([f"models   {added(state.spending.values()).words()}"] if state.spending else []),
        *([f"box      {box_words(state)}"] if box_words(state) else []),
        *sight_lines(resolve_study(ladder, state)),
        f"verdicts {count_changes(state).words or 'none yet'}",
        f"forecast {hits if findings.scored else 'none scored yet'}",
        *(f"expected {text}" for text in calibration_words(ladder, state)),
        *exam_lines(findings),
        *(f"limit    {words}" for words in limit_words(ladder, find_standings(ladder, state))),
    ]
    if state.round.closing:
        lines.append(f"round    is closing, {state.round.closing}: no change is taken in")
    if state.stopped is not None:
        lines.append(f"stopped  {state.stopped.reason}")
    elif state.trials.pending():
        lines.append(f"running  {len(state.trials.pending())} trials asked for have not ended")
    lines.append("")
    records = state.changes.values()
    lines += [change_line(record, findings.unit) for record in records if not record.change.members]
    stacks = [stack_line(record, findings.unit) for record in records if record.change.members]
    lines += ["", *stacks] if stacks else []
    return lines


def suspicious_lines(findings: Findings, study: str) -> list[str]:
    """Name the changes that want a person's look, and how to vouch for one."""
    return [
        f"suspect  {row.arm} {row.title}: {row.reasons}; look at it (show {row.arm}), and if it is "
        f"right: python -m transfer confirm {study} {row.arm}"
        for row in findings.of(ChangeGroup.SUSPICIOUS)
    ]


def changes_words(state: StudyState) -> str:
    """Say how many changes were tried and are on the branch: ``12 changes, 3 accepted``."""
    counts = count_changes(state)
    words = (f"{counts.n_tried} changes", counts.rescreen_words, counts.branch_words)
    return ", ".join(word for word in words if word)


def box_words(state: StudyState) -> str:
    """Say what the trials ran in, the most frequent first; empty for studies before the box."""
    boxes = Counter(result.box for result in state.trials.results.values() if result.box)
    return ", ".join(f"{name} ({n} trials)" for name, n in boxes.most_common())


def shrinkage(exam: Exam, unit: GainUnit = COMPUTE) -> str:
    """Say how the exam moved the claim: ``claimed 1.34x before the exam, which left .81 of it``."""
    left = "" if exam.kept is None else f", which left {exam.kept:.2f} of it"
    return f"claimed {unit.times(exam.before.mean)} before the exam{left}"


def scale_words(ladder: Ladder) -> str:
    """Say a ladder in one line: ``d2 1.2e11 → d3 6e11 FLOPs``."""
    steps = [f"{rung.name} {round_number(rung.scale)}" for rung in ladder.rungs]
    return f"{' → '.join(steps)} {ladder.unit}"


def claim_lines(findings: Findings) -> list[str]:
    """Say what the accepted changes bring together at the target, and what the exam left of it."""
    stack, exam = findings.stack, findings.exam
    if stack is None:
        return []
    at, n = findings.ladder.target_name, len(stack.arms)
    if exam is None or not findings.is_examined:
        gain = findings.unit.span(stack.low, stack.mean, stack.high)
        return [f"claim    {gain} at {at} by {n} accepted, added up: not examined"]
    gain = findings.unit.span(exam.total.low, exam.total.mean, exam.total.high)
    return [f"claim    {gain} at {at} by {n} accepted; {shrinkage(exam, findings.unit)}"]


def exam_lines(findings: Findings) -> list[str]:
    """Say what the accepted changes bring together, against what was forecast of them."""
    exam, target = findings.exam, findings.ladder.target_name
    if exam is None:
        return []
    seeds = "fresh seeds" if exam.is_fresh else "the seeds it was chosen by"
    lines = [f"exam     {exam.base} with {' '.join(exam.arms)} against the first baseline, {seeds}"]
    for effect in exam.effects:
        claimed = exam.claimed[effect.rung]
        short = ", short of it" if exam.is_short(effect) else ""
        lines.append(
            f"         {effect_words(effect, findings.unit)}, forecast "
            f"{findings.unit.interval(claimed.low, claimed.mean, claimed.high)}{short}"
        )
    ratio = "no gain was" if exam.ratio is None else f"{exam.ratio:.2f} of what was"
    total = findings.unit.span(exam.total.low, exam.total.mean, exam.total.high)
    lines.append(
        f"         measured {ratio} forecast (exam ratio); {shrinkage(exam, findings.unit)}:"
    )
    lines.append(f"         {total} at {target}, odds {exam.total.odds:.2f}")
    dropped = findings.state.changes.dropped.items()
    lines += [f"dropped  {arm}: {record.dropped}" for arm, record in dropped]
    return lines


def stack_line(record: ChangeRecord, unit: GainUnit = COMPUTE) -> str:
    """Say a stack and what it gained on its highest rung in one line."""
    proposed, verdict = record.proposed, record.verdict
    head = f"{proposed.arm:<4} {proposed.change.title:<36.36}"
    if verdict is None:
        return f"{head} in flight"
    if not verdict.effects:
        return f"{head} {'; '.join(verdict.reasons)[:60]}"
    return f"{head} {effect_words(verdict.effects[-1], unit)}"


def change_line(record: ChangeRecord, unit: GainUnit = COMPUTE) -> str:
    """Say a change and its verdict in one line."""
    proposed, verdict = record.proposed, record.verdict
    if verdict is None:
        return f"{proposed.arm:<4} {proposed.change.title:<36.36} in flight"
    forecast = verdict.gain_forecast
    odds = ""
    if forecast is not None:
        gain = unit.interval(forecast.low, forecast.mean, forecast.high)
        odds = f"  {gain} at target, odds {forecast.odds:.2f}"
    return f"{proposed.arm:<4} {proposed.change.title:<36.36} {record.status:<22}{odds}"


def show(loaded: Loaded, arm: str) -> list[str]:
    """Tell one change in full: hypothesis, edit, trials, forecasts, verdict and why."""
    state = loaded.state
    record = state.changes[arm]
    change, base = record.change, record.base
    lines = [
        f"{arm}  {change.title}",
        f"hypothesis  {change.hypothesis or 'none given'}",
        f"kind        {change.kind}, {change.category or 'no category'}, by {change.proposer}",
        f"against     {base} (commit {state.bases[base][:7]})",
    ]
    if change.members:
        lines.append(f"members     {' '.join(change.members)}")
    if change.known:
        lines.append(f"known       {change.known}")
    if change.is_control:
        lines.append("edit        none: a null change on seeds of its own")
    if change.knobs:
        lines.append(f"knobs       {json.dumps(dict(change.knobs))}")
    if change.patch:
        lines += ["patch", *(f"  {line}" for line in change.patch.splitlines())]
    lines += ["", *trial_lines(loaded, arm), *forecast_lines(loaded, arm), ""]
    return lines + (
        verdict_lines(loaded, record.verdict) if record.verdict else ["verdict     in flight"]
    )


def trial_lines(loaded: Loaded, arm: str) -> list[str]:
    """List a change's trials."""
    lines = []
    for rung in loaded.ladder.rungs:
        for seed, result in loaded.state.trials.losses(arm, rung.name).items():
            value = "—" if result.value is None else write_value(result.value)
            why = "" if result.is_complete else f"  {result.cause} {_last_lines(result.reason)}"
            lines.append(
                f"trial       {rung.name:<8} seed {seed:<6} {result.state:<10} {value:>9} "
                f"{result.seconds:6.1f} s  {result.identity}{why}"
            )
    return lines


def _last_lines(reason: str, *, most: int = 200) -> str:
    """Return the last lines of a reason, whole ones, or the end of the very last."""
    text = reason.strip()
    if len(text) <= most:
        return text
    _, newline, whole = text[-most:].partition("\n")
    return whole if newline else text[-most:]


def forecast_lines(loaded: Loaded, arm: str) -> list[str]:
    """List a change's forecasts, each written down before its rung was run."""
    findings = survey(loaded.ladder, loaded.state)
    scored = {(s.arm, s.effect.rung): "hit" if s.is_hit else "missed" for s in findings.scored}
    return [
        f"forecast    {rung:<8} "
        f"{findings.unit.interval(forecast.low, forecast.mean, forecast.high)}  "
        f"{scored.get((name, rung), 'not run yet')}"
        for (name, rung), forecast in loaded.state.forecasts.items()
        if name == arm
    ]


def verdict_lines(loaded: Loaded, verdict: VerdictReached) -> list[str]:
    """Tell a verdict: effects by rung, forecast, reasons, price."""
    record = loaded.state.changes[verdict.arm]
    analysis = Analysis(loaded.ladder, loaded.state)
    unit = (
        gain_unit(loaded.ladder, analysis.baseline_law(record.base)) if verdict.effects else COMPUTE
    )
    lines = [f"effect      {effect_words(effect, unit)}" for effect in verdict.effects]
    for effect in verdict.effects:
        pace = pace_of(loaded.state, verdict.arm, record.base, effect.rung)
        if pace is not None:
            lines.append(f"pace        {pace_words(effect, pace)}")
    standings = analysis.standings(record.proposed)
    lines += [f"limit       {standing.words}" for standing in standings]
    lines.append(f"verdict     {verdict.outcome}")
    if verdict.gain_forecast is not None:
        claim = verdict.gain_forecast
        gain = unit.span(claim.low, claim.mean, claim.high)
        lines.append(
            f"at target   {gain} (80 % interval), odds of a gain {verdict.gain_forecast.odds:.2f}"
        )
    lines += [f"because     {reason}" for reason in verdict.reasons]
    if verdict.price:
        lines.append(f"price       {verdict.price:.2g} {loaded.ladder.unit} more to decide it")
    if verdict.prior:
        lines.append(f"prior       {verdict.prior}")
    if record.commit:
        lines.append(f"commit      {record.commit}")
    if record.deferred:
        lines.append(f"waits       {record.deferred}")
    return lines


def effect_words(effect: Effect, unit: GainUnit = COMPUTE) -> str:
    """Write an effect on a rung with 80 % intervals; positive is better.

    Once in the objective's unit, and in compute where gains are that.
    """
    if unit.per_nat:
        return f"{effect.rung:<8} {loss_words(effect)}"
    wide = Z80 * effect.gain_se
    return (
        f"{effect.rung:<8} {loss_words(effect)}  = "
        f"{unit.span(effect.gain - wide, effect.gain, effect.gain + wide)}"
    )


def loss_words(effect: Effect) -> str:
    """Write an effect in the objective's unit: ``+0.0041 [+0.0019, +0.0063]  5 pairs``."""
    half = Z80 * effect.loss_se
    low, high = effect.loss_gain - half, effect.loss_gain + half
    n = f"{effect.n_pairs} pairs" if effect.n_pairs else f"{effect.n} runs"
    form = loss_form(max(abs(low), abs(high)))
    return f"{effect.loss_gain:{form}} [{low:{form}}, {high:{form}}]  {n}"
