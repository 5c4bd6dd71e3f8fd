"""Run the panel of a setting on its expensive form and on ways to shrink it.

``python benchmarks/settings_panels.py vision|tabular [SECONDS]``, SECONDS after which no run starts

Every run is a row of ``results/vision_design.csv`` or ``results/tabular_design.csv``: path and
rung, the dials, rules (factors on knobs, for every arm), arm, seed, value, cost and seconds. The
paths are those of conf/path; ``sweep`` moves the baseline's rate at three sizes, which is where the
rules come from. One trial at a time, one thread. A run that is in the table is not run again.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miniscale.run import prepare_data
from miniscale.setting.command import render
from miniscale.setting.compose import compose
from miniscale.setting.setting import Setting, decode_setting

RESULTS = Path(__file__).parent / "results"
SCORES = ("value", "sealed", "extra", "cost", "seconds")


@dataclass(frozen=True)
class Cell:
    """One size on one path; ``rules`` multiplies knobs of every arm."""

    path: str
    rung: str
    dials: Mapping[str, float]
    rules: Mapping[str, float] = field(default_factory=dict)


Job = tuple[Cell, str, int]


@dataclass(frozen=True)
class Plan:
    """What is run of a setting."""

    expensive: Cell
    small: tuple[Cell, ...]
    sweep: tuple[Cell, ...]
    sealed: str  # metrics that are kept beside the objective
    extra: str
    cost: str


def vision(path: str, rung: str, width: int, images: int, pool: int, **more: Any) -> Cell:
    stop = more.pop("stop", 1.0)
    dials = {"width": width, "depth": 2, "images": images, "pool": pool}
    return Cell(path, rung, dials | {"stop": stop, "resolution": 28}, more)


def tabular(path: str, rung: str, rows: int, trees: int, **more: Any) -> Cell:
    stop = more.pop("stop", 1.0)
    return Cell(path, rung, {"rows": rows, "trees": trees, "stop": stop}, more)


# Parameters go as width^2 in vision, as trees in tabular: matched data go with them. The factors
# are those that the sweeps found.
PLANS = {
    "vision": Plan(
        expensive=vision("expensive", "w24", 24, 60_000, 15_000),
        small=(
            vision("width_only", "w8", 8, 6_667, 1_667, lr=3.0),
            vision("unscaled_rate", "w8", 8, 6_667, 1_667),
            vision("data_only", "w24/30", 24, 2_000, 500),
            vision("early_stop", "w24/30", 24, 60_000, 15_000, stop=0.0333),
            vision("unmatched_repetition", "w8", 8, 6_667, 15_000, lr=3.0),
            vision("width_only", "w12", 12, 15_000, 3_750, lr=2.0),
            vision("unmatched_tokens", "w8x3", 8, 20_000, 5_000, lr=3.0),
        ),
        sweep=tuple(
            vision("sweep", f"w{w}lr{m:g}", w, 60_000 * w**2 // 576, 15_000 * w**2 // 576, lr=m)
            for w, factors in ((8, (1, 2, 4, 8)), (12, (1, 2, 4)), (24, (0.5, 2)))
            for m in factors
        ),
        sealed="sealed_loss", extra="val_accuracy", cost="flops",
    ),
    "tabular": Plan(
        expensive=tabular("expensive", "t800", 260_000, 800),
        small=(
            tabular("compound", "t80", 26_000, 80),
            tabular("data_only", "r10k", 10_000, 800),
            tabular("early_stop", "t800/30", 260_000, 800, stop=0.0333),
            tabular("unmatched_tokens", "t27", 260_000, 27),
            tabular("compound", "t200", 65_000, 200),
        ),
        sweep=tuple(
            tabular("sweep", f"t{t}lr{m:g}", 325 * t, t, learning_rate=m)
            for t, factors in ((80, (0.25, 0.5, 2)), (200, (0.5, 2)), (800, (0.5, 2)))
            for m in factors
        ),
        sealed="sealed_rmse", extra="val_mae", cost="work",
    ),
}  # fmt: skip


def jobs(plan: Plan, arms: tuple[str, ...]) -> Iterator[Job]:
    """All runs: what sets the rules, then arm by arm, so that a table cut short is of use."""
    yield from ((cell, "baseline", 0) for cell in plan.sweep)
    for seed in (0, 1):
        yield from ((cell, arm, seed) for arm in arms for cell in (*plan.small, plan.expensive))


def ruled(knobs: dict[str, Any], rules: Mapping[str, float]) -> dict[str, Any]:
    return {name: value * rules[name] if name in rules else value for name, value in knobs.items()}


def run(job: Job, setting: Setting, plan: Plan, edits: Mapping[str, Any], cache: Path) -> Any:
    cell, arm, seed = job
    knobs = ruled(setting.defaults() | dict(edits[arm]), cell.rules)
    row: dict[str, Any] = {"path": cell.path, "rung": cell.rung, **cell.dials}
    row |= {"rules": json.dumps(dict(cell.rules)), "arm": arm, "seed": seed}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        values: dict[str, Any] = {
            **cell.dials,
            "python": sys.executable,
            "seed": seed,
            "threads": 1,
        }
        values |= {"out": out, "tree": str(setting.source), "cache": str(cache)}
        argv = render(setting.command, values, knobs=knobs)
        code = subprocess.run(argv, cwd=setting.source, check=False).returncode
        row["status"] = {0: "complete", 3: "diverged"}.get(code, "failed")
        if code:
            return row
        subprocess.run(render(setting.evaluator, values, knobs=knobs), check=True)
        found = json.loads((Path(out) / "trainer.json").read_text())
        found |= json.loads((Path(out) / "evaluation.json").read_text())
    keys = (setting.objective.reading.key, plan.sealed, plan.extra, plan.cost)
    row |= dict(zip(SCORES, (found[key] for key in keys), strict=False))
    return row | {"seconds": round(time.monotonic() - begun, 2)}


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open() as file:
        return list(csv.DictReader(file))


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in PLANS:
        sys.stderr.write(f"settings_panels: say {' or '.join(PLANS)}\n")
        return 2
    name, plan = argv[0], PLANS[argv[0]]
    end = time.monotonic() + float(argv[1] if len(argv) > 1 else "inf")
    raw: Any = compose([f"+ladder={name}"], [], name="config")["ladder"]
    setting = decode_setting(raw["setting"], "setting", roots=[])
    changes = {n: c["knobs"] for n, c in raw["panel"]["changes"].items() if not c.get("control")}
    edits = {"baseline": {}, **changes}
    cache, table = Path(tempfile.gettempdir()) / f"panels-{name}", RESULTS / f"{name}_design.csv"
    prepare_data.prepare(setting, cache)
    keys = ("path", "rung", *plan.expensive.dials, "rules", "arm", "seed")
    done = {tuple(row[k] for k in ("path", "rung", "arm", "seed")) for row in read(table)}
    for job in jobs(plan, tuple(edits)):
        cell, arm, seed = job
        if (cell.path, cell.rung, arm, str(seed)) in done:
            continue
        if time.monotonic() > end:
            break
        row = run(job, setting, plan, edits, cache)
        is_new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.DictWriter(file, (*keys, "status", *SCORES), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        said = f"{row.get('value')} in {row.get('seconds')} s"
        sys.stdout.write(f"{cell.path} {cell.rung} {arm} seed {seed}: {said}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
