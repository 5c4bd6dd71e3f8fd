"""The pictures of a study: progress, scaling, gains, forecasts. Positive is better in all.

Matplotlib is imported when one is drawn; figures belong to no window.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from scaling.present.axes import (
    find_limits,
    house_style,
    new_figure,
    set_compute_axis,
    shorten_text,
    spread_labels,
    write_note,
)
from scaling.present.palette import LIGHT
from transfer.measure.trend import Z80
from transfer.report.findings import ChangeGroup, ChangeRow, Findings, ScoredForecast, is_clear
from transfer.report.plots.scaling_plot import scaling
from transfer.report.plots.study_axes import light, set_rung_axis
from transfer.units import times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS: Sequence[tuple[str, tuple[ChangeGroup, ...]]] = (
    ("accepted", (ChangeGroup.ACCEPTED,)),
    ("scale-bound", (ChangeGroup.SCALE_BOUND,)),
    ("undecided or waiting", (ChangeGroup.UNDECIDED, ChangeGroup.SET_ASIDE, ChangeGroup.IN_FLIGHT)),
    ("suspicious", (ChangeGroup.SUSPICIOUS,)),
    ("rejected", (ChangeGroup.TAKEN_BACK, ChangeGroup.REJECTED, ChangeGroup.CRASHED)),
)
LABELS = 9
"""Most changes that a panel names."""


def draw_all(findings: Findings) -> "Mapping[str, Figure]":
    """Draw every picture of a study; name -> figure."""
    makers: Mapping[str, Callable[[Findings], Figure]] = {
        "progress": progress,
        "scaling": scaling,
        "gains": gains,
        "forecasts": forecasts,
    }
    with house_style():
        return {name: make(findings) for name, make in makers.items()}


# -- progress ------------------------------------------------------------------------------


def progress(findings: Findings) -> "Figure":
    """Draw changes in order: what each showed on the lowest rung, and what holds at the target."""
    rows = findings.rows
    drawn = new_figure(9.0, 6.0)
    if not rows:
        return write_note(drawn, "No change was proposed yet.")
    lowest = findings.ladder.rungs[0].name
    target = findings.ladder.target_name
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[1, 1])
    _lowest_panel(upper, rows, lowest)
    _target_panel(lower, rows)
    taken = [(i, row) for i, row in enumerate(rows, 1) if row.group is ChangeGroup.ACCEPTED]
    labels = upper.secondary_xaxis("top")
    labels.set_xticks(
        [i for i, _ in taken],
        [shorten_text(f"{row.arm} {row.title}", 24) for _, row in taken],
        rotation=30,
        ha="left",
        rotation_mode="anchor",
    )
    labels.tick_params(length=0, pad=1, labelcolor=LIGHT["green"], labelsize=8)
    labels.spines["top"].set_visible(False)
    _legend(drawn, rows)
    upper.set_ylabel(f"compute worth at {lowest}\n(where a plain loop decides)")
    lower.set_ylabel(f"compute worth at {target}\n(where we decide)")
    lower.set_xlabel("changes in the order proposed")
    lower.set_xlim(0.3, len(rows) + 0.7)
    lower.xaxis.get_major_locator().set_params(integer=True)
    return drawn


def _lowest_panel(axes: "Axes", rows: Sequence[ChangeRow], lowest: str) -> None:
    first = [
        (i, row, row.effects[0])
        for i, row in enumerate(rows, 1)
        if row.effects and row.effects[0].rung == lowest
    ]
    low, high = find_limits(effect.gain for _, _, effect in first)
    if first:
        ordered = sorted(effect.gain_se for _, _, effect in first)
        band = Z80 * ordered[len(ordered) // 2]
        axes.axhspan(-band, band, color=LIGHT["blue"], alpha=0.12, lw=0, zorder=0)
    for i, row, effect in first:
        if row.group is not ChangeGroup.CRASHED:
            _dot(axes, (i, effect.gain), row.group, is_solid=is_clear(effect), bounds=(low, high))
    for i, row in enumerate(rows, 1):
        if row.group is ChangeGroup.CRASHED:
            gain = row.effects[0].gain if row.effects else 0.0
            at = min(max(gain, low), high)
            axes.plot(i, at, "x", ms=7, mew=2, color=LIGHT["red"], zorder=4)
    set_compute_axis(axes, low, high)


def _dot(
    axes: "Axes",
    at: tuple[float, float],
    group: ChangeGroup,
    *,
    is_solid: bool,
    bounds: tuple[float, float],
) -> None:
    """Mark a gain; one beyond the axis becomes an arrow at its edge."""
    x, gain = at
    low, high = bounds
    colour = light(group)
    marker = "v" if gain < low else "^" if gain > high else "o"
    size = 8 if group is ChangeGroup.ACCEPTED else 5.5
    room = 0.03 * (high - low)
    y = min(max(gain, low + room), high - room)
    fill = colour if is_solid else LIGHT["paper"]
    axes.plot(x, y, marker, ms=size, mfc=fill, mec=colour, mew=1.3, zorder=4, clip_on=False)


def _legend(drawn: "Figure", rows: Sequence[ChangeRow]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = {row.group for row in rows}
    handles: list[Line2D | Patch] = []
    for group in ChangeGroup:
        if group in present:
            marker = "x" if group is ChangeGroup.CRASHED else "o"
            handles.append(
                Line2D([], [], ls="", marker=marker, ms=5.5, color=light(group), label=group.value)
            )
    hollow = Line2D(
        [], [], ls="", marker="o", ms=5.5, mfc="none", mec=LIGHT["muted"], label="hollow: in noise"
    )
    band = Patch(color=LIGHT["blue"], alpha=0.12, lw=0, label="80 % noise band")
    drawn.legend(
        handles=[*handles, hollow, band],
        loc="outside lower center",
        ncols=5,
        columnspacing=1.6,
        handletextpad=0.4,
    )


def _target_panel(axes: "Axes", rows: Sequence[ChangeRow]) -> None:
    claims = [
        (i, row, row.gain_forecast)
        for i, row in enumerate(rows, 1)
        if row.gain_forecast is not None
    ]
    total, xs, ys = 0.0, [0.3], [0.0]
    for i, row, claim in claims:
        if row.group is ChangeGroup.ACCEPTED:
            total += claim.mean
            xs.append(i)
            ys.append(total)
    xs.append(len(rows) + 0.7)
    ys.append(total)
    shown = [
        (claim.low, claim.high) for _, row, claim in claims if row.group is not ChangeGroup.REJECTED
    ]
    ends = [g for pair in shown for g in pair]
    low, high = find_limits(
        [*ends, *ys, *(claim.mean for _, _, claim in claims)], most=max(0.6, 1.1 * total)
    )
    for i, row, claim in claims:
        colour = light(row.group)
        pale = 1.0 if row.group is ChangeGroup.ACCEPTED else 0.6
        axes.vlines(i, max(claim.low, low), min(claim.high, high), color=colour, lw=1.4, alpha=pale)
        is_solid = claim.low > 0 or claim.high < 0
        _dot(axes, (i, claim.mean), row.group, is_solid=is_solid, bounds=(low, high))
    axes.step(xs, ys, where="post", color=LIGHT["green"], lw=2, zorder=3)
    if total:
        axes.set_title(
            f"accepted stack {times(total)}",
            loc="right",
            color=LIGHT["green"],
            fontsize=8.5,
            pad=3,
        )
    set_compute_axis(axes, low, high)


# -- gains over rungs ----------------------------------------------------------------------


def gains(findings: Findings) -> "Figure":
    """Draw each change's gain over the rungs and its forecast at the target, by verdict."""
    ladder = findings.ladder
    drawn = new_figure(9.0, 3.9)
    shown = [row for row in findings.rows if row.effects]
    if not shown:
        return write_note(drawn, "No change was measured yet.")
    panels = [(name, [r for r in shown if r.group in groups]) for name, groups in PANELS]
    panels = [(name, rows) for name, rows in panels if rows]
    hopeful = [
        row for row in shown if row.group not in (ChangeGroup.REJECTED, ChangeGroup.CRASHED)
    ] or shown
    ends = [g for row in hopeful for e in row.effects for g in (e.gain,)]
    ends += [
        g
        for row in hopeful
        if row.gain_forecast
        for g in (row.gain_forecast.low, row.gain_forecast.high)
    ]
    bounds = find_limits(ends)
    grid = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, rows) in zip(grid, panels, strict=True):
        colour = light(rows[0].group)
        axes.set_title(f"{len(rows)} {name}", color=colour)
        dodged = [(i - (len(rows) - 1) / 2) / max(len(rows), 6) for i in range(len(rows))]
        ends_at = [
            (row, _curve(axes, findings, row, bounds=bounds, dodge=dodge))
            for row, dodge in zip(rows, dodged, strict=True)
        ]
        set_compute_axis(axes, *bounds)
        set_rung_axis(axes, ladder, with_scales=len(panels) == 1)
        _name_curves(axes, ladder.position(ladder.target), ends_at, bounds)
    grid[0].set_ylabel("gain in compute, 80 % intervals")
    return drawn


