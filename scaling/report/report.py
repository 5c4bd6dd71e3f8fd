"""What a command concludes, as sheets and a figure: for the terminal, one HTML file, trackers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.present.axes import render_svg
from scaling.present.html import inline_svg, make_environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure


UNKNOWN = "unknown"
"""Printed for an interval that the runs say nothing of."""
_NO_WIDTH = 1e-9
"""Relative width below which an interval is rounding: nothing was measured about the noise."""


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


def write_number(value: float, digits: int = 7) -> str:
    """Return a number as it is printed: seven digits unless said otherwise.

    >>> write_number(1.81721809), write_number(482.01, 4)
    ('1.817218', '482')
    """
    return f"{value:.{digits}g}"


def write_count(value: float) -> str:
    """Return a count with the suffix that people use.

    >>> write_count(8.5501e8), write_count(1.3117e12), write_count(950.0)
    ('855M', '1.31T', '950')
    """
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def write_interval(low: float, high: float, digits: int = 4) -> str:
    """Return an interval as it is printed; one of no width says that the noise is unknown.

    >>> write_interval(1.76911, 1.8712), write_interval(2.02, 2.02)
    ('[1.769, 1.871]', 'unknown')
    """
    if not high - low > _NO_WIDTH * max(abs(low), abs(high)):
        return UNKNOWN
    while write_number(low, digits) == write_number(high, digits):
        digits += 1
    return f"[{write_number(low, digits)}, {write_number(high, digits)}]"


def render_report(report: Report) -> str:
    """Return the report as one self-contained HTML page: no script, nothing to fetch."""
    environment = make_environment(Path(__file__).with_name("templates"))
    drawn = inline_svg(render_svg(report.figure, salt="scaling"), "scaling")
    template = environment.get_template("report.html.j2")
    return template.render(title=report.title, report=report, drawn=drawn)
