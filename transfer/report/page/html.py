"""Pieces of HTML: everything that comes from a change is escaped here."""

import html
import math
import re
from collections.abc import Iterable, Sequence

from transfer.ladder import Ladder
from transfer.measure.trend import Z80
from transfer.report.findings import ChangeRow
from transfer.report.plots.palette import DARK, LIGHT, OF_GROUP

LONGEST_TEXT = 1500
PATCHES = 100_000
"""Characters of patches that one page shows in all; the study's folder holds them whole."""


def esc(text: object, *, most: int = LONGEST_TEXT) -> str:
    """Return a text as HTML shows it literally, cut to ``most`` characters."""
    plain = str(text)
    if len(plain) > most:
        plain = plain[: most - 1].rstrip() + "…"
    return html.escape(plain.replace("\x00", ""))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> str:
    """Return a table of cells that are HTML already; ``numbers`` are columns set to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        parts = (
            f'<{tag} class="n">{cell}</{tag}>' if i in numbers else f"<{tag}>{cell}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        f'<div class="scroll"><table><thead>{line(head, "th")}</thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and what they are; values are HTML already."""
    return f'<dl class="facts">{"".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in pairs)}</dl>'


def tag(row: ChangeRow) -> str:
    """Return where a change ended, in its colour."""
    return f'<span class="tag" style="color:var(--{OF_GROUP[row.group]})">{esc(row.status)}</span>'


def diff(patch: str, *, most: int) -> str:
    """Return a patch with its added and removed lines coloured, cut after ``most`` characters."""
    lines = patch.splitlines()
    kinds = {"+": "add", "-": "del", "@": "at"}
    shown: list[str] = []
    for line in lines:
        most -= min(len(line), 160) + 1
        if most < 0:
            shown.append(f"… {len(lines) - len(shown)} more lines")
            break
        kind = "" if line.startswith(("+++", "---")) else kinds.get(line[:1], "")
        text = esc(line, most=160)
        shown.append(f'<span class="{kind}">{text}</span>' if kind else text)
    return f"<pre>{chr(10).join(shown)}</pre>"


def inline(svg: str, name: str) -> str:
    """Make matplotlib's SVG part of a page: small, no references outward, colours by name."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", body)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.S)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\.\d)\d+", r"\1", m.group()), body)
    body = re.sub(r"(\d)\s*\n\s*([A-Z])", r"\1\2", body)
    body = re.sub(r"font: ?((?:bold )?[\d.]+px) [^;\"]*", r"font: \1 sans-serif", body)
    for colour_name, colour in LIGHT.items():
        body = body.replace(colour, f"var(--{colour_name})")
    return re.sub(r"\s*\n\s*", "\n", _as_classes(body, name))


def _as_classes(body: str, prefix: str) -> str:
    """Give every distinct style a class, so that it is written once."""
    found: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        style = match.group(1).replace("; ", ";").replace(": ", ":")
        return f'class="{found.setdefault(style, f"{prefix[0]}{len(found)}")}"'

    body = re.sub(r'style="([^"]*)"', name, body)
    rules = "".join(f".{known}{{{style}}}" for style, known in found.items())
    return body.replace(">", f"><style>{rules}</style>", 1)


def variables() -> str:
    """Return the palette as CSS variables for light and dark pages."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in palette.items())
        for palette in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def spark(row: ChangeRow, ladder: Ladder, bounds: tuple[float, float]) -> str:
    """Draw a change's gain over the rungs and at the target, as large as two lines of text."""
    width, height, edge = 128.0, 46.0, 6.0
    low, high = bounds
    last = max(ladder.position(ladder.target), 1e-9)

    def x(position: float) -> float:
        return edge + (width - 2 * edge) * position / last

    def y(gain: float) -> float:
        inside = min(max(gain, low), high)
        return edge + (height - 2 * edge) * (high - inside) / (high - low)

    colour = f"var(--{OF_GROUP[row.group]})"
    marks = [f'<path d="M0 {y(0):.1f}H{width:g}" stroke="var(--grey)" opacity=".6"/>']
    points = [(x(e.position), y(e.gain)) for e in row.effects]
    for effect, (px, _) in zip(row.effects, points, strict=True):
        half = Z80 * effect.gain_se
        ends = f"M{px:.1f} {y(effect.gain - half):.1f}V{y(effect.gain + half):.1f}"
        marks.append(f'<path d="{ends}" stroke="{colour}"/>')
    line = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    marks.append(f'<path d="M{line}" stroke="{colour}" stroke-width="1.5" fill="none"/>')
    marks += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.2" fill="{colour}"/>' for px, py in points]
    look = row.gain_forecast
    if look is not None:
        at, (px, py) = x(last), points[-1]
        marks.append(
            f'<path d="M{px:.1f} {py:.1f}L{at:.1f} {y(look.mean):.1f}" stroke="{colour}" '
            f'stroke-dasharray="2 2"/><path d="M{at:.1f} {y(look.low):.1f}V{y(look.high):.1f}" '
            f'stroke="{colour}" stroke-width="2" opacity=".55"/>'
            f'<path d="M{at:.1f} {y(look.mean) - 3.4:.1f}l3.4 3.4-3.4 3.4-3.4-3.4z" '
            f'fill="{colour}"/>'
        )
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    words = 'role="img" aria-label="gain over the rungs and at the target"'
    return f"<svg {size} {words}>{''.join(marks)}</svg>"


def number(value: float | None, digits: int = 4) -> str:
    """Write a number of the objective; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"{value:.{digits}f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3g}"


def signed(value: float, low: float, high: float) -> str:
    """Write an effect with its interval, signs shown: ``+0.0041 [+0.0019, +0.0063]``."""
    small = max(abs(low), abs(high)) < 0.001
    form = "+.1e" if small else "+.4f" if max(abs(low), abs(high)) < 10 else "+.4g"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]".replace("-", "−")
