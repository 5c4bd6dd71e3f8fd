"""Public tables replayed: how forecasts, takings and whole campaigns come out.

    python benchmarks/transfer_tables.py [TABLES]

TABLES is a folder of tables: public sources under the names that
benchmarks/public_tables/public_readers.py reads (gadre, marin_optimizers, misfitting, nanochat,
steplaw, supercollapse, and for noise modded_nanogpt), and csv files with the columns arm, scale,
seed, loss. By default the small copies in tests/data. A source that states no open licence is used
where it lies and marked *.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from public_tables.campaigns import choices, far_forecasts
from public_tables.campaigns_bowl import Grid, grid_of, ladder_of_cells, regret_curve
from public_tables.public_readers import (
    read_tables,
    seed_noise,
    steplaw_moe_runs,
    steplaw_runs,
)
from public_tables.public_table import Table
from public_tables.replay import ReplayRow, as_forecaster, by_trend, cases_of, score
from public_tables.replay_fading import fading_learned
from public_tables.replay_forecasts import LEARNERS, LearnedDoubt, by_atoms

from miniscale.setting.setting import Kind

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "transfer_tables.json"
BUDGETS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.1, 12.3)
LARGEST = ((1073741824.0, 20e9), (1073741824.0, 56.9e9))
FEWEST = 40
"""Settings that a cell must have to be a target."""


def plain(value: Any) -> Any:
    """Return data that JSON has a word for: what is not a number becomes null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_rows(name: str, rows: Sequence[ReplayRow]) -> None:
    print(f"\n{name}")
    print(
        f"  {'source':34}{'cases':>6}{'calls':>6}{'right':>13}{'stated':>7}{'Brier':>7}"
        f"{'cover':>13}{'width':>6} | x{'factor':>5}{'cover':>13}{'width':>6}"
    )
    for row in rows:
        mark = "" if row.is_shipped else "*"
        print(
            f"  {row.name + mark:34}{row.n:6}{row.calls:6}"
            f"{row.right:8.3f}±{row.right_se:.2f}{row.stated:7.3f}{row.brier:7.3f}"
            f"{row.coverage:8.3f}±{row.coverage_se:.2f}{row.width:6.2f} |"
            f"{row.factor:7.2f}{row.wide_coverage:8.3f}±{row.wide_coverage_se:.2f}"
            f"{row.wide_width:6.2f}"
        )


def replay(tables: Sequence[Table]) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for name, learner in LEARNERS.items():
        rows = score(tables, learner())
        print_rows(name, rows)
        found[name] = [asdict(row) for row in rows]
    return found


