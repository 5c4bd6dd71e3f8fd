"""What a command found, as sheets and a figure: for the terminal, one HTML file, and trackers."""

import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Sheet:
    """A small table; cells are text already."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """The answer of one command."""

    title: str
    lines: tuple[str, ...]
    """What a reader must know first: status, advice."""
    sheets: tuple[Sheet, ...]
    warnings: tuple[str, ...]
    figure: "Figure"
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    """Named curves (x, y) for charts that a tracker draws itself."""
    x_name: str = "flops"


def number(value: float, digits: int = 7) -> str:
    """Return a number as it is printed: seven digits unless said otherwise.

    >>> number(1.81721809), number(482.01, 4)
    ('1.817218', '482')
    """
    return f"{value:.{digits}g}"


def si(value: float) -> str:
    """Return a count with the suffix that people use.

    >>> si(8.5501e8), si(1.3117e12), si(950.0)
    ('855M', '1.31T', '950')
    """
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def interval(low: float, high: float, digits: int = 4) -> str:
    """Return an interval as it is printed.

    >>> interval(1.76911, 1.8712)
    '[1.769, 1.871]'
    """
    return f"[{number(low, digits)}, {number(high, digits)}]"


def svg(figure: "Figure") -> str:
    """Return a figure as an SVG element to put into a page."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "scaling"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 980px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e4e7eb }
th { color: #52606d; font-weight: 600 } th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; font-family: system-ui, sans-serif } svg text { fill: #1f2933 }
.warn { color: #8d5b10 } .scroll { overflow-x: auto }
"""


def page(report: Report) -> str:
    """Return the report as one self-contained HTML page: no script, nothing to fetch."""
    esc = html.escape
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{esc(report.title)}</title><style>{_CSS}</style></head><body>",
        f"<h1>{esc(report.title)}</h1>",
        *(f"<p>{esc(line)}</p>" for line in report.lines),
        *(f"<p class='warn'>{esc(line)}</p>" for line in report.warnings),
        f"<figure style='margin:1rem 0'>{svg(report.figure)}</figure>",
        *(_table(sheet) for sheet in report.sheets),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{html.escape(c)}</th>" for c in sheet.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in sheet.rows
    )
    title = html.escape(sheet.title)
    return (
        f"<h2>{title}</h2><div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
