"""The one way from our own records to plain JSON data and back, by their type hints.

What a person writes is checked by :mod:`miniscale.setting.decode`; a record was written here, so
keys, types and ranges are taken at their word and only what would not fit is refused. Enums are
their values, tuples lists; a member of a union of dataclasses names its class under ``type``.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")
TAG = "type"
"""Key under which a member of a union says which it is."""


class Codec(NamedTuple):
    """Both directions of one type."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def encode_record(value: object, kind: Any = None) -> dict[str, Any]:
    """Return a dataclass as data that JSON takes; as a member of the union ``kind`` with its tag.

    What needs no change is not copied.
    """
    data: dict[str, Any] = codec_of(kind or cast("Any", type(value))).encode(value)
    return data


def decode_record(kind: type[T], data: object) -> T:
    """Rebuild what :func:`encode_record` returned; absent fields keep their defaults.

    Raises
    ------
    ValueError
        If a field is missing, unknown or holds what it cannot, or a union has no such member.
    """
    try:
        value: T = codec_of(cast("Any", kind)).decode(data)
    except (AttributeError, KeyError, TypeError) as error:
        name = getattr(kind, "__name__", "record")
        raise ValueError(f"no {name} can be made of it: {error}") from None
    return value


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there in whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)


@cache
def codec_of(kind: Any) -> Codec:
    """Return how a dataclass, or a union of them, is written and read."""
    codec = _codec(kind)
    if codec is None:
        raise TypeError(f"{kind}: is no record; give a dataclass, or a union of them")
    return codec


def _codec(hint: Any) -> Codec | None:
    """Return how a type is written and read; None where JSON has it as it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _codec(arguments[0])
    if origin in (Union, types.UnionType):
        return _union([kind for kind in arguments if kind is not types.NoneType])
    if origin in (tuple, list):
        return _sequence(origin, arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_codec(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {member.value: member for member in hint}
        return Codec(lambda member: member.value, members.__getitem__)
    return _dataclass(hint) if is_dataclass(hint) else None


def _dataclass(kind: Any) -> Codec:
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    codecs = {name: codec for name in names if (codec := _codec(hints[name])) is not None}
    encoders = [(name, codecs[name].encode if name in codecs else None) for name in names]
    decoders = [(name, codec.decode) for name, codec in codecs.items()]

    def encode(value: Any) -> dict[str, Any]:
        return {
            name: encoder(getattr(value, name)) if encoder else getattr(value, name)
            for name, encoder in encoders
        }

    def decode(data: Mapping[str, Any]) -> Any:
        values = dict(data)
        for name, decoder in decoders:
            if name in values:
                values[name] = decoder(values[name])
        return kind(**values)

    return Codec(encode, decode)


def _union(kinds: list[Any]) -> Codec | None:
    """Return the codec of what may be None, of dataclasses by their tag, or of plain values."""
    if len(kinds) == 1:
        codec = _codec(kinds[0])
        return codec and Codec(
            lambda value: None if value is None else codec.encode(value),
            lambda data: None if data is None else codec.decode(data),
        )
    if not all(is_dataclass(kind) for kind in kinds):
        return None
    tags = {kind: kind.__name__.lower() for kind in kinds}
    encoders = {kind: codec_of(kind).encode for kind in kinds}
    decoders = {tag: codec_of(kind).decode for kind, tag in tags.items()}

    def decode(data: Mapping[str, Any]) -> Any:
        values = dict(data)
        return decoders[values.pop(TAG)](values)

    return Codec(lambda value: {TAG: tags[type(value)], **encoders[type(value)](value)}, decode)


def _sequence(build: type, arguments: tuple[Any, ...]) -> Codec:
    item = _codec(arguments[0])
    if item is None or (build is tuple and arguments[1:] != (...,)):
        return Codec(list, build)
    return Codec(
        lambda values: [item.encode(value) for value in values],
        lambda data: build([item.decode(value) for value in data]),
    )


def _mapping(item: Codec | None) -> Codec | None:
    return item and Codec(
        lambda values: {key: item.encode(value) for key, value in values.items()},
        lambda data: {key: item.decode(value) for key, value in data.items()},
    )
