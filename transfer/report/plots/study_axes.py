"""What the plots of a study share: rungs along the axis, a colour for each group of changes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling.present.axes import round_number
from scaling.present.palette import LIGHT
from transfer.ladder import Ladder
from transfer.report.findings import ChangeGroup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUP_COLOURS: Mapping[ChangeGroup, str] = {
    ChangeGroup.SUSPICIOUS: "red",
    ChangeGroup.ACCEPTED: "green",
    ChangeGroup.SET_ASIDE: "violet",
    ChangeGroup.TAKEN_BACK: "grey",
    ChangeGroup.SCALE_BOUND: "orange",
    ChangeGroup.UNDECIDED: "blue",
    ChangeGroup.IN_FLIGHT: "muted",
    ChangeGroup.REJECTED: "grey",
    ChangeGroup.CRASHED: "red",
}
"""Name of the colour of each group of changes."""


def light(group: ChangeGroup) -> str:
    """Return a group's colour on a light page."""
    return LIGHT[GROUP_COLOURS[group]]


def set_rung_axis(axes: "Axes", ladder: Ladder, *, with_scales: bool) -> None:
    """Put rungs and the target on a horizontal axis of ``ladder.position``."""
    sizes = [(rung.name, rung.scale) for rung in ladder.rungs]
    if ladder.target > ladder.rungs[-1].scale:
        sizes.append((ladder.target_name, ladder.target))
    last = max(ladder.position(ladder.target), 1e-9)
    ticks: list[tuple[str, float]] = []
    for name, scale in sizes:
        near = ticks and ladder.position(scale) - ladder.position(ticks[-1][1]) < 0.07 * last
        if not near:
            ticks.append((name, scale))
    words = [f"{n}\n{round_number(s)}" if with_scales else n for n, s in ticks]
    axes.set_xticks([ladder.position(scale) for _, scale in ticks], words)
    if not with_scales and max(len(name) for name in words) > 3:
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.05 * last - 0.02, last * 1.06 + 0.02)
