"""What all plots of a study share: type, axes in compute, labels that keep apart.

Matplotlib is imported when a figure is made.
"""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scaling.present.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.edgecolor": LIGHT["grey"],
    "axes.facecolor": "none",
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": LIGHT["ink"],
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "figure.constrained_layout.use": True,
    "figure.facecolor": LIGHT["paper"],
    "legend.fontsize": 8,
    "legend.edgecolor": "none",
    "legend.facecolor": LIGHT["paper"],
    "legend.framealpha": 1.0,
    "legend.labelcolor": LIGHT["ink"],
    "svg.fonttype": "none",
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}

STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Distances between ticks, as shares of compute."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save in our type and colours, whatever the user's matplotlib is set to."""
    import matplotlib as mpl
    from matplotlib import rc_context

    with rc_context(mpl.rcParamsDefault), rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure that belongs to no window; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def render_png(drawn: "Figure") -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    out = io.BytesIO()
    with house_style():
        drawn.savefig(out, format="png", dpi=150, metadata={"Software": None})
    return out.getvalue()


def render_svg(drawn: "Figure", *, salt: str) -> str:
    """Return a figure as SVG; ``salt`` keeps its inner names apart from those of other figures."""
    from matplotlib import rc_context

    out = io.StringIO()
    with house_style(), rc_context({"svg.hashsalt": salt, "figure.facecolor": "none"}):
        drawn.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def set_compute_axis(axes: "Axes", low: float, high: float) -> None:
    """Label a vertical axis in nats as the compute it is worth: 0.9x, 1x, 1.1x."""
    span = max(high - low, 1e-6)
    step = next((s for s in STEPS if span / math.log1p(s) <= 7), 0.0)
    values: list[float]
    if step:
        first, last = math.exp(low) / step, math.exp(high) / step
        values = [k * step for k in range(math.ceil(first), math.floor(last) + 1) if k > 0]
    else:
        base = 2.0 if span < 6 else 10.0 ** math.ceil(span / 14)
        unit = math.log(base)
        values = [base**k for k in range(math.ceil(low / unit), math.floor(high / unit) + 1)]
    axes.set_ylim(low, high)
    axes.set_yticks([math.log(v) for v in values], [f"{v:.3g}x" for v in values])
    axes.grid(axis="y", color=LIGHT["faint"], lw=0.6, zorder=0)
    axes.axhline(0, color=LIGHT["muted"], lw=0.9, zorder=1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def round_number(value: float) -> str:
    """Write a scale shortly: ``36``, ``2000``, ``1.6e13``."""
    if 0.001 <= value < 100_000:
        return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{value:.2g}".replace("e+", "e").replace("e0", "e").replace("e-0", "e-")


def find_limits(
    gains: Iterable[float], *, least: float = 0.03, most: float = 0.8
) -> tuple[float, float]:
    """Return bounds in nats that hold zero and all gains but far-off ones."""
    values = sorted(g for g in gains if math.isfinite(g))
    top = min(max([least, *values[-1:]]), most)
    bottom = max(min([-least, *values[:1]]), -most, -2.5 * max(top, 2 * least))
    room = 0.08 * (top - bottom)
    return bottom - room, top + room


def spread_labels(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Move labels apart to at least ``gap``, each as near to its place as order allows.

    >>> spread_labels([1.0, 1.5, 5.0], gap=1.0, low=0.0, high=10.0)
    [0.75, 1.75, 5.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, list[int]]] = []
    for i in order:
        centre, members = min(max(wanted[i], low), high), [i]
        while blocks and centre - blocks[-1][0] < gap * (len(members) + len(blocks[-1][1])) / 2:
            other, earlier = blocks.pop()
            n, m = len(earlier), len(members)
            centre, members = (other * n + centre * m) / (n + m), earlier + members
        half = gap * (len(members) - 1) / 2
        centre = min(max(centre, low + half), max(high - half, low + half))
        blocks.append((centre, members))
    spread = [0.0] * len(wanted)
    for centre, members in blocks:
        for k, i in enumerate(members):
            spread[i] = centre + gap * (k - (len(members) - 1) / 2)
    return spread


def write_note(drawn: "Figure", text: str) -> "Figure":
    """Write one sentence where there is nothing to draw yet."""
    drawn.text(0.5, 0.5, text, ha="center", va="center", color=LIGHT["muted"], fontsize=10)
    return drawn


def shorten_text(text: str, n: int) -> str:
    """Cut a text to n characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= n else flat[: n - 1].rstrip() + "…"
