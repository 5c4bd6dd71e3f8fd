"""Editors know what YAML may hold: schemas made from the types, that hold for every file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from oracle import ROOT

from autoresearch.config_schema import make_schemas, write_schemas

CONF = ROOT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
SCHEMAS = make_schemas()
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
         "number": (int, float)}  # fmt: skip
MARK = "# yaml-language-server: $schema="


def has_type(value: object, name: str) -> bool:
    if name == "integer":
        return has_type(value, "number") and float(value).is_integer()  # type: ignore[arg-type]
    is_number = name == "number" and isinstance(value, bool)
    return isinstance(value, KINDS[name]) and not is_number  # type: ignore[arg-type]


def faults(schema: dict[str, Any], value: Any, path: str = "") -> list[str]:
    """Say where a value breaks a schema, by the words of draft 7 that ours are written in."""
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(has_type(value, name) for name in types):
        return [f"{path}: no {' or '.join(types)}"]
    wrong = [] if value in schema.get("enum", [value]) else [f"{path}: none of {schema['enum']}"]
    wrong += [] if value == schema.get("const", value) else [f"{path}: another value"]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        wrong.append(f"{path}: text")
    if has_type(value, "number"):
        is_low = value < schema.get("minimum", value)
        wrong += (
            [f"{path}: low"] if is_low or value <= schema.get("exclusiveMinimum", -1e99) else []
        )
    options = [faults(option, value, path) for option in schema.get("anyOf", [])]
    wrong += options[0] if options and all(options) else []
    for part in schema.get("allOf", []):
        wrong += faults(part, value, path)
    if "if" in schema:
        branch = "else" if faults(schema["if"], value) else "then"
        wrong += faults(schema.get(branch, {}), value, path)
    if isinstance(value, dict):
        wrong += [
            f"{path}.{key}: missing" for key in schema.get("required", []) if key not in value
        ]
        properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, item in value.items():
            if key not in properties and other is False:
                wrong.append(f"{path}.{key}: unknown")
            rule = properties.get(key, other if isinstance(other, dict) else {})
            wrong += faults(rule, item, f"{path}.{key}")
    for n, item in enumerate(value if isinstance(value, list) else []):
        wrong += faults(schema.get("items", {}), item, f"{path}[{n}]")
    return wrong


def loaded(path: Path) -> Any:
    """Return a file as it is written, nothing filled in."""
    plain = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return json.loads(json.dumps(plain))  # keys are text


def group_of(path: Path) -> str:
    return path.relative_to(CONF).parts[0].removesuffix(".yaml")


def test_the_schemas_that_ship_are_those_of_the_types(tmp_path: Path) -> None:
    made = {path.name: path.read_text() for path in write_schemas(tmp_path)}
    shipped = {path.name: path.read_text() for path in (CONF / "schema").iterdir()}
    assert made == shipped, "run 'python -m autoresearch schema'"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_a_shipped_file_names_its_schema_and_holds_to_it(path: Path) -> None:
    head = path.read_text().splitlines()[:2]  # Hydra wants its own mark first
    line = next(line for line in head if line.startswith(MARK))
    named = (path.parent / line.removeprefix(MARK)).resolve()
    assert named == CONF / "schema" / f"{group_of(path)}.json"
    assert not faults(json.loads(named.read_text()), loaded(path))


def test_every_schema_says_what_its_keys_mean() -> None:
    rungs = SCHEMAS["ladder"]["properties"]["rungs"]["additionalProperties"]["properties"]
    assert rungs["cost"]["description"].startswith("What one trial takes from the budget")
    assert rungs["seeds"]["default"] == 2
    dials = SCHEMAS["setting"]["properties"]["design"]["properties"]["dials"]
    assert "role" in dials["additionalProperties"]["properties"]
    policies = {part["if"]["properties"]["name"]["const"]: part["then"]
                for part in SCHEMAS["policy"]["allOf"]}  # fmt: skip
    futility = policies["trend"]["properties"]["futility"]["description"]
    assert futility.startswith("Odds of a gain at the target below which a change is stopped")


@pytest.mark.parametrize(
    ("file", "keys", "value", "expected"),
    [
        ("ladder/oracle.yaml", "rungs.small.sclae", 3, ".rungs.small.sclae: unknown"),
        ("ladder/oracle.yaml", "rungs.small.scale", 0, ".rungs.small.scale: low"),
        ("ladder/oracle.yaml", "rungs.small.seeds", 0, ".rungs.small.seeds: low"),
        ("ladder/oracle.yaml", "rungs.small.seeds", 1.5, ".rungs.small.seeds: no integer"),
        ("ladder/oracle.yaml", "rungs.small.name", "s", ".rungs.small.name: unknown"),
        ("ladder/oracle.yaml", "rung_defaults.sedes", 3, ".rung_defaults.sedes: unknown"),
        ("ladder/oracle.yaml", "target", [], ".target: no object"),
        ("setting/oracle.yaml", "knobs.gain.kind", "structure", ".knobs.gain.kind: none of"),
        ("setting/oracle.yaml", "knobs.gain.lo", 1, ".knobs.gain.lo: unknown"),
        ("setting/oracle.yaml", "objective.direction", "down", ".objective.direction: none of"),
        ("setting/oracle.yaml", "design.dials.compute.rol", "s", ".design.dials.compute.rol: unk"),
        ("setting/oracle.yaml", "command", "python", ".command: text"),
        ("panel/oracle.yaml", "changes.good.titel", "x", ".changes.good.titel: unknown"),
        ("path/compound.yaml", "rules", "no", ".rules: text"),
        ("agent/openai.yaml", "brief_tokens", 10, ".brief_tokens: low"),
        ("agent/openai.yaml", "knobs_at_once", 1, ".knobs_at_once: unknown"),
        ("agent/search.yaml", "name", "serach", ".name: none of"),
        ("policy/atoms.yaml", "rules.odd", 0.6, ".rules.odd: unknown"),
        ("policy/ttest.yaml", "control", "holm", ".control: none of"),
        ("runner/local.yaml", "slots", 0, ".slots: low"),
        ("tracker/wandb.yaml", "mode", "on", ".mode: none of"),
        ("config.yaml", "study.sed", 1, ".study.sed: unknown"),
    ],
)
def test_a_slip_is_found_at_its_key(file: str, keys: str, value: object, expected: str) -> None:
    data = loaded(CONF / file)
    *parents, leaf = keys.split(".")
    inner = data
    for key in parents:
        inner = inner.setdefault(key, {})
    inner[leaf] = value
    wrong = faults(SCHEMAS[group_of(CONF / file)], data)
    assert any(fault.startswith(expected) for fault in wrong), wrong


def test_a_key_may_be_missing_only_where_other_files_may_give_it() -> None:
    assert faults(SCHEMAS["setting"], {"name": "mine", "source": "."}) == [
        ".command: missing",
        ".objective: missing",
    ]
    assert not faults(SCHEMAS["setting"], {"defaults": ["vision"], "name": "mine"})


@pytest.mark.parametrize("value", ["${oc.env:SEEDS}", "???", None])
def test_what_hydra_fills_in_may_stand_for_any_value(value: str | None) -> None:
    ladder = {"defaults": [], "rungs": {"small": {"seeds": value}}, "matches": value}
    assert not faults(SCHEMAS["ladder"], ladder)
