"""Read numbers out of files that a trainer left; never trust what kind of file it is."""

import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any

JSON_BYTES = 16_000_000
MOST_NUMBERS = 200
NAME_CHARACTERS = 80


class ReadingError(ValueError):
    """The number is not there; the message says what was found instead."""


def read_plain(path: str, *, limit_bytes: int) -> bytes:
    """Return the content of a file that may be anything: no link, no pipe, no folder, not larger.

    Raises
    ------
    ReadingError
        If it is missing or no such file.
    """
    name = os.path.basename(path)
    try:
        # not blocking: a trainer may leave a pipe that nobody writes to
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise ReadingError(f"{name}: cannot be read ({error.strerror})") from None
    kind = os.fstat(handle)
    if not stat.S_ISREG(kind.st_mode) or kind.st_size > limit_bytes:
        os.close(handle)
        raise ReadingError(f"{name}: not a plain file of at most {limit_bytes} bytes")
    with open(handle, "rb") as file:
        return file.read(kind.st_size)


def load_json(path: str) -> dict[str, Any]:
    """Return the object in a JSON file, which must be a plain file of sane size.

    Raises
    ------
    ReadingError
        If it is missing, a link, a pipe, too large, or not a JSON object.
    """
    name = os.path.basename(path)
    text = read_plain(path, limit_bytes=JSON_BYTES)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ReadingError(f"{name}: not valid JSON, starts with {text[:60]!r}") from None
    if not isinstance(data, dict):
        raise ReadingError(f"{name}: holds a {type(data).__name__}, needs an object")
    return data


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_at(path: str, key: str) -> float:
    """Return the number under a dotted key of a JSON file; it may be non-finite.

    Raises
    ------
    ReadingError
        If the file, the key or a number under it is missing.
    """
    name = os.path.basename(path)
    value: Any = load_json(path)
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            has = ", ".join(sorted(map(str, value))[:8]) if isinstance(value, dict) else "no keys"
            raise ReadingError(f"{name}: no key {key!r}; at {part!r} it has {has}")
        value = value[part]
    if not _is_number(value):
        raise ReadingError(f"{name}: {key!r} is {str(value)[:60]!r}, needs a number")
    return _as_float(value)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number_in(text: str | None, pattern: str) -> float:
    """Return the number that a pattern found on standard output; it may be non-finite.

    Raises
    ------
    ReadingError
        If nothing matched or the match is no number.
    """
    if text is None:
        raise ReadingError(f"standard output: no line matches {pattern!r}")
    try:
        return float(text)
    except ValueError:
        raise ReadingError(f"standard output: {text[:60]!r} of {pattern!r} is no number") from None


def finite_numbers(data: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the top-level values of an object.

    A trainer chooses the names, and records keep them: at most 200, of 80 printable characters.
    """
    numbers = {k: _as_float(v) for k, v in data.items() if _is_number(v) and _is_name(k)}
    finite = [(name, value) for name, value in numbers.items() if math.isfinite(value)]
    return dict(finite[:MOST_NUMBERS])


def _is_name(text: str) -> bool:
    return len(text) <= NAME_CHARACTERS and text.isprintable()


def texts(data: object) -> dict[str, str]:
    """Return the text values of an object, such as its digests; empty if it is none."""
    if not isinstance(data, dict):
        return {}
    return {str(name): value for name, value in data.items() if isinstance(value, str)}