def takings(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """The fixed threshold and forecasters, on the same cases; doubt learned on other sources."""
    found = []
    for source, kind in (
        ("marin_optimizers", Kind.STRUCTURAL),
        ("steplaw", Kind.HYPERPARAMETER),
    ):
        cases = [c for t in tables if t.source == source for c in cases_of(t)[0] if c.kind is kind]
        others = [c for t in tables if t.source != source for c in cases_of(t)[0]]
        if not cases:
            continue
        rules = {
            "atoms": as_forecaster(by_atoms),
            "atoms, doubt learned": LearnedDoubt()(others),
            "trend": as_forecaster(by_trend),
        }
        print(f"\nwhich to take: {source}, {len(cases)} cases")
        for choice in choices(cases, rules):
            print(
                f"  {choice.rule:24} taken {choice.taken:4}  precision {choice.precision:.3f}"
                f"±{choice.precision_se:.3f}  recall {choice.recall:.3f}"
                f"  precision at the threshold's recall {choice.same_recall_precision:.3f}"
            )
            found.append({"source": source, **asdict(choice)})
    return found


def far(folder: Path) -> list[dict[str, Any]]:
    gain_forecasts = {"atoms": by_atoms, "trend": by_trend}
    rows = far_forecasts(folder, gain_forecasts, {"atoms, fading learned": fading_learned})
    print("\nMarin gains at 1.2B (nats of loss, mean absolute error)")
    for row in rows:
        print(
            f"  up to {row.upto} ({row.compute:.1%})  {row.method:32} "
            f"{row.error:.4f}±{row.error_se:.4f}  covered {row.coverage:.2f}"
        )
    return [asdict(row) for row in rows]


def targets(folder: Path) -> Iterator[tuple[str, bool, Grid]]:
    """Yield (name, whether it took no part in choosing the policy's constants, grid)."""
    dense = steplaw_runs(folder)
    experts = steplaw_moe_runs(folder)
    for frame, label in ((experts, "moe"), (dense, "dense")):
        cells = frame.group_by("N", "D").len().filter(pl.col("len") >= FEWEST).sort("N", "D")
        for n, d, _ in cells.iter_rows():
            grid = grid_of(frame, n=n, d=d)
            if len(ladder_of_cells(grid)) >= 3:
                is_held = any(math.isclose(n, a) and math.isclose(d, b) for a, b in LARGEST)
                yield f"{label} {n / 1e9:.2f}B {d / 1e9:g}B tokens", is_held, grid


def regrets(folder: Path) -> list[dict[str, Any]]:
    """Regret against compute: the largest cells, and the mean over all others as target."""
    found: list[dict[str, Any]] = []
    for name, is_held, grid in targets(folder):
        points = [asdict(p) for p in regret_curve(grid, BUDGETS)]
        found.append({"target": name, "held_out": is_held, "curve": points})
    print("\nstep-law: regret (nats) of the setting taken, by budget in runs of the target cell")
    print(f"  {'':34}" + "".join(f"{budget:9.1f}" for budget in BUDGETS))
    for row in found:
        if row["held_out"]:
            values = [p["regret"] for p in row["curve"]]
            print(f"  {row['target']:34}" + "".join(f"{v:9.4f}" for v in values))
    rest = np.array([[p["regret"] for p in r["curve"]] for r in found if not r["held_out"]])
    if len(rest):
        error = rest.std(axis=0, ddof=1) / math.sqrt(len(rest))
        print(
            f"  {f'mean of {len(rest)} other targets':34}"
            + "".join(f"{v:9.4f}" for v in rest.mean(axis=0))
        )
        print(f"  {'standard error':34}" + "".join(f"{v:9.4f}" for v in error))
    return found


def noise(folder: Path) -> list[dict[str, Any]]:
    """Seed noise of single-scale logs: sd, degrees of freedom, groups."""
    path = folder / "modded_nanogpt" / "runs.csv"
    if not path.is_file():
        return []
    runs = pl.read_csv(path, infer_schema_length=None).drop_nulls(["final_val_loss"])
    done = runs.filter((pl.col("final_step") == pl.col("steps")) & (pl.col("final_val_loss") < 3.5))
    found = []
    for (track,), rows in done.group_by("track", maintain_order=True):
        sd, df, groups = seed_noise(rows, ["group", "steps"], "final_val_loss")
        print(f"\nmodded_nanogpt {track}: seed noise {sd:.5f} nats, {df} df, {groups} groups")
        found.append({"track": str(track), "sd": sd, "df": df, "groups": groups})
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("tables", nargs="?", type=Path, default=ROOT / "tests" / "data")
    options.add_argument("--out", type=Path, default=RESULTS)
    given = options.parse_args()
    start = time.process_time()
    tables = read_tables(given.tables)
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "sources": {t.source: {"licence": t.licence or "none stated: not shipped"} for t in tables},
        "replay": replay(tables),
        "takings": takings(tables),
    }
    if (given.tables / "marin_optimizers").is_dir():
        record["far"] = far(given.tables / "marin_optimizers")
    if (given.tables / "steplaw").is_dir():
        record["regret"] = regrets(given.tables / "steplaw")
    record["noise"] = noise(given.tables)
    record["cpu_s"] = round(time.process_time() - start, 1)
    print(f"\n* not shipped: its source states no licence\n{record['cpu_s']} s of CPU")
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(plain(record), indent=1) + "\n")


if __name__ == "__main__":
    main()
