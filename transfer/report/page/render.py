"""The report as one HTML file: no script, no reference outward, light and dark."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miniscale.setting.trial import TrialResult
from scaling.present.axes import find_limits, round_number
from scaling.present.html import inline_svg, make_environment
from transfer import units
from transfer.audit.audit_result import Audit
from transfer.audit.resolution import resolve_study, sight_warning, sight_words
from transfer.events import Effect
from transfer.journal.change_counts import count_changes
from transfer.journal.spending import added
from transfer.ladder_trust import Light
from transfer.measure.trend import Z80
from transfer.report.constraint_table import find_standings
from transfer.report.findings import (
    ChangeGroup,
    ChangeRow,
    Findings,
    hit_interval,
    score_forecasts,
)
from transfer.report.pace import Pace, pace_of
from transfer.report.page.sparkline import draw_sparkline
from transfer.report.plots.study_axes import GROUP_COLOURS
from transfer.report.proposer_accounts import accounts
from transfer.report.text import box_words, scale_words, shrinkage

if TYPE_CHECKING:
    from jinja2 import Environment

PATCHES = 100_000
"""Characters of patches that one page shows in all; the study's folder holds them whole."""
# assumption: what a browser scrolls through without a pause.
PATCH_LINE = 160
ORDER = (
    ChangeGroup.SUSPICIOUS,
    ChangeGroup.ACCEPTED,
    ChangeGroup.SET_ASIDE,
    ChangeGroup.TAKEN_BACK,
    ChangeGroup.SCALE_BOUND,
    ChangeGroup.UNDECIDED,
    ChangeGroup.IN_FLIGHT,
    ChangeGroup.REJECTED,
    ChangeGroup.CRASHED,
)


@dataclass(frozen=True)
class TrialLine:
    """One trial as the page lists it."""

    rung: str
    seed: int
    result: TrialResult


def render_page(
    findings: Findings,
    figures: Mapping[str, str],
    *,
    audit: Audit | None = None,
    audit_words: str = "no audit was looked for",
    design_words: str = "",
) -> str:
    """Write the report of a study.

    Parameters
    ----------
    findings
        The study, added up.
    figures
        SVG by name: progress, scaling, gains, forecasts, and audit where there is one.
    audit, audit_words
        What was found of the ladder, and a line about it.
    design_words
        What the ladder's design found, in a line; empty for one made by hand.
    """
    state, ladder = findings.state, findings.ladder
    sight = resolve_study(ladder, state)
    rung_names = [rung.name for rung in ladder.rungs]
    data: dict[str, Any] = {
        "findings": findings,
        "state": state,
        "ladder": ladder,
        "title": state.started.name if state.started else ladder.name,
        "figures": {name: inline_svg(svg, name) for name, svg in figures.items()},
        "rung_names": rung_names,
        "rung_columns": range(3, 3 + len(rung_names)),
        "accounts": accounts(ladder, state),
        "audit": audit,
        "audit_words": audit_words,
        "design_words": design_words,
        "warnings": [
            *findings.warnings(),
            *([sight_warning(sight)] if sight_warning(sight) else []),
        ],
        "sight": sight_words(sight) if sight else "",
        "spending": added(state.spending.values()).words() if state.spending else "",
        "hours": _hours(findings),
        "counts": count_changes(state),
        "standings": find_standings(ladder, state),
        "noise_rows": list(_noise_rows(findings)),
        **_change_data(findings),
        **_forecast_data(findings),
    }
    return _environment(findings.unit).get_template("page.html.j2").render(data)


def _environment(unit: units.GainUnit) -> "Environment":
    environment = make_environment(Path(__file__).with_name("templates"))
    environment.globals.update(
        times=unit.times,
        compute_times=units.times,
        unit=unit,
        percent=units.percent,
        noise_share=units.noise_share,
        span=lambda told: unit.interval(told.low, told.mean, told.high),
        ends=unit.ends,
        gain_ends=lambda effect: unit.ends(*_around(effect.gain, effect.gain_se)),
        gain_words=lambda effect: _gain_words(effect, unit),
        loss_words=_loss_words,
        number=_number,
        scale=round_number,
        is_finite=math.isfinite,
        hit_interval=hit_interval,
        shrinkage=lambda exam: shrinkage(exam, unit),
        scale_words=scale_words,
        box_words=box_words,
        Group=ChangeGroup,
        group_colours=GROUP_COLOURS,
        Light=Light,
    )
    return environment


