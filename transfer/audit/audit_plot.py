"""The picture of an audit: each rung's gains against those at the top, and forecasts against both.

Matplotlib is imported when it is drawn.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.present.axes import (
    find_limits,
    house_style,
    new_figure,
    set_compute_axis,
    spread_labels,
    write_note,
)
from scaling.present.palette import LIGHT
from transfer.audit.audit_result import Audit
from transfer.belief.panel_prior import TopForecast
from transfer.measure.trend import Z80

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 9


def forecasts(found: Audit) -> "Figure":
    """Draw what the rungs below forecast of each change against what came; positive is better."""
    with house_style():
        drawn = new_figure(6.4, 4.6)
        if not found.scores:
            return write_note(drawn, "No change was measured on the target and below it.")
        axes = drawn.subplots()
        every = [g for score in found.scores for g in (score.mean, score.came)]
        low, high = find_limits(every)
        axes.plot([low, high], [low, high], color=LIGHT["muted"], lw=0.9, zorder=1)
        for score in found.scores:
            _mark(axes, score, found, (low, high))
        set_compute_axis(axes, low, high)
        _label(axes, found.scores, (low, high))
        ticks, words = list(axes.get_yticks()), [t.get_text() for t in axes.get_yticklabels()]
        step = max(1, math.ceil(len(ticks) / 6))
        axes.set_xticks(ticks[::step], words[::step])
        axes.set_xlim(low, high + 0.34 * (high - low))
        axes.axvline(0, color=LIGHT["muted"], lw=0.9, zorder=1)
        lower = [rung.rung for rung in found.rungs[:-1]]
        seen = lower[0] if len(lower) == 1 else f"{lower[0]} to {lower[-1]}"
        axes.set(
            xlabel=f"forecast from {seen}: compute worth at {found.target}",
            ylabel=f"came at {found.target}",
        )
        hits = sum(score.ratio <= 1 for score in found.scores)
        n = len(found.scores)
        axes.set_title(f"{found.light}: {hits} of {n} forecasts in their 80 % interval")
        return drawn


def _mark(axes: "Axes", score: TopForecast, found: Audit, bounds: tuple[float, float]) -> None:
    low, high = bounds
    colour = LIGHT["blue"] if score.ratio <= 1 else LIGHT["red"]
    marker = "o" if score.kind == "structural" else "s"
    x, y = (min(max(g, low), high) for g in (score.mean, score.came))
    widen = max(1.0, found.conformal or 1.0)
    ends = [
        min(max(score.mean + widen * (end - score.mean), low), high)
        for end in (score.low, score.high)
    ]
    axes.hlines(y, ends[0], ends[1], color=colour, lw=1, alpha=0.35)
    half = Z80 * score.came_se
    axes.vlines(x, max(y - half, low), min(y + half, high), color=colour, lw=1, alpha=0.35)
    axes.plot(x, y, marker, ms=5, mec=LIGHT["paper"], mew=0.6, color=colour, zorder=3)


def _label(axes: "Axes", scores: Sequence[TopForecast], bounds: tuple[float, float]) -> None:
    """Name the changes farthest from zero or from their forecast, at the right edge."""
    low, high = bounds
    span = high - low
    named = sorted(scores, key=lambda s: -max(abs(s.came), 2 * abs(s.came - s.mean)))[:NAMED]
    heights = spread_labels(
        [min(max(s.came, low), high) for s in named], gap=0.05 * span, low=low, high=high
    )
    for score, height in zip(named, heights, strict=True):
        at = min(max(score.mean, low), high), min(max(score.came, low), high)
        axes.annotate(
            score.arm.replace("_", " "),
            at,
            xytext=(high + 0.04 * span, height),
            va="center",
            fontsize=7.5,
            color=LIGHT["ink"],
            arrowprops={"arrowstyle": "-", "color": LIGHT["faint"], "lw": 0.6},
        )
