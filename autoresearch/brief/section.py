"""Parts of a brief, and how they are fitted into a budget of tokens."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def tokens_of(text: str) -> int:
    """Estimate tokens from above: three bytes each (code has 3.3, English 4)."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 3)


@dataclass(frozen=True)
class Asking:
    """What a brief asks for."""

    ideas: int = 1
    mend: str = ""
    """Arm of a crashed change that should be mended."""
    program: str = ""
    proposer: str = ""
    edits: bool = True
    """Whether files are shown, since they may be edited."""


@dataclass(frozen=True)
class Section:
    """A titled part; ``weight`` 0 is told in full, others share what is left by weight.

    Lines stand in order of importance: the last ones are left out first.
    """

    title: str
    lines: tuple[str, ...]
    weight: float = 0.0
    left_out: str = "more"

    def text(self, n: int | None = None) -> str:
        """Return the section with its first n lines."""
        if not self.lines:
            return ""
        shown = list(self.lines if n is None else self.lines[:n])
        missing = len(self.lines) - len(shown)
        if missing:
            shown.append(f"… and {missing} {self.left_out}")
        return "\n".join([f"# {self.title}", *shown, "", ""])


class TooLong(Exception):
    """What must be told does not fit into the budget."""

    def __init__(self, tokens: int) -> None:
        super().__init__(f"the brief takes {tokens} tokens at the least")
        self.tokens = tokens


def fitted(sections: Sequence[Section], *, budget: int) -> str:
    """Return sections in order, the elastic ones cut so that all fit.

    Raises
    ------
    TooLong
        If those filled in full take more than the budget.
    """
    filled = [section for section in sections if section.lines]
    least = sum(tokens_of(section.text(0 if section.weight else None)) for section in filled)
    if least > budget:
        raise TooLong(least)
    room = budget - least
    counts = {section.title: 0 for section in filled if section.weight}
    elastic = sorted((s for s in filled if s.weight), key=lambda section: -section.weight)
    weights = sum(section.weight for section in elastic)
    for share in (True, False):
        for section in elastic:
            most = room * section.weight / weights if share else room
            most = min(most, room)
            n, taken = _filled(section, counts[section.title], most)
            counts[section.title] = n
            if not share:
                room -= taken
        if share:
            room -= sum(_cost(s.lines[: counts[s.title]]) for s in elastic)
    return "".join(s.text(counts[s.title] if s.weight else None) for s in filled).rstrip() + "\n"


def _filled(section: Section, start: int, most: float) -> tuple[int, int]:
    """Return how many lines fit beyond the first ``start``, all counted, and their tokens."""
    taken, n = 0, start
    for line in section.lines[start:]:
        cost = _cost([line])
        if taken + cost > most:
            break
        taken += cost
        n += 1
    return n, taken


def _cost(lines: Iterable[str]) -> int:
    return sum(tokens_of(line + "\n") for line in lines)
