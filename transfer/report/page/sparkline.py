"""A change's gain over the rungs and at the target, as large as two lines of text."""

from typing import TYPE_CHECKING

from transfer.ladder import Ladder
from transfer.measure.trend import Z80
from transfer.report.findings import ChangeRow
from transfer.report.plots.study_axes import GROUP_COLOURS

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT, EDGE = 128.0, 46.0, 6.0


def draw_sparkline(row: ChangeRow, ladder: Ladder, bounds: tuple[float, float]) -> "Markup":
    """Draw a change as SVG; ``bounds`` are the gains at its lower and upper edge, in nats."""
    from markupsafe import Markup

    low, high = bounds
    last = max(ladder.position(ladder.target), 1e-9)

    def x(position: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * position / last

    def y(gain: float) -> float:
        inside = min(max(gain, low), high)
        return EDGE + (HEIGHT - 2 * EDGE) * (high - inside) / (high - low)

    colour = f"var(--{GROUP_COLOURS[row.group]})"
    marks = [f'<path d="M0 {y(0):.1f}H{WIDTH:g}" stroke="var(--grey)" opacity=".6"/>']
    points = [(x(e.position), y(e.gain)) for e in row.effects]
    for effect, (px, _) in zip(row.effects, points, strict=True):
        half = Z80 * effect.gain_se
        ends = f"M{px:.1f} {y(effect.gain - half):.1f}V{y(effect.gain + half):.1f}"
        marks.append(f'<path d="{ends}" stroke="{colour}"/>')
    line = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    marks.append(f'<path d="M{line}" stroke="{colour}" stroke-width="1.5" fill="none"/>')
    marks += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.2" fill="{colour}"/>' for px, py in points]
    claim = row.gain_forecast
    if claim is not None:
        at, (px, py) = x(last), points[-1]
        marks.append(
            f'<path d="M{px:.1f} {py:.1f}L{at:.1f} {y(claim.mean):.1f}" stroke="{colour}" '
            f'stroke-dasharray="2 2"/><path d="M{at:.1f} {y(claim.low):.1f}V{y(claim.high):.1f}" '
            f'stroke="{colour}" stroke-width="2" opacity=".55"/>'
            f'<path d="M{at:.1f} {y(claim.mean) - 3.4:.1f}l3.4 3.4-3.4 3.4-3.4-3.4z" '
            f'fill="{colour}"/>'
        )
    size = f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}"'
    words = 'role="img" aria-label="gain over the rungs and at the target"'
    # numbers and names of our colours only: nothing of a change's words comes in here
    return Markup(f"<svg {size} {words}>{''.join(marks)}</svg>")
