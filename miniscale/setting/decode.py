"""Strict reading of plain configuration data; every message carries value, rule and next step."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any


class InputError(ValueError):
    """Something a person gave is wrong; the message is one line with value, rule and next step."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the most similar known word, as a hint to put at the end of a message."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(options) or 'none'}"


class Node:
    """One mapping of a configuration; each key is taken once and none may be left over.

    Parameters
    ----------
    data
        Plain data as YAML gives it.
    path
        Where the mapping stands, e.g. ``ladder.rungs.d2``; every message starts with it.
    """

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{path}: expected a mapping, got {data!r}; write 'key: value' lines")
        self._data: dict[str, Any] = {str(key): value for key, value in data.items()}
        self._taken: set[str] = set()
        self.path = path

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def raw(self, key: str, default: object = None) -> Any:
        """Take a value as it is; None where it is absent or null."""
        self._taken.add(key)
        value = self._data.get(key)
        return default if value is None else value

    def _required(self, key: str, kind: str) -> Any:
        value = self.raw(key)
        if value is None:
            raise InputError(f"{self.path}.{key}: missing, expected {kind}; add '{key}: …'")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Take a string."""
        if default is not None and key not in self:
            self._taken.add(key)
            return default
        value = self._required(key, "text")
        if not isinstance(value, str):
            raise InputError(f"{self.path}.{key}: expected text, got {value!r}; quote it")
        return value

    def number(self, key: str, default: float | None = None, *, above: float = -math.inf) -> float:
        """Take a finite number greater than ``above``."""
        if default is not None and key not in self:
            self._taken.add(key)
            return default
        value = self._required(key, "a number")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{self.path}.{key}: expected a number, got {value!r}")
        if not math.isfinite(value) or value <= above:
            raise InputError(f"{self.path}.{key}: got {value!r}, must be finite and above {above}")
        return float(value)

    def optional_number(self, key: str, *, above: float = -math.inf) -> float | None:
        """Take a number, or None where it is absent."""
        if key not in self:
            self._taken.add(key)
            return None
        return self.number(key, above=above)

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Take a whole number of at least ``least``."""
        if default is not None and key not in self:
            self._taken.add(key)
            return default
        value = self._required(key, "a whole number")
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not is_whole:
            raise InputError(f"{self.path}.{key}: expected int, got {value!r}")
        if value < least:
            raise InputError(f"{self.path}.{key}: got {value}, must be at least {least}")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise InputError(f"{self.path}.{key}: expected true or false, got {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of strings; empty where it is absent. Numbers become text."""
        value = self.raw(key, [])
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{self.path}.{key}: expected a list, got {value!r}; write [a, b]")
        return tuple(str(item) for item in value)

    def child(self, key: str) -> "Node":
        """Take a mapping; empty where it is absent."""
        return Node(self.raw(key, {}), f"{self.path}.{key}")

    def children(self, key: str) -> list[tuple[str, "Node"]]:
        """Take a mapping of mappings, in the order written."""
        outer = self.child(key)
        return [(name, outer.child(name)) for name in outer._data]

    def scalars(self, key: str) -> dict[str, Any]:
        """Take a mapping of names to plain values."""
        outer = self.child(key)
        for name, value in outer._data.items():
            if not isinstance(value, bool | int | float | str):
                raise InputError(f"{outer.path}.{name}: expected a plain value, got {value!r}")
        return dict(outer._data)

    def names(self) -> tuple[str, ...]:
        """Return all keys in the order written, taken or not."""
        return tuple(self._data)

    def rest(self) -> dict[str, Any]:
        """Take all keys that are left, as they are."""
        self._taken |= self._data.keys()
        return dict(self._data)

    def finish(self) -> None:
        """Refuse keys that nobody took.

        Raises
        ------
        InputError
            Naming the key and the nearest known one.
        """
        for key in self._data:
            if key not in self._taken:
                raise InputError(f"{self.path}.{key}: unknown key; {nearest(key, self._taken)}")
