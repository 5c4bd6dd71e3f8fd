"""The scoreboard for a terminal and for a README."""

import io
import math
from collections.abc import Sequence

from transfer.bench.board import LEAST_COVER, MOST_ERROR, BoardRow, rows, uncalibrated
from transfer.bench.score import StudyScore

TITLES = (
    *("policy", "utility", "p10", "- greedy", "- ttest", "right", "harm", "useful", "recall"),
    *("runs/right", "cover", "calib", "certified", "gap", "provis.", "gap", "stack", "cover"),
    "cpu s",
)
ESSENTIAL = frozenset({0, 1, 3, 4, 5, 6, 10, 11, 12, 13})
"""Columns that a narrow terminal shows."""
NOTES = (
    "utility: nats of compute at the target less .004 an accept, mean +- s.e.; p10 its worst tenth",
    "- greedy, - ttest: difference in the same worlds +- s.e.; right, harm (< -.005), useful (the "
    "head is worse without it): of accepts; recall: of ideas worth carrying",
    "runs/right: lowest-rung runs for an accept that is right; cover: of 80 % intervals; calib: "
    "|stated - realised| odds; gap: stated minus realised of accepts; stack: |claimed - true|",
)


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _with_se(pair: tuple[float, float] | None, *, sign: str = "+") -> str:
    if pair is None:
        return ""
    mean, se = pair
    return f"{mean:{sign}.2f}" + ("" if math.isnan(se) else f"±{se:.2f}")


def cells(row: BoardRow) -> list[str]:
    """Return a row's text; an uncalibrated policy has a star."""
    star = "*" if row.is_uncalibrated else ""
    return [
        row.policy + star,
        _with_se((row.utility, row.utility_se), sign=""),
        _number(row.p10, ".2f"),
        _with_se(row.beyond.get("greedy")),
        _with_se(row.beyond.get("ttest")),
        _number(row.precision, ".2f"),
        _number(row.harm, ".2f"),
        _number(row.useful, ".2f"),
        _number(row.recall, ".2f"),
        _number(row.price, ".0f"),
        _number(row.cover, ".2f"),
        _number(row.error, ".3f"),
        f"{_number(row.certified, '.2f')} of {row.n_certified}" if row.n_certified else "",
        _number(row.certified_gap, "+.2f"),
        f"{_number(row.provisional, '.2f')} of {row.n_provisional}" if row.n_provisional else "",
        _number(row.provisional_gap, "+.2f"),
        _number(row.stack_error, ".2f"),
        _number(row.stack_cover, ".2f"),
        _number(row.cpu_s, ".2f"),
    ]


def _suites(scores: Sequence[StudyScore]) -> dict[str, list[BoardRow]]:
    found: dict[str, list[BoardRow]] = {}
    for row in rows(scores):
        found.setdefault(row.suite, []).append(row)
    return found


def _last(scores: Sequence[StudyScore]) -> list[str]:
    failed = uncalibrated(scores)
    said = f"* uncalibrated: calibration error above {MOST_ERROR} or coverage below {LEAST_COVER}"
    return [*NOTES, f"{said}; over all suites: {', '.join(failed) or 'none'}"]


def terminal(scores: Sequence[StudyScore], *, width: int) -> list[str]:
    """Return a table a suite as lines of text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    text = io.StringIO()
    console = Console(file=text, width=1000, color_system=None, legacy_windows=False)
    for is_full in (True, False):
        text.truncate(text.seek(0))
        shown = [place for place, _ in enumerate(TITLES) if is_full or place in ESSENTIAL]
        for suite, found in _suites(scores).items():
            table = Table(title=f"{suite}, {found[0].n} worlds", box=None, title_justify="left")
            for place in shown:
                table.add_column(TITLES[place], justify="right" if place else "left", no_wrap=True)
            for row in found:
                texts = cells(row)
                table.add_row(*(Text(texts[place]) for place in shown))
            console.print(table)
            console.print()
        lines = [line.rstrip() for line in text.getvalue().splitlines()]
        if max(map(len, lines)) <= width:
            break
    return lines + _last(scores)


def markdown(scores: Sequence[StudyScore]) -> str:
    """Return one table of all suites, as a README takes it."""
    lines = [f"| suite | {' | '.join(TITLES)} |", "|" + "---|" * (len(TITLES) + 1)]
    for suite, found in _suites(scores).items():
        lines += [f"| {suite} | {' | '.join(cells(row))} |" for row in found]
    return "\n".join([*lines, "", *(f"- {note}" for note in _last(scores)), ""])
