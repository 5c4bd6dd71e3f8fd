"""A number in what a program prints, looked for while it passes."""

import math

from miniscale.process.logs import terminal_lines
from miniscale.process.number_token import compile_mark, compile_pattern, find_number
from miniscale.run.reading.series import Series
from miniscale.setting.read_metrics import ReadingError

LINE_CHARACTERS = 16_384
"""Of a longer line the end is searched. # assumption: no number stands further from it"""


class LineSearch:
    """The numbers that a pattern finds in lines, and whether the end was marked after them.

    Parameters
    ----------
    take
        Which of the numbers counts.
    final
        What marks the end; '' if nothing does.
    """

    def __init__(self, pattern: str, *, take: str = "last", final: str = "") -> None:
        self._patterns = compile_pattern(pattern)
        self._marks = compile_mark(final) if final else ()
        self._said, self._final = pattern, final
        self._series = Series(take)
        self._is_final = not final

    @property
    def has_match(self) -> bool:
        """Whether anything was found."""
        return self._series.count > 0

    def search(self, text: str) -> None:
        """Search whole lines, none of which is longer than the cap."""
        if not any(p.search(text) for p in (*self._patterns, *self._marks)):
            return
        for line in text.split("\n"):
            number = find_number(line, self._patterns)
            if number is not None:
                self._series.add(number)
                self._is_final = not self._marks
            self._is_final |= any(mark.search(line) for mark in self._marks)

    def number(self, *, where: str) -> float:
        """Return the number that counts; one that is not finite needs no end to be marked.

        Raises
        ------
        ReadingError
            If nothing matched, what matched is no number, or the end is not marked.
        """
        if not self.has_match:
            raise ReadingError(f"{where}: no line matches {self._said!r}")
        number = self._series.number(where=where)
        if not self._is_final and math.isfinite(number):
            raise ReadingError(
                f"{where}: no final value, no line with {self._final!r} came at or after the last "
                f"match of {self._said!r}"
            )
        return number


class Printed:
    """Turns what arrives in pieces into lines as a terminal would leave them, for searches."""

    def __init__(self, *searches: LineSearch) -> None:
        self._searches = searches
        self._open_line = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece and search the lines that it completes."""
        data = self._open_line + chunk
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._open_line = data[end:][-LINE_CHARACTERS:]
        if end:
            self._pass_on(data[:end])

    def finish(self) -> None:
        """Search the last line, which may lack its end."""
        self._pass_on(self._open_line)
        self._open_line = b""

    def _pass_on(self, data: bytes) -> None:
        text = "\n".join(line[-LINE_CHARACTERS:] for line in terminal_lines(data))
        for search in self._searches:
            search.search(text)