def _curve(
    axes: "Axes", findings: Findings, row: ChangeRow, *, bounds: tuple[float, float], dodge: float
) -> tuple[float, float]:
    """Draw one change over the rungs, moved aside a little, and return where its line ends."""
    colour, ladder = light(row.group), findings.ladder
    aside = dodge * 0.05 * ladder.position(ladder.target)
    x = [effect.position + aside for effect in row.effects]
    y = [effect.gain for effect in row.effects]
    half = [Z80 * effect.gain_se for effect in row.effects]
    axes.errorbar(
        x, y, yerr=half, color=colour, lw=1.2, marker="o", ms=3.6, elinewidth=0.8, alpha=0.85
    )
    last = (x[-1], y[-1])
    if row.gain_forecast is not None and row.group is not ChangeGroup.REJECTED:
        claim, at = row.gain_forecast, ladder.position(ladder.target) + aside
        axes.plot([x[-1], at], [y[-1], claim.mean], color=colour, lw=1, ls=(0, (3, 2)), zorder=2)
        axes.vlines(at, claim.low, claim.high, color=colour, lw=1.2, alpha=0.7)
        axes.plot(at, claim.mean, "D", ms=5, color=colour, zorder=4)
        last = (at, claim.mean)
    if not bounds[0] < last[1] < bounds[1]:
        edge = min(max(last[1], bounds[0]), bounds[1])
        axes.plot(last[0], edge, "v" if last[1] < 0 else "^", ms=5, color=colour, clip_on=False)
        last = (last[0], edge)
    return last