def _change_data(findings: Findings) -> dict[str, Any]:
    """Return what tables of changes show: their order, paces, sparklines, trials, patches."""
    paces = {row.arm: _paces(findings, row) for row in findings.rows}
    n_patches = sum(1 for row in findings.rows if row.proposed.change.patch)
    bounds = _sparkline_bounds(findings)
    return {
        "ordered": in_order(findings),
        "paces": paces,
        "is_timed": any(paces.values()),
        "sparkline": lambda row: draw_sparkline(row, findings.ladder, bounds),
        "trials": lambda arm: list(_trial_lines(findings, arm)),
        "verdict_lines": lambda row: list(_verdict_lines(findings, row)),
        "diff_lines": lambda patch: list(_diff_lines(patch, PATCHES // n_patches)),
    }


def in_order(findings: Findings) -> list[ChangeRow]:
    """Return changes as a reader wants them: by where they ended, then by their odds."""
    return sorted(
        findings.rows,
        key=lambda row: (
            ORDER.index(row.group),
            -(row.gain_forecast.odds if row.gain_forecast else 0.0),
        ),
    )


def _sparkline_bounds(findings: Findings) -> tuple[float, float]:
    hopeful = [
        row for row in findings.rows if row.group not in (ChangeGroup.REJECTED, ChangeGroup.CRASHED)
    ]
    shown = [effect.gain for row in hopeful or findings.rows for effect in row.effects]
    shown += [row.gain_forecast.mean for row in hopeful if row.gain_forecast]
    return find_limits(shown, most=0.4)


def _paces(findings: Findings, row: ChangeRow) -> dict[str, Pace]:
    """Return what a change takes in seconds and memory by rung, where both arms were timed."""
    base = row.proposed.base
    by_rung = {e.rung: pace_of(findings.state, row.arm, base, e.rung) for e in row.effects}
    return {rung: pace for rung, pace in by_rung.items() if pace is not None}


def _trial_lines(findings: Findings, arm: str) -> Iterator[TrialLine]:
    for rung in findings.ladder.rungs:
        for seed, result in findings.state.trials.losses(arm, rung.name).items():
            yield TrialLine(rung.name, seed, result)


def _verdict_lines(findings: Findings, row: ChangeRow) -> Iterator[str]:
    claim, verdict, ladder = row.gain_forecast, row.verdict, findings.ladder
    if claim is not None:
        span = findings.unit.span(claim.low, claim.mean, claim.high)
        yield (
            f"At {ladder.target_name} worth {span} (80 % interval), "
            f"odds of a gain {claim.odds:.2f}."
        )
    yield from (f"{reason}." for reason in (verdict.reasons if verdict else ()))
    if verdict and verdict.price:
        yield f"Deciding it would take {round_number(verdict.price)} {ladder.unit} more."


def _diff_lines(patch: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield each line's kind (add, del, at or none) and text, up to ``most`` characters."""
    lines = patch.splitlines()
    kinds = {"+": "add", "-": "del", "@": "at"}
    for shown, line in enumerate(lines):
        most -= min(len(line), PATCH_LINE) + 1
        if most < 0:
            yield "", f"… {len(lines) - shown} more lines"
            return
        kind = "" if line.startswith(("+++", "---")) else kinds.get(line[:1], "")
        yield kind, line if len(line) <= PATCH_LINE else f"{line[: PATCH_LINE - 1].rstrip()}…"


def _forecast_data(findings: Findings) -> dict[str, Any]:
    """Return scores of forecasts by rung and by kind of change, and the widest misses."""
    scored = findings.scored
    by_rung = {
        rung.name: [s for s in scored if s.effect.rung == rung.name]
        for rung in findings.ladder.rungs
    }
    by_kind: dict[str, list[Any]] = {}
    for forecast in scored:
        by_kind.setdefault(forecast.kind, []).append(forecast)
    if len(by_kind) > 1:
        by_kind["all"] = list(scored)
    missed = [s for s in scored if not s.is_hit]
    return {
        "scores_by_rung": {name: score_forecasts(part) for name, part in by_rung.items() if part},
        "scores_by_kind": {name: score_forecasts(part) for name, part in by_kind.items()},
        "missed": sorted(missed, key=lambda s: -abs(s.miss) / s.half)[:20],
    }


def _noise_rows(findings: Findings) -> Iterator[tuple[Any, ...]]:
    """Yield rung, point of the law, noise and slope of every rung that the baseline ran on."""
    for point in findings.fit.scales if findings.fit is not None else ():
        rung = min(findings.ladder.rungs, key=lambda r: abs(r.scale / point.compute - 1))
        yield rung, point, findings.noise[rung.name], findings.slopes[rung.name]


def _hours(findings: Findings) -> str:
    seconds = sum(result.seconds for result in findings.state.trials.results.values())
    return f", {seconds / 3600:.2g} trial-hours" if seconds else ""


def _around(mean: float, se: float) -> tuple[float, float]:
    return mean - Z80 * se, mean + Z80 * se


def _gain_words(effect: Effect, unit: units.GainUnit) -> str:
    low, high = _around(effect.gain, effect.gain_se)
    return unit.interval(low, effect.gain, high)


def _loss_words(effect: Effect) -> str:
    """Write an effect in the objective's unit, signs shown: ``+0.0041 [+0.0019, +0.0063]``."""
    low, high = _around(effect.loss_gain, effect.loss_se)
    largest = max(abs(low), abs(high))
    form = units.loss_form(largest)
    return f"{effect.loss_gain:{form}} [{low:{form}}, {high:{form}}]".replace("-", "−")


def _number(value: float | None, digits: int = 4) -> str:
    """Write a number of the objective; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"{value:.{digits}f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3g}"
