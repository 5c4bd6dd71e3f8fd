"""How far a command's trials have come: a bar at a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Trials done, trials in all, what runs now."""


def show_progress() -> Progress:
    """Return what writes progress to standard error."""
    is_terminal = sys.stderr.isatty()
    begun = last = time.monotonic()
    shown = 0

    def tell(done: int, n: int, words: str) -> None:
        nonlocal begun, last, shown
        if done <= shown:
            begun = last  # another batch, which began where the last one ended
        last, shown = time.monotonic(), done
        text = bar(done, n, words, spent=last - begun)
        if is_terminal:
            end = "\n" if done == n else ""
            sys.stderr.write(f"\r\x1b[K{text[:110]}{end}")
        elif done == n or done % max(1, n // 10) == 0:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    return tell


def bar(done: int, n: int, words: str, *, spent: float, width: int = 24) -> str:
    """Write one line of progress with the time that is left after so many seconds.

    >>> bar(6, 12, "a on d2", spent=120.0, width=4)
    '6/12 ██··  2 min left  a on d2'
    """
    full = round(width * done / n)
    left = spent / done * (n - done) if done else 0.0
    return f"{done}/{n} {'█' * full}{'·' * (width - full)}  {left / 60:.0f} min left  {words}"
