"""Read numbers out of files that a trainer left; never trust what kind of file it is."""

import json
import math
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

JSON_BYTES = 16_000_000
MOST_NUMBERS = 200
NAME_CHARACTERS = 80
_STEP = re.compile(r"([^.\[]+)\.?|\[([^\]]+)\]\.?")
_INDEX = re.compile(r"-?[0-9]{1,9}")


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
    data = parse_json(read_plain(path, limit_bytes=JSON_BYTES), name=name)
    if not isinstance(data, dict):
        raise ReadingError(f"{name}: holds a {type(data).__name__}, needs an object")
    return data


def parse_json(text: bytes, *, name: str) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ReadingError
        If it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ReadingError(f"{name}: not valid JSON, starts with {text[:60]!r}") from None


def value_at(data: object, key: str, *, name: str) -> Any:
    """Return what lies under a key of JSON data: ``runs[0].loss``, ``history.val[-1]``.

    A key with dots in it is found as it is, too.

    Raises
    ------
    ReadingError
        If there is no such key; the message names some that are there.
    """
    value, rest = data, key
    while rest:
        if isinstance(value, dict) and rest in value:
            return value[rest]
        step = _STEP.match(rest)
        part = rest if step is None else step[1] or step[2]
        rest = "" if step is None else rest[step.end() :]
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and _has(value, int(part)):
            value = value[int(part)]
        else:
            raise ReadingError(f"{name}: no key {key!r}; at {part!r} it has {_keys(value)}")
    return value


def _has(values: list[Any], index: int) -> bool:
    return -len(values) <= index < len(values)


def _keys(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(sorted(str(key)[:NAME_CHARACTERS] for key in value)[:8]) or "no keys"
    return f"a list of {len(value)}" if isinstance(value, list) else "no keys"


def as_number(value: object, *, what: str) -> float:
    """Return a number of JSON; it may be non-finite.

    Raises
    ------
    ReadingError
        If it is none.
    """
    if not _is_number(value):
        is_short = isinstance(value, str | bool | None)
        said = repr(str(value)[:60]) if is_short else f"a {type(value).__name__}"
        raise ReadingError(f"{what} is {said}, needs a number")
    return _as_float(value)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


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
