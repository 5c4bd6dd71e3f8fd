"""Audit the nanochat CPU ladder by the panel that nanochat_sweep.py measured.

``python benchmarks/nanochat_audit.py`` prints and writes results/nanochat_audit.json:

- the scaled ladder from d2 to d4, d4 playing the target;
- forecasts from d2 to d4 against d5, which none of them saw;
- the variant whose learning rates do not scale with width, from d2 to d4, on the same changes as
  the scaled one: at d2 both are the same runs by construction.

Works on whatever rows there are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from miniscale.setting.compose import compose
from miniscale.setting.records import encode_record
from scaling.present.axes import render_png
from transfer.arm_table import BASELINE
from transfer.audit import audit_text
from transfer.audit.audit_plot import forecasts
from transfer.audit.audit_result import Audit
from transfer.audit.judge_panel import audit
from transfer.audit.load_panel_runs import Run, Runs, checked, named_panel, read_runs
from transfer.change import Change
from transfer.commands.audit import audited_ladder
from transfer.ladder import Ladder, decode_ladder

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "nanochat_audit.csv"
UNSCALED = "unscaled "
SAME = "d2"
"""The rung where the variant's rates are the scaled ones: the rule is anchored there."""


def ladder_of(top: str = "") -> tuple[Ladder, dict[str, Change]]:
    """Return the CPU ladder, with a held-out size on top if one is named, and its panel."""
    raw: dict[str, Any] = compose(["+ladder=nanochat", "rung=d2"], [], name="train")["ladder"]
    ladder = decode_ladder(raw, roots=[])
    panel = named_panel(ladder, list(raw["panel"]["changes"]))
    return audited_ladder(ladder, (), top), panel


def variant(ladder: Ladder, panel: dict[str, Change]) -> Runs | None:
    """Return the runs of the variant, None before there are any above the lowest rung."""
    frame = pl.read_csv(TABLE)
    arms = [arm for arm in frame["name"].unique() if arm.startswith(UNSCALED)]
    runs = []
    for row in frame.iter_rows(named=True):
        name, is_variant = row["name"].removeprefix(UNSCALED), row["name"] in arms
        is_shared = row["rung"] == SAME and UNSCALED + name in arms
        if (is_variant or is_shared) and (name in panel or name == BASELINE):
            runs.append(Run(name, row["rung"], row["seed"], row["val_bpb"]))
    if len({run.rung for run in runs}) < 2:
        return None
    return checked(ladder, panel, runs)


def common(runs: Runs, other: Runs) -> Runs:
    """Return the runs whose arm, rung and seed the other set has too; the baseline's all."""
    kept = {(run.arm, run.rung, run.seed) for run in other.runs}
    rungs = {run.rung for run in other.runs}
    shared = tuple(
        run
        for run in runs.runs
        if (run.arm, run.rung, run.seed) in kept or (run.arm == BASELINE and run.rung in rungs)
    )
    arms = {run.arm for run in shared}
    return replace(runs, runs=shared, changes={n: c for n, c in runs.changes.items() if n in arms})


def main() -> int:
    """Compute every audit that the table allows; print and keep them."""
    ladder, panel = ladder_of()
    upper, _ = ladder_of("d5")
    scaled = read_runs(TABLE, ladder, panel)
    found: dict[str, Audit] = {"scaled, d2 to d4": audit(ladder, scaled)}
    found["scaled, d5 as the target"] = audit(upper, read_runs(TABLE, upper, panel))
    unscaled = variant(ladder, panel)
    if unscaled is not None:
        found["unscaled"] = audit(ladder, unscaled)
        found["scaled, the same runs"] = audit(ladder, common(scaled, unscaled))
    for name, one in found.items():
        sys.stdout.write(f"== {name}\n" + "\n".join(audit_text.lines(one)) + "\n\n")
    kept = {name: encode_record(one) | {"content": {}} for name, one in found.items()}
    (RESULTS / "nanochat_audit.json").write_text(json.dumps(kept, indent=1) + "\n")
    drawn = forecasts(found["scaled, d5 as the target"])
    (RESULTS / "nanochat_audit.png").write_bytes(render_png(drawn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
