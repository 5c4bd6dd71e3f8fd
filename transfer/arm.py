"""Arms of a study by kind and number; the journal and people write them ``c17``."""

import re
from dataclasses import dataclass
from enum import StrEnum

from miniscale.setting.decode import InputError

_TEXT = re.compile(r"([cbg])(\d+)(?:-c(\d+))?")


class ArmKind(StrEnum):
    """What an arm is; the value is the letter that its text begins with."""

    BASELINE = "b"
    CHANGE = "c"
    STACK = "g"


@dataclass(frozen=True, order=True)
class ArmName:
    """One arm of a study: what trials are run of.

    Numbers count by kind: baselines from 0, changes and stacks from 1.

    >>> str(ArmName(ArmKind.CHANGE, 17)), str(ArmName(ArmKind.BASELINE, 1, left_out=3))
    ('c17', 'b1-c3')
    """

    kind: ArmKind
    number: int
    left_out: int | None = None
    """Number of the change that this part of a baseline is without; None for a whole arm."""

    def __str__(self) -> str:
        part = "" if self.left_out is None else f"-{ArmKind.CHANGE}{self.left_out}"
        return f"{self.kind}{self.number}{part}"


FIRST_BASELINE = str(ArmName(ArmKind.BASELINE, 0))
"""What the first changes of every study are measured against."""


def read_arm(text: str) -> ArmName:
    """Return the arm that a text names.

    >>> read_arm("b1-c3").left_out
    3

    Raises
    ------
    InputError
        If the text names none.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InputError(f"arm '{text}': must be like c17, g2, b1 or b1-c3; give one of the study")
    kind, number, left_out = match.groups()
    return ArmName(ArmKind(kind), int(number), int(left_out) if left_out else None)


def part_without(baseline: str, change: str) -> str:
    """Return the text of the arm that is a baseline without one of its changes."""
    return str(ArmName(ArmKind.BASELINE, read_arm(baseline).number, read_arm(change).number))
