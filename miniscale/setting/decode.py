"""The one way from plain configuration data to frozen dataclasses: strict, by their type hints.

A type says its keys, defaults and rules once; what is wrong is said in a line with the path, the
value, the rule and the next step.
"""

import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
PLAIN = (bool, int, float, str)
UNIONS = (Union, types.UnionType)


class InputError(ValueError):
    """Something a person gave is wrong; the message is one line with value, rule and next step."""


@dataclass(frozen=True)
class Key:
    """Under which key a field is written, where that is not its own name."""

    name: str


@dataclass(frozen=True)
class Above:
    """A number must be greater than this."""

    bound: float


@dataclass(frozen=True)
class Least:
    """A whole number must not be less than this."""

    bound: int


@dataclass(frozen=True)
class WrittenAs:
    """A field is written as another dataclass, whose ``build()`` returns the field's value."""

    kind: type


@dataclass(frozen=True)
class Rows:
    """A list may also be a list of lists, which become one with this word between them."""

    between: str


@dataclass(frozen=True)
class PartsOf:
    """A mapping holds keys of this dataclass, checked where they are used; for editors."""

    kind: type


Positive = Annotated[float, Above(0.0)]
Count = Annotated[int, Least(1)]
Whole = Annotated[int, Least(0)]


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the most similar known word, as a hint to put at the end of a message."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(options) or 'none'}"


def as_mapping(data: object, path: str) -> dict[str, Any]:
    """Return a mapping with keys as text.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: expected a mapping, got {data!r}; write 'key: value' lines")
    return {str(key): value for key, value in data.items()}


def keys_of(kind: type) -> dict[str, tuple[Field[Any], Any]]:
    """Return what a dataclass is written with: key -> field and type hint, marks included."""
    hints = get_type_hints(kind, include_extras=True)
    fields_by_key = {}
    for field in fields(kind):
        hint = hints[field.name]
        key = next((mark.name for mark in marks_of(hint) if isinstance(mark, Key)), field.name)
        if field.init:
            fields_by_key[key] = (field, hint)
    return fields_by_key


def marks_of(hint: Any) -> tuple[Any, ...]:
    """Return what stands beside the type in an ``Annotated``."""
    return tuple(hint.__metadata__) if get_origin(hint) is Annotated else ()


def is_required(field: Field[Any]) -> bool:
    """Whether a field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def decode(kind: type[T], data: object, path: str, **given: object) -> T:
    """Build a frozen dataclass from plain data; what is absent or null keeps its default.

    Parameters
    ----------
    kind
        The dataclass. Its ``__post_init__`` may refuse with a ValueError ``key: why``.
    data
        Plain data as YAML gives it.
    path
        Where it stands, e.g. ``ladder.rungs.d2``; every message starts with it.
    **given
        Fields whose value is known and which are not written, such as a name that is a key.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    written = as_mapping(data, path)
    known = {k: pair for k, pair in keys_of(kind).items() if pair[0].name not in given}
    for key in written:
        if key not in known:
            raise InputError(f"{path}.{key}: unknown key; {nearest(key, known)}")
    values = dict(given)
    for key, (field, hint) in known.items():
        if written.get(key) is not None:
            values[field.name] = read_value(hint, written[key], f"{path}.{key}")
        elif is_required(field):
            raise InputError(f"{path}.{key}: missing, expected {_words(hint)}; add '{key}: …'")
    try:
        return kind(**values)
    except ValueError as error:
        root = path.partition(".")[0]
        words = str(error)
        raise InputError(words if words.startswith(root) else f"{path}.{words}") from None


def read_value(hint: Any, value: Any, path: str) -> Any:
    """Read a value in its declared type."""
    marks = marks_of(hint)
    for mark in marks:
        if isinstance(mark, WrittenAs):
            return decode(mark.kind, value, path).build()
        if isinstance(mark, Rows):
            value = _joined(value, mark.between)
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    origin = get_origin(bare)
    if bare is Any:
        return value
    if origin in UNIONS:
        return _one_of(get_args(bare), value, path)
    if origin is tuple:
        return _items(get_args(bare)[0], value, path)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        key_kind, kind = get_args(bare)
        return _entries(key_kind, kind, as_mapping(value, path), path)
    if origin is Literal or (isinstance(bare, type) and issubclass(bare, Enum)):
        return _choice(bare, value, path)
    if isinstance(bare, type) and is_dataclass(bare):
        return decode(bare, value, path)
    return _scalar(bare, value, path, marks)


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    """Read a value of a union: ``X | None`` is X, plain values stay what they are."""
    rest = tuple(kind for kind in kinds if kind is not type(None))
    if len(rest) == 1:
        return read_value(rest[0], value, path)
    if isinstance(value, int) and not isinstance(value, bool) and int not in rest:
        value = float(value)
    if not isinstance(value, rest) or (isinstance(value, bool) and bool not in rest):
        raise InputError(f"{path}: expected a plain value, got {value!r}")
    return value


def _joined(value: Any, between: str) -> Any:
    """Return a list of lists as one; anything else as it is."""
    if not isinstance(value, list | tuple) or not any(isinstance(v, list | tuple) for v in value):
        return value
    rows = [row if isinstance(row, list | tuple) else [row] for row in value]
    return [word for n, row in enumerate(rows) for word in ([between] * bool(n) + list(row))]


def _items(kind: Any, value: Any, path: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InputError(f"{path}: expected a list, got {value!r}; write [a, b]")
    return tuple(_contained(kind, item, f"{path}[{n}]") for n, item in enumerate(value))


def _entries(key_kind: type, kind: Any, data: dict[str, Any], path: str) -> dict[Any, Any]:
    """Read a mapping's entries; a dataclass with a field ``name`` takes its key as such."""
    if is_dataclass(kind) and isinstance(kind, type) and "name" in keys_of(kind):
        return {key: decode(kind, v, f"{path}.{key}", name=key) for key, v in data.items()}
    try:
        return {key_kind(k): _contained(kind, v, f"{path}.{k}") for k, v in data.items()}
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: a key is no number ({error}); correct it") from None


