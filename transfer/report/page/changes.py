"""The report's account of single changes: the verdict table and one fold-out a change."""

from collections.abc import Mapping, Sequence

from transfer.events import Effect
from transfer.measure.trend import Z80
from transfer.report.findings import ChangeGroup, ChangeRow, Findings, ScoredForecast
from transfer.report.pace import Pace, pace_of
from transfer.report.page.html import PATCHES, diff, esc, facts, number, signed, spark, table, tag
from transfer.report.plots.axes import limits, round_number
from transfer.units import interval, times

ORDER: Sequence[ChangeGroup] = (
    ChangeGroup.ACCEPTED,
    ChangeGroup.SET_ASIDE,
    ChangeGroup.TAKEN_BACK,
    ChangeGroup.SCALE_BOUND,
    ChangeGroup.UNDECIDED,
    ChangeGroup.IN_FLIGHT,
    ChangeGroup.REJECTED,
    ChangeGroup.CRASHED,
)


def verdict_table(findings: Findings) -> str:
    """Return all changes, the accepted ones first, then by their odds."""
    ladder = findings.ladder
    kept = [
        row for row in findings.rows if row.group not in (ChangeGroup.REJECTED, ChangeGroup.CRASHED)
    ]
    shown = [e.gain for row in kept or findings.rows for e in row.effects]
    shown += [row.gain_forecast.mean for row in kept if row.gain_forecast]
    bounds = limits(shown, most=0.4)
    names = [rung.name for rung in ladder.rungs]
    head = ["change", "over rungs", *(esc(n) for n in names), f"at {esc(ladder.target_name)}"]
    paces = {row.arm: _paces(findings, row) for row in findings.rows}
    is_timed = any(paces.values())
    head += ["odds", *(["at equal seconds"] if is_timed else []), "verdict"]
    numbers = range(2, len(head) - 1)
    cells = [_cells(row, findings, names, bounds) for row in in_order(findings)]
    if is_timed:
        for row, line in zip(in_order(findings), cells, strict=True):
            line.insert(-1, _pace_cell(row, paces[row.arm]))
    return table(head, cells, numbers=numbers)


def in_order(findings: Findings) -> list[ChangeRow]:
    """Return changes as a reader wants them: by where they ended, then by their odds."""
    return sorted(
        findings.rows,
        key=lambda row: (
            ORDER.index(row.group),
            -(row.gain_forecast.odds if row.gain_forecast else 0.0),
        ),
    )


def _cells(
    row: ChangeRow, findings: Findings, names: Sequence[str], bounds: tuple[float, float]
) -> list[str]:
    by_rung = {effect.rung: effect for effect in row.effects}
    kind = "null change" if row.is_control else row.proposed.change.kind.value
    title = f'<a href="#{esc(row.arm)}">{esc(row.arm)}</a> {esc(row.title, most=90)}'
    cells = [f'<span class="why">{title}</span><small>{esc(kind)}</small>']
    cells.append(spark(row, findings.ladder, bounds) if row.effects else "")
    cells += [_effect_cell(by_rung[name]) if name in by_rung else "" for name in names]
    look = row.gain_forecast
    if look is None:
        cells += ["", ""]
    else:
        ends = f"{times(look.low)[:-1]} – {times(look.high)[:-1]}"
        cells += [f"{times(look.mean)}<small>{ends}</small>", f"{look.odds:.2f}"]
    reasons = "; ".join(row.verdict.reasons) if row.verdict else ""
    reasons = "; ".join(part for part in (reasons, row.note) if part)
    cells.append(f'{tag(row)}<small class="why">{esc(reasons, most=170)}</small>')
    return cells


def _paces(findings: Findings, row: ChangeRow) -> dict[str, Pace]:
    """Return what a change takes in seconds and memory by rung, where both arms told."""
    base = row.proposed.base
    found = {e.rung: pace_of(findings.state, row.arm, base, e.rung) for e in row.effects}
    return {rung: pace for rung, pace in found.items() if pace is not None}


def _pace_cell(row: ChangeRow, paces: Mapping[str, Pace]) -> str:
    """Show the gain at equal seconds on the highest rung with seconds of both arms."""
    for effect in reversed(row.effects):
        pace = paces.get(effect.rung)
        if pace is not None:
            return f"{_equal_seconds(effect, pace)}<small>on {esc(effect.rung)}</small>"
    return ""


def _equal_seconds(effect: Effect, pace: Pace) -> str:
    memory = "" if pace.memory is None else f"<small>{pace.memory:.2f}x memory</small>"
    worth = times(pace.at_equal_seconds(effect.gain))
    return f"{worth}<small>{pace.seconds:.2f}x seconds</small>{memory}"


def _effect_cell(effect: Effect) -> str:
    half = Z80 * effect.gain_se
    low, high = times(effect.gain - half)[:-1], times(effect.gain + half)[:-1]
    return f"{times(effect.gain)}<small>{low} – {high}</small><small>n {effect.n}</small>"


