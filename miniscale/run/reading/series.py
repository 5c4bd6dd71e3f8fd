"""Numbers of one metric in the order they came, of which the last, the best or a mean counts."""

import math
from collections import deque

from miniscale.process.number_token import parse_number, parse_take
from miniscale.setting.read_metrics import ReadingError


class Series:
    """What has come so far, as much of it as the answer needs.

    Parameters
    ----------
    take
        As :func:`miniscale.process.number_token.parse_take` reads it.
    """

    def __init__(self, take: str) -> None:
        self._how, self._length = parse_take(take)
        self._last: deque[float | str] = deque(maxlen=self._length)
        self._best: float | None = None
        self.count = 0

    def add(self, value: float | str) -> None:
        """Take the next number, or what was printed for it."""
        self.count += 1
        if isinstance(value, str):
            try:
                value = parse_number(value)
            except ValueError as error:
                self._last.append(f"{error}; the pattern must name what goes with it")
                return
        self._last.append(value)
        if self._how in ("min", "max") and math.isfinite(value):
            choose = min if self._how == "min" else max
            self._best = value if self._best is None else choose(self._best, value)

    def number(self, *, where: str) -> float:
        """Return the number that counts; not finite where the end of the series is not.

        Raises
        ------
        ReadingError
            If there are too few, or what stands at the end is no number.
        """
        if self.count < self._length or not self._last:
            raise ReadingError(f"{where}: {self.count} values, needs {self._length} for a mean")
        numbers = [value for value in self._last if not isinstance(value, str)]
        if len(numbers) < len(self._last):
            raise ReadingError(f"{where}: {next(v for v in self._last if isinstance(v, str))}")
        last = numbers[-1]
        if self._best is not None and math.isfinite(last):
            return self._best
        return sum(numbers) / len(numbers)