def _contained(kind: Any, value: Any, path: str) -> Any:
    """Read one of several values; among texts, numbers are text too."""
    return str(value) if kind is str and isinstance(value, PLAIN) else read_value(kind, value, path)


def _choice(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) is Literal:
        known, build = get_args(kind), str
    else:
        known, build = tuple(str(member.value) for member in kind), kind
    if value not in known:
        hint = nearest(str(value), known)
        closest = f"; {hint}" if hint.startswith("did") else ""
        closest = "; write it in quotes" if isinstance(value, bool) else closest
        raise InputError(f"{path}: got {value!r}, must be one of {', '.join(known)}{closest}")
    return build(value)


def _scalar(kind: Any, value: Any, path: str, marks: tuple[Any, ...]) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{path}: expected true or false, got {value!r}")
        return value
    if kind is str or kind is Path:
        if not isinstance(value, str):
            raise InputError(f"{path}: expected text, got {value!r}; quote it")
        return kind(value)
    if kind is int:
        return _whole(value, path, marks)
    if kind is not float:
        raise InputError(f"{path}: cannot be set in configuration; leave it out")
    above = next((mark.bound for mark in marks if isinstance(mark, Above)), -math.inf)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{path}: expected a number, got {value!r}")
    if not math.isfinite(value) or value <= above:
        raise InputError(f"{path}: got {value!r}, must be finite and above {above}")
    return float(value)


def _whole(value: Any, path: str, marks: tuple[Any, ...]) -> int:
    least = next((mark.bound for mark in marks if isinstance(mark, Least)), 0)
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole:
        raise InputError(f"{path}: expected int, got {value!r}")
    if value < least:
        raise InputError(f"{path}: got {value}, must be at least {least}")
    return int(value)


def _words(hint: Any) -> str:
    """Say in words what a missing key should hold."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if is_dataclass(bare) or get_origin(bare) not in (None, tuple):
        return "a mapping"
    names = {str: "text", Path: "text", float: "a number", int: "a whole number"}
    return "a list" if get_origin(bare) is tuple else names.get(bare, "a value")
