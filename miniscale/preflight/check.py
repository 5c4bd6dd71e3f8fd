"""One thing that was looked at before a study, how it stands, and what to write otherwise."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

COLUMNS = 110
"""Width of the table; longer words go on in the next line."""
INDENT = 18


class Standing(StrEnum):
    """How a check stands."""

    GOOD = "ok"
    DOUBTFUL = "look"
    BAD = "NO"
    UNKNOWN = "?"
    """It takes trials that were not run yet."""


@dataclass(frozen=True)
class PreflightCheck:
    """What was looked at, how it stands, what was found, and the line of YAML to change."""

    name: str
    standing: Standing
    found: str
    remedy: str = ""


def table_lines(checks: Sequence[PreflightCheck]) -> list[str]:
    r"""Write the table: a line a check, its remedy under it, and what it comes to.

    >>> print(*table_lines([PreflightCheck("seed", Standing.BAD, "unheard", "pass it")]), sep="\n")
    preflight  1 to mend
      NO   seed       unheard
                      → pass it
    """
    lines = [f"preflight  {_summary(checks)}"]
    for check in checks:
        head = f"  {check.standing:<5}{check.name:<10} "
        lines += textwrap.wrap(
            check.found, COLUMNS, initial_indent=head, subsequent_indent=" " * INDENT
        ) or [head.rstrip()]
        if check.remedy:
            lines += textwrap.wrap(
                f"→ {check.remedy}",
                COLUMNS,
                initial_indent=" " * INDENT,
                subsequent_indent=" " * (INDENT + 2),
                break_on_hyphens=False,
            )
    return lines


def _summary(checks: Sequence[PreflightCheck]) -> str:
    counts = {each: sum(check.standing is each for check in checks) for each in Standing}
    said = [
        f"{counts[Standing.BAD]} to mend" if counts[Standing.BAD] else "",
        f"{counts[Standing.DOUBTFUL]} to look at" if counts[Standing.DOUBTFUL] else "",
        f"{counts[Standing.UNKNOWN]} not measured yet" if counts[Standing.UNKNOWN] else "",
    ]
    return ", ".join(text for text in said if text) or "green"
