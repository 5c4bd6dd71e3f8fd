"""The form of a reply as JSON schema, made from what the setting lets a change touch."""

from typing import Any

from miniscale.setting.setting import Knob, Setting
from transfer.ladder import Ladder

Schema = dict[str, Any]


def reply_schema(
    ladder: Ladder, *, ideas: int, is_whole: bool = False, edits: bool = True
) -> Schema:
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
    is_edited = edits and bool(setting.editable)
    if setting.knobs:
        least = {} if is_edited else {"minItems": 1}
        properties["knobs"] = {
            "type": "array",
            "items": _knob(setting, is_gridded=not edits),
            **least,
        }
    if is_edited:
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


def _knob(setting: Setting, *, is_gridded: bool) -> Schema:
    """Return the schema of one knob's value: each name goes with values of its own type."""
    kinds = [
        _closed({"name": {"type": "string", "enum": [name]}, "value": _value(knob, is_gridded)})
        for name, knob in setting.knobs.items()
    ]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _value(knob: Knob, is_gridded: bool) -> Schema:
    if isinstance(knob.default, bool):
        return {"type": "boolean"}
    if isinstance(knob.default, str):
        return {"type": "string", **({"enum": list(knob.choices)} if knob.choices else {})}
    kind = "integer" if isinstance(knob.default, int) else "number"
    values = grid(knob) if is_gridded else []
    return {"type": kind, **({"enum": values} if values else {})}


def grid(knob: Knob) -> list[float]:
    """Return values over a knob's range, for models too small to keep to one by themselves.

    Eight of them, by ratio or evenly as the knob says; whole where the knob is. The default is
    left out. Empty for a knob without range.
    """
    if knob.choices:
        return [one for one in knob.choices if not isinstance(one, str) and one != knob.default]
    if knob.low is None or knob.high is None:
        return []
    low, high, is_ratio = knob.low, knob.high, knob.is_log and knob.low > 0
    shares = [n / 7 for n in range(8)]
    made = [low * (high / low) ** s if is_ratio else low + (high - low) * s for s in shares]
    values = [round(one) if isinstance(knob.default, int) else float(f"{one:.3g}") for one in made]
    return [one for one in dict.fromkeys(values) if low <= one <= high and one != knob.default]
