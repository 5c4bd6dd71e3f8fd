"""A design written down: the ladder's YAML, the evidence as JSON, and whether it still holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from miniscale.setting.rung import Rung
from transfer.design.chosen_ladder import DesignAnswer, by_price, shrink_line
from transfer.design.run_design import DesignRun
from transfer.ladder import Ladder, panel_digest

VERSION = 1


def flow(value: object) -> str:
    """Write plain data in YAML's flow style, as OmegaConf reads it back."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return json.dumps(value, ensure_ascii=False)


def evidence(found: DesignRun, ladder: Ladder) -> dict[str, Any]:
    """Return what the ladder's file says of its own design; a study shows it in one line."""
    one = found.inside
    value, low, high = one.stated if one else (0.0, 0.0, 0.0)
    return {
        "line": shrink_line(found),
        "accuracy": round(value, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "n": one.n if one else 0,
        "price": found.ask.limit,
        "setting": ladder.setting.content_digest,
        "panel": panel_digest(ladder),
    }


def ladder_yaml(
    found: DesignRun, said: DesignAnswer, ladder: Ladder, *, setting: str, panel: str
) -> str:
    """Return the ladder's file; ``setting`` and ``panel`` name the files that it stands on.

    Parameters
    ----------
    found
        What the design found out.
    said
        The ladder that it came to.
    ladder
        Carries the name.
    setting
        Name of the setting's file.
    panel
        Name of the panel's file.
    """
    unit = {"seconds": "s", "flops": "FLOPs"}.get(found.form.cost, found.form.cost)
    scale = "time" if found.form.cost == "seconds" else found.form.cost
    target = float(f"{said.target:.4g}")
    lines = [
        f"# Designed by `python -m transfer design +setting={setting}`, path {said.path.name}:",
        f"# {shrink_line(found)}.",
        f"# Rungs are named by how often they go into the price of {found.form.expensive_name}.",
        "defaults:",
        f"  - /setting: {setting}",
        *([f"  - /panel: {panel}"] if panel else []),
        "  - _self_",
        f"name: {ladder.name}",
        f"about: {flow(said.path.about or said.path.name)}",
        f"scale: {flow({'name': scale, 'unit': unit})}",
        f"target: {flow({'name': found.form.expensive_name, 'scale': target})}",
        "rungs:",
        *[f"  {rung.name}: {flow(_rung(rung))}" for rung in said.rungs],
        "matches:",
        *[f"  - {flow(text)}" for text in said.matches],
        "unmatched:",
        *[f"  - {flow(text)}" for text in said.unmatched or ("nothing that its dials show",)],
        f"design: {flow(evidence(found, ladder))}",
    ]
    return "\n".join(lines) + "\n"


def _rung(rung: Rung) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "scale": rung.scale,
        "seconds": rung.seconds,
        **({"noise": rung.noise} if rung.noise else {}),
        "params": dict(rung.params),
        **({"rules": dict(rung.rules)} if rung.rules else {}),
        "seeds": rung.seeds,
        "max_seeds": rung.max_seeds,
        "baseline_seeds": rung.baseline_seeds,
        "timeout_s": rung.timeout_s,
        "memory_gb": rung.memory_gb,
        "threads": rung.threads,
    }
    return {**shown, "gpus": rung.gpus} if rung.gpus else shown


def record(
    found: DesignRun, said: DesignAnswer | None, ladder: Ladder, lines: list[str]
) -> dict[str, Any]:
    """Return all of a design as plain JSON data."""
    content = json.loads(json.dumps(ladder.setting.content()))
    return {
        "version": VERSION,
        "name": ladder.name,
        **evidence(found, ladder),
        "content": content,
        "request": {**asdict(found.ask), "budget": _finite(found.ask.budget)},
        "dials": found.form.expensive,
        "price_law": found.prices.seconds.words("seconds"),
        "rules": [{**asdict(rule), "is_needed": rule.is_needed} for rule in found.rules],
        "rules_checked": [asdict(check.direct) for check in found.checks],
        "reference": {
            "cell": found.top.name,
            "dials": dict(found.top.dials),
            "price": found.top_price,
            "is_expensive": found.is_expensive,
        },
        "cells": [
            {
                "cell": one.cell.name,
                "path": one.cell.path,
                "dials": dict(one.cell.dials),
                "rules": dict(one.cell.rung.rules),
                "price": one.price,
                "state": str(one.state),
                "why": one.why,
                "judged": asdict(one.judged) if one.judged else None,
            }
            for one in by_price(found.standings)
        ],
        "paths": [{**asdict(one), "fate": str(one.fate)} for one in found.verdicts],
        "chosen": found.chosen.cell.name if found.chosen else None,
        "inside": asdict(found.inside) if found.inside else None,
        "outside": asdict(found.outside) if found.outside else None,
        "resolves": said.resolves if said else None,
        "spent": found.spent,
        "spent_on_reference": found.spent_on_top,
        "exhaustive": found.exhaustive,
        "notes": list(found.notes),
        "words": lines,
    }


def _finite(value: float) -> float | None:
    return value if value != float("inf") else None
