"""Sums of floats that do not depend on the order in which trials end."""

import math


class ExactSum:
    """A sum of floats that is rounded only when it is read; what was added can be taken out.

    Non-overlapping partial sums (Shewchuk, 1997), so the order of adding does not matter.

    >>> total = ExactSum()
    >>> for term in (1e16, 1.0, -1e16):
    ...     total.add(term)
    >>> total.value
    1.0
    """

    __slots__ = ("_partials",)

    def __init__(self) -> None:
        self._partials: list[float] = []

    def add(self, term: float) -> None:
        """Add a finite number."""
        partials = []
        for part in self._partials:
            large, small = (term, part) if abs(term) >= abs(part) else (part, term)
            term = large + small
            lost = small - (term - large)
            if lost:
                partials.append(lost)
        partials.append(term)
        self._partials = partials

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return math.fsum(self._partials)
