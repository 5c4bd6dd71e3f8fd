"""The form of a reply as JSON schema, made from what the setting lets a change touch."""

from typing import Any

from miniscale.setting import Setting
from transfer.ladder import Ladder

Schema = dict[str, Any]


def reply_schema(ladder: Ladder, *, ideas: int, is_whole: bool = False) -> Schema:
    """Return the schema of ``{"ideas": [...]}``, strict: every key is required, none is free.

    Lengths are left out: some servers refuse them, and what is too long is cut when read.
    """
    setting = ladder.setting
    texts = {name: {"type": "string"} for name in ("title", "hypothesis", "category")}
    rungs = [*(rung.name for rung in ladder.rungs), "target"]
    properties: Schema = {
        **texts,
        "expected": _closed({name: {"type": "number"} for name in rungs}),
    }
    if setting.knobs:
        properties["knobs"] = {"type": "array", "items": _knob(setting)}
    if setting.editable:
        names = ("file", "content") if is_whole else ("file", "search", "replace")
        edit = _closed({name: {"type": "string"} for name in names})
        properties["edits"] = {"type": "array", "items": edit}
    items = {"type": "array", "items": _closed(properties), "minItems": 1, "maxItems": ideas}
    return _closed({"ideas": items})


def _closed(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _knob(setting: Setting) -> Schema:
    value = {"anyOf": [{"type": kind} for kind in ("number", "boolean", "string")]}
    return _closed({"name": {"type": "string", "enum": list(setting.knobs)}, "value": value})
