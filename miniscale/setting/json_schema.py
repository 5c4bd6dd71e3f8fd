"""JSON schemas (draft 7) of what YAML may hold, by the type hints that decode it; for editors."""

import ast
import inspect
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import Field, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from miniscale.setting.decode import (
    PLAIN,
    UNIONS,
    Above,
    Least,
    PartsOf,
    Rows,
    WrittenAs,
    is_required,
    keys_of,
    marks_of,
)

Schema = dict[str, Any]
Parts = Mapping[str, type]
"""``Class.field`` -> the dataclass of a mapping whose type only a higher layer knows."""

FILLED_IN = r"\$\{.+\}|^\?\?\?$"
"""Text that stands for any value: Hydra's interpolation, and ``???`` for one to be given."""
DRAFT = "http://json-schema.org/draft-07/schema#"
DEFAULTS: Schema = {
    "type": "array",
    "description": "Files that this one builds on, in order (Hydra's defaults list).",
}
SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string",
                           Path: "string"}  # fmt: skip


def file_schema(kind: type, *, title: str, parts: Parts, leaves_out: str = "") -> Schema:
    """Return the schema of a file that is written as a dataclass.

    Keys may be missing only from a file with a ``defaults`` list, and below its top level: what is
    missing there may come from another file.
    """
    schema = mapping_schema(kind, parts=parts, leaves_out=leaves_out)
    keys = keys_of(kind).items()
    required = [key for key, (f, _) in keys if is_required(f) and key != leaves_out]
    return {
        "$schema": DRAFT,
        "title": title,
        **schema,
        "properties": {"defaults": DEFAULTS, **schema["properties"]},
        "if": {"required": ["defaults"]},
        "else": {"required": required},
    }


def options_schema(
    options: Mapping[str, type], *, title: str, parts: Parts, is_open: bool
) -> Schema:
    """Return the schema of a group whose files say by ``name`` how they are written.

    ``is_open`` lets ``module:Class`` pass as a name, with any keys.
    """
    named: list[Schema] = [{"enum": list(options)}, *([{"pattern": ":"}] if is_open else [])]
    bodies = {name: mapping_schema(kind, parts=parts) for name, kind in options.items()}
    for body in bodies.values():
        body["properties"] = {"defaults": DEFAULTS, "name": {}, **body["properties"]}
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": {"name": {"anyOf": named}},
        "required": ["name"],
        "allOf": [
            {"if": {"properties": {"name": {"const": name}}, "required": ["name"]}, "then": body}
            for name, body in bodies.items()
        ],
    }


def mapping_schema(kind: type, *, parts: Parts, leaves_out: str = "") -> Schema:
    """Return the schema of a mapping that is decoded to a dataclass; no key is demanded."""
    words = describe_fields(kind)
    properties = {}
    for key, (field, hint) in keys_of(kind).items():
        part = parts.get(f"{kind.__name__}.{field.name}")
        value = mapping_schema(part, parts=parts) if part else value_schema(hint, parts=parts)
        if key != leaves_out and value is not None:
            about = {"description": words[field.name]} if field.name in words else {}
            properties[key] = {**about, **_with_default(value, field)}
    paragraph = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return {
        "description": " ".join(paragraph.split()),
        **_typed("object"),
        "properties": properties,
        "additionalProperties": False,
    }


def value_schema(hint: Any, *, parts: Parts) -> Schema | None:
    """Return the schema of a value of a type; None if it cannot be written."""
    marks = marks_of(hint)
    for mark in marks:
        if isinstance(mark, WrittenAs | PartsOf):
            is_part = isinstance(mark, PartsOf)
            return mapping_schema(mark.kind, parts=parts, leaves_out="name" if is_part else "")
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    origin, arguments = get_origin(bare), get_args(bare)
    if bare is Any:
        return {}
    if origin in UNIONS:
        kinds = [kind for kind in arguments if kind is not type(None)]
        single = value_schema(kinds[0], parts=parts)
        return single if len(kinds) == 1 else _typed(*(SCALARS[kind] for kind in kinds))
    if origin is tuple and any(isinstance(mark, Rows) for mark in marks):
        return {**_typed("array"), "items": {}}
    if origin is tuple:
        return {**_typed("array"), "items": _entry_schema(arguments[0], parts)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {**_typed("object"), "additionalProperties": _entry_schema(arguments[1], parts)}
    if origin is Literal:
        return _choice(list(arguments))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return _choice([member.value for member in bare])
    if isinstance(bare, type) and is_dataclass(bare):
        return mapping_schema(bare, parts=parts)
    return {**_typed(SCALARS[bare]), **_bound(bare, marks)} if bare in SCALARS else None


def describe_fields(kind: type) -> dict[str, str]:
    """Return what is said of a dataclass's fields: below each, or by name in the docstring."""
    words: dict[str, str] = {}
    for names, block in re.findall(
        r"^(\w+(?:, \w+)*)\n((?:    .+\n?)+)", inspect.getdoc(kind) or "", re.MULTILINE
    ):
        words |= dict.fromkeys(names.split(", "), " ".join(block.split()))
    definition = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(definition, ast.ClassDef)
    for node, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(node.target, ast.Name)
            words[node.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return words


def _typed(*names: str) -> Schema:
    """Return the schema of values of some types, or of text that is filled in."""
    if "string" in names:
        return {"type": sorted(set(names))}
    return {"type": [*sorted(names), "string"], "pattern": FILLED_IN}


def _choice(values: list[Any]) -> Schema:
    return {"anyOf": [{"enum": values}, {"type": "string", "pattern": FILLED_IN}]}


def _bound(kind: Any, marks: tuple[Any, ...]) -> Schema:
    """Return the bound of a number, as it is decoded: whole ones are not negative."""
    above = next((mark.bound for mark in marks if isinstance(mark, Above)), None)
    least = next((mark.bound for mark in marks if isinstance(mark, Least)), 0)
    if kind is int:
        return {"minimum": least}
    return {} if above is None else {"exclusiveMinimum": above}


def _entry_schema(kind: Any, parts: Parts) -> Schema:
    """Return the schema of one of several values: text may be a number, a key is a name."""
    if kind is str:
        return _typed(*SCALARS.values())
    if isinstance(kind, type) and is_dataclass(kind):
        return mapping_schema(kind, parts=parts, leaves_out="name")
    return value_schema(kind, parts=parts) or {}


def _with_default(schema: Schema, field: Field[Any]) -> Schema:
    """Add a default that can be written, and that null stands for it."""
    if is_required(field):
        return schema
    null: Schema = {"type": "null"}
    if "anyOf" in schema:
        schema = {**schema, "anyOf": [*schema["anyOf"], null]}
    elif "type" in schema:
        schema = {**schema, "type": [*schema["type"], "null"]}
    default = field.default.value if isinstance(field.default, Enum) else field.default
    is_plain = isinstance(default, PLAIN) and default not in (math.inf, "")
    return {**schema, "default": default} if is_plain else schema
