"""Schemas of all files in ``conf/``, by which editors complete and check them."""

import json
from pathlib import Path

from autoresearch.build_study import JobKeys
from autoresearch.proposer.make_proposer import AGENTS
from autoresearch.tracking.tracker import TrackerConfig
from miniscale.__main__ import TrialKeys
from miniscale.setting.compose import conf_folder
from miniscale.setting.json_schema import Schema, file_schema, options_schema
from miniscale.setting.keys import RunnerKeys
from miniscale.setting.setting import Setting
from transfer.change import PanelKeys
from transfer.commands.audit import AuditKeys
from transfer.commands.design import DesignKeys
from transfer.design.space import shrink_rules
from transfer.design.space.shrink_dials import Shrinkable
from transfer.ladder import LadderKeys
from transfer.policy.registry import POLICIES, policy_class

PROGRAMS = {"audit": AuditKeys, "config": JobKeys, "design": DesignKeys, "train": TrialKeys}
"""File -> what it holds beside the groups and Hydra's own settings."""
GROUPS = {
    "ladder": LadderKeys,
    "panel": PanelKeys,
    "path": shrink_rules.Path,
    "runner": RunnerKeys,
    "setting": Setting,
    "tracker": TrackerConfig,
}
PARTS = {"Setting.design": Shrinkable}


def make_schemas() -> dict[str, Schema]:
    """Return the schema of each group, and of each file that a program begins with, by name."""
    schemas = {
        name: file_schema(kind, title=f"{name}.yaml", parts=PARTS)
        for name, kind in PROGRAMS.items()
    }
    for schema in schemas.values():
        schema["properties"]["hydra"] = {"type": "object"}
    for name, kind in GROUPS.items():
        schemas[name] = file_schema(kind, title=f"{name}/NAME.yaml", parts=PARTS)
    policies = {name: policy_class(name) for name in POLICIES}
    for name, options in (("agent", AGENTS), ("policy", policies)):
        schemas[name] = options_schema(
            options, title=f"{name}/NAME.yaml", parts=PARTS, is_open=name == "policy"
        )
    return schemas


def write_schemas(folder: Path | None = None) -> list[Path]:
    """Write the schemas, into ``conf/schema`` if no folder is named; return their paths."""
    folder = folder or conf_folder() / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in sorted(make_schemas().items()):
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(f"{json.dumps(schema, indent=1, ensure_ascii=False)}\n")
    return paths
