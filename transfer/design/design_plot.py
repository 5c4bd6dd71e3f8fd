"""The picture of a design: decision accuracy against the price of a decision, one point a cell.

Matplotlib is imported when it is drawn.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scaling.present.axes import house_style, new_figure, round_number, spread_labels, write_note
from scaling.present.palette import LIGHT
from transfer.audit.traffic_light import GREEN_ACCURACY
from transfer.design.chosen_ladder import by_price, picked, shrink_line
from transfer.design.race.race import CellStanding
from transfer.design.run_design import DesignRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("blue", "orange", "violet", "red", "grey", "ink", "muted")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")


def frontier(found: DesignRun) -> "Figure":
    """Draw all judged cells; filled ones were still in the race at its end."""
    shown = [one for one in by_price(found.standings) if one.judged]
    with house_style():
        drawn = new_figure(7.6, 4.6)
        if not shown:
            return write_note(drawn, "No cell shares a measured change with the reference.")
        axes = drawn.subplots()
        paths = [v.path for v in found.verdicts if any(s.cell.path == v.path for s in shown)]
        looks = {path: (LIGHT[COLOURS[i % len(COLOURS)]], MARKERS[i % len(MARKERS)])
                 for i, path in enumerate(paths)}  # fmt: skip
        start = picked(found)
        if start is not None:
            looks[start.cell.path] = (LIGHT["green"], "o")
        axes.axhline(GREEN_ACCURACY, color=LIGHT["muted"], lw=0.9, ls=(0, (4, 3)), zorder=1)
        axes.axhline(0.5, color=LIGHT["faint"], lw=0.9, zorder=1)
        for path in paths:
            _path(axes, [s for s in shown if s.cell.path == path], looks[path])
        if start is not None and start.judged is not None:
            axes.plot(start.judged.decision_price, start.judged.gate[0], "o", ms=15, mfc="none",
                      mec=LIGHT["green"], mew=1.6, zorder=5)  # fmt: skip
        _axes(axes, found, shown)
        _labels(axes, shown, looks)
        return drawn


def _path(axes: "Axes", mine: Sequence[CellStanding], look: tuple[str, str]) -> None:
    colour, marker = look
    places = [(s.judged.decision_price, *s.judged.stated, s.is_open) for s in mine if s.judged]
    axes.plot([p[0] for p in places], [p[1] for p in places], color=colour, lw=0.9, alpha=0.5)
    for price, value, low, high, is_open in places:
        axes.vlines(price, low, high, color=colour, lw=1.2, alpha=0.55, zorder=2)
        face = colour if is_open else LIGHT["paper"]
        axes.plot(price, value, marker, ms=6, mfc=face, mec=colour, mew=1.2, zorder=3)


def _axes(axes: "Axes", found: DesignRun, shown: Sequence[CellStanding]) -> None:
    unit = "device-seconds" if found.ask.by_seconds else found.form.cost
    prices = [s.judged.decision_price for s in shown if s.judged]
    seeds = max(s.judged.seeds for s in shown if s.judged)
    top = found.top_price
    low, high = min(prices) / 1.7, max(*prices, top) * 1.5
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    lowest = min(s.judged.stated[1] for s in shown if s.judged)
    axes.set_ylim(min(0.4, lowest - 0.03), 1.03)
    axes.axvline(top, color=LIGHT["faint"], lw=5, zorder=0)
    axes.annotate(
        found.form.expensive_name if found.is_expensive else found.top.name,
        (top, axes.get_ylim()[0]), xytext=(-4, 4), textcoords="offset points", ha="right",
        color=LIGHT["muted"], fontsize=7.5,
    )  # fmt: skip
    axes.annotate("gate", (low, GREEN_ACCURACY), xytext=(3, 3), textcoords="offset points",
                  color=LIGHT["muted"], fontsize=7.5)  # fmt: skip
    axes.annotate("a coin", (low, 0.5), xytext=(3, 3), textcoords="offset points",
                  color=LIGHT["muted"], fontsize=7.5)  # fmt: skip
    ticks = _decades(low, high)
    axes.set_xticks(ticks, [round_number(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color=LIGHT["faint"], lw=0.6, zorder=0)
    axes.set(
        xlabel=f"price of one decision, {unit} (1 to {seeds} seeds; hollow: dropped)",
        ylabel="pairs ordered as by the reference",
    )
    axes.set_title(shrink_line(found)[:92], fontsize=9)


def _decades(low: float, high: float) -> list[float]:
    found = []
    power = -12
    while 10.0**power < high:
        found += [m * 10.0**power for m in (1, 3) if low <= m * 10.0**power <= high]
        power += 1
    return found


def _labels(
    axes: "Axes", shown: Sequence[CellStanding], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Name each path at its dearest point, at the right edge."""
    last = {s.cell.path: s for s in shown}
    names = list(last)
    heights = [last[name].accuracy for name in names]
    low, high = axes.get_ylim()
    places = spread_labels(heights, gap=0.055 * (high - low), low=low + 0.02, high=high - 0.03)
    for name, place in zip(names, places, strict=True):
        one = last[name].judged
        assert one is not None
        axes.annotate(
            name.replace("_", " "), (one.decision_price, one.gate[0]),
            xytext=(1.015, place), textcoords=("axes fraction", "data"), va="center", fontsize=8,
            color=looks[name][0], annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LIGHT["faint"], "lw": 0.6},
        )  # fmt: skip