def chapter(findings: Findings, row: ChangeRow) -> str:
    """Tell one change in full: what was thought, done, forecast, measured and concluded."""
    change = row.proposed.change
    title = f"<b>{esc(row.arm)}</b> {esc(change.title, most=120)}"
    parts = [facts(_facts(findings, row))]
    if change.knobs:
        knobs = findings.ladder.setting.knobs
        rows = [
            [esc(name), esc(knobs[name].default) if name in knobs else "—", esc(value)]
            for name, value in change.knobs.items()
        ]
        parts.append("<h3>Knobs</h3>" + table(["knob", "default", "change"], rows, numbers=(1, 2)))
    if change.patch:
        most = PATCHES // sum(1 for other in findings.rows if other.proposed.change.patch)
        parts.append("<h3>Patch</h3>" + diff(change.patch, most=most))
    if row.effects:
        parts.append(
            "<h3>Effects, 80 % intervals, positive is better</h3>" + _effects(findings, row)
        )
    parts += [_trials(findings, row), _verdict(findings, row)]
    body = "".join(parts)
    return (
        f'<details id="{esc(row.arm)}"><summary>{title} {tag(row)}</summary>'
        f"<div>{body}</div></details>"
    )


def _facts(findings: Findings, row: ChangeRow) -> list[tuple[str, str]]:
    change, base = row.proposed.change, row.proposed.base
    kind = "null change: changes nothing, seeds of its own" if row.is_control else change.kind.value
    by = f", by {change.proposer}" if change.proposer else ""
    found = [
        ("hypothesis", esc(change.hypothesis or "none given")),
        ("kind", esc(", ".join(part for part in (kind, change.category) if part) + by)),
        ("against", esc(f"baseline {base}, commit {findings.state.bases.get(base, '')[:7]}")),
    ]
    if change.known:
        found.insert(1, ("known before", esc(change.known)))
    if row.note:
        found.append(("note", esc(row.note)))
    return found


def _effects(findings: Findings, row: ChangeRow) -> str:
    forecast = {s.forecast.rung: s for s in findings.scored if s.forecast.arm == row.arm}
    name = findings.ladder.setting.objective.name
    paces = _paces(findings, row)
    timed = ["at equal seconds"] if paces else []
    head = [
        "rung",
        f"{esc(name)} improved by",
        "in compute",
        *timed,
        "runs",
        "pairs",
        "forecast before",
        "",
    ]
    rows = []
    for effect in row.effects:
        half, wide = Z80 * effect.loss_se, Z80 * effect.gain_se
        loss = signed(effect.loss_gain, effect.loss_gain - half, effect.loss_gain + half)
        gain = interval(effect.gain - wide, effect.gain, effect.gain + wide)
        told, word = _forecast_words(forecast.get(effect.rung))
        pace = paces.get(effect.rung)
        at_equal = [_equal_seconds(effect, pace) if pace else ""] if paces else []
        counts = [str(effect.n), str(effect.n_pairs)]
        rows.append([esc(effect.rung), loss, gain, *at_equal, *counts, told, word])
    return table(head, rows, numbers=range(1, len(head) - 1))


def _forecast_words(scored: ScoredForecast | None) -> tuple[str, str]:
    if scored is None:
        return "—", ""
    told = scored.forecast
    return interval(told.low, told.mean, told.high), "hit" if scored.is_hit else "missed"


def _trials(findings: Findings, row: ChangeRow) -> str:
    state, rows = findings.state, []
    for rung in findings.ladder.rungs:
        for seed, result in state.losses(row.arm, rung.name).items():
            words = f"{result.state.value} {result.cause.value}".strip()
            why = "" if result.is_complete else _last_line(result.reason)
            rows.append(
                [
                    esc(rung.name),
                    str(seed),
                    number(result.value),
                    f"{result.seconds:.1f}" if result.seconds else "—",
                    esc(words)
                    + (f'<small class="why">{esc(why, most=300)}</small>' if why else ""),
                    f"<code>{esc(result.identity)}</code>",
                ]
            )
    if not rows:
        return ""
    name = esc(findings.ladder.setting.objective.name)
    head = ["rung", "seed", name, "seconds", "state", "trial"]
    return "<h3>Trials</h3>" + table(head, rows, numbers=(1, 2, 3))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def _verdict(findings: Findings, row: ChangeRow) -> str:
    if row.verdict is None:
        return "<h3>Verdict</h3><p>in flight</p>"
    verdict, said = row.verdict, []
    if row.gain_forecast is not None:
        look = row.gain_forecast
        said.append(
            f"At {esc(findings.ladder.target_name)} worth "
            f"{interval(look.low, look.mean, look.high)} compute (80 % interval), "
            f"odds of a gain {look.odds:.2f}."
        )
    said += [f"{esc(reason)}." for reason in verdict.reasons]
    if verdict.price:
        price = f"{round_number(verdict.price)} {findings.ladder.unit}"
        said.append(f"Deciding it would take {esc(price)} more.")
    commit = findings.state.accepted.get(row.arm)
    if commit:
        said.append(f"Commit <code>{esc(commit[:12])}</code>.")
    return f"<h3>Verdict and why</h3><p>{tag(row)}</p><p>{'<br>'.join(said)}</p>"