def _name_curves(
    axes: "Axes",
    right: float,
    ends: Sequence[tuple[ChangeRow, tuple[float, float]]],
    bounds: tuple[float, float],
) -> None:
    """Name curves at the right edge, moved apart; the ones farthest from zero where many."""
    named = sorted(ends, key=lambda item: -abs(item[1][1]))[:LABELS]
    gap = 0.062 * (bounds[1] - bounds[0])
    edge = max((at[0] for _, at in named), default=right) + 0.1 * right + 0.05
    heights = spread_labels([at[1] for _, at in named], gap=gap, low=bounds[0], high=bounds[1])
    for (row, (x, y)), height in zip(named, heights, strict=True):
        axes.annotate(
            row.arm,
            (x, y),
            xytext=(edge, height),
            textcoords="data",
            va="center",
            fontsize=7.5,
            color=light(row.group),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LIGHT["faint"], "lw": 0.6, "shrinkB": 3},
        )
    hidden = len(ends) - len(named)
    if hidden:
        axes.text(
            1.0,
            0.01,
            f"+ {hidden} unnamed",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=7.5,
            color=LIGHT["muted"],
        )


# -- forecasts -----------------------------------------------------------------------------


def forecasts(findings: Findings) -> "Figure":
    """Draw what was predicted of the next rung against what came."""
    drawn = new_figure(4.4, 4.0)
    if not findings.scored:
        return write_note(drawn, "No forecast was put to the test yet.")
    low, high = find_limits(_both(findings.scored))
    axes = drawn.subplots()
    axes.plot([low, high], [low, high], color=LIGHT["muted"], lw=0.9, zorder=1)
    for scored in findings.scored:
        colour = LIGHT["blue"] if scored.is_hit else LIGHT["red"]
        marker = "o" if scored.is_hit else "X"
        x, y = (min(max(g, low), high) for g in (scored.mean, scored.effect.gain))
        ends = [min(max(x + d, low), high) for d in (-scored.half, scored.half)]
        axes.hlines(y, ends[0], ends[1], color=colour, lw=1, alpha=0.35)
        axes.plot(x, y, marker, ms=5, mec=LIGHT["paper"], mew=0.6, color=colour, zorder=3)
    set_compute_axis(axes, low, high)
    axes.axvline(0, color=LIGHT["muted"], lw=0.9, zorder=1)
    ticks, words = axes.get_yticks(), [t.get_text() for t in axes.get_yticklabels()]
    every = max(1, math.ceil(len(ticks) / 6))
    axes.set_xticks(ticks[::every], words[::every])
    axes.set_xlim(low, high)
    axes.set(xlabel="predicted before the rung was run", ylabel="came")
    axes.set_title(f"{findings.n_hits} of {len(findings.scored)} in their 80 % interval")
    return drawn


def _both(scored: Iterable[ScoredForecast]) -> list[float]:
    return [g for s in scored for g in (s.mean, s.effect.gain)]


__all__ = ["draw_all", "forecasts", "gains", "progress", "scaling"]
