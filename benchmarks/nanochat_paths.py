"""Run nanochat's panel on the ways to shrink d5 that people take; append each run as it ends.

``python benchmarks/nanochat_paths.py [small|d5|rates] [SECONDS]`` starts no run after SECONDS:
``small`` are the cells below, ``d5`` the panel at d5 itself, ``rates`` the learning rate at d2 to
d5, from which the rule is fitted and, at d5, judged; without a word, all of them.

The table, ``results/nanochat_design.csv``, begins with the runs of ``nanochat_sweep.py audit`` as
the path ``compound`` (tokens a parameter and epochs as at d5, rates by the rule) and goes on with
every other path at about a thirtieth of d5's FLOPs:

- ``early_stop``            d5's plan, its first thirtieth
- ``data_only``             d5 on a thirtieth of its tokens, schedule whole
- ``unscaled_rate``         d5's own learning rates at d2 and d3
- ``unmatched_tokens``      another number of tokens a parameter at d2, d3 and d4
- ``unmatched_repetition``  the matched tokens, from a pool so small that it is read eight times

One trial at a time, one thread. A run that is in the table is not run again.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanochat_sweep import (
    AUDITED,
    CARRIED,
    CODE,
    RESULTS,
    ROOT,
    RUNGS,
    arguments,
    read,
    sorted_json,
)
from omegaconf import OmegaConf

TABLE = RESULTS / "nanochat_design.csv"
FIELDS = [
    "path", "rung", "depth", "flops", "stop", "pool", "rules", "arm", "knobs", "seed", "status",
    "value", "sealed_bpb", "tokens", "cost", "seconds",
]  # fmt: skip
TARGET, TEXT = RUNGS["d5"], 3_302_364  # tokens of the training text
TOKENS = {2: 286_464, 3: 659_968}  # of a matched run


@dataclass(frozen=True)
class Cell:
    """One size on one path; ``rules`` multiplies knobs of every arm."""

    path: str
    rung: str
    depth: int
    flops: float
    stop: float = 1.0
    pool: float = 1.0
    rules: str = "{}"


def kept_rates(depth: int) -> str:
    """Factor that undoes the rule's width^-0.8: what d5 was tuned to, at another depth."""
    return sorted_json({"lr_multiplier": round((depth / 5) ** 0.8, 4)})


def repeated(depth: int, epochs: int) -> float:
    return round(TOKENS[depth] / epochs / TEXT, 5)


D2, D3, D4 = RUNGS["d2"], RUNGS["d3"], RUNGS["d4"]
CELLS = (
    Cell("early_stop", "d5/30", 5, TARGET, stop=round(1 / 30, 4)),
    Cell("data_only", "d5/30", 5, round(TARGET / 30, -8)),
    Cell("unscaled_rate", "d2", 2, D2, rules=kept_rates(2)),
    Cell("unmatched_tokens", "d3x0.4", 3, 0.4 * D3),
    Cell("unmatched_repetition", "d2e8", 2, D2, pool=repeated(2, 8)),
    Cell("unmatched_tokens", "d2x2", 2, 2 * D2),
)
MORE = (
    Cell("unmatched_tokens", "d4x0.1", 4, 0.1 * D4),
    Cell("unscaled_rate", "d3", 3, D3, rules=kept_rates(3)),
    Cell("unmatched_repetition", "d3e8", 3, D3, pool=repeated(3, 8)),
)
STAND_IN = Cell("compound", "d5", 5, TARGET)

Job = tuple[Cell, str, int]


FACTORS = (0.5, 2.0, 0.25, 4.0, 0.7, 1.4)
SWEPT = (
    (Cell("compound", "d2", 2, D2), FACTORS, 4), (Cell("compound", "d3", 3, D3), FACTORS, 2),
    (Cell("compound", "d4", 4, D4), FACTORS[:2], 2), (STAND_IN, (2.0, 0.5, 0.7, 1.4), 1),
)  # fmt: skip


def small_jobs() -> Iterator[Job]:
    """The cells, those first that decide most: the changes that d5 was measured for."""
    first, rest = ("baseline", *CARRIED), AUDITED[len(CARRIED) :]
    for arms, cells, seed in (
        (first, CELLS, 0), (first, CELLS, 1), (rest, CELLS, 0), (rest, CELLS, 1),
        (first, MORE, 0), (rest, MORE, 0), (first, MORE, 1),
    ):  # fmt: skip
        yield from ((cell, arm, seed) for arm in arms for cell in cells)


def d5_jobs() -> Iterator[Job]:
    yield from ((STAND_IN, arm, 0) for arm in AUDITED)


def rate_jobs() -> Iterator[Job]:
    for cell, factors, seeds in SWEPT:
        for seed in range(seeds):
            yield from ((cell, f"lr_multiplier*{f:g}", seed) for f in factors)


JOBS = {"rates": rate_jobs, "d5": d5_jobs, "small": small_jobs}


def knobs_of(arm: str, panel: dict[str, Any]) -> dict[str, Any]:
    if "*" in arm:
        knob, factor = arm.split("*")
        return {knob: float(factor)}
    return {} if arm == "baseline" else dict(panel["changes"][arm]["knobs"])


def ruled(knobs: dict[str, Any], cell: Cell) -> str:
    """Knobs as they go to the trainer: the rule's factor on the default or on the edit."""
    factors = json.loads(cell.rules)
    return sorted_json(knobs | {k: f * knobs.get(k, 1.0) for k, f in factors.items()})


def run(job: Job, panel: dict[str, Any], cache: Path) -> dict[str, Any]:
    cell, arm, seed = job
    knobs = knobs_of(arm, panel)
    row: dict[str, Any] = cell.__dict__ | {"arm": arm, "knobs": sorted_json(knobs), "seed": seed}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        common = [f"--out={out}", f"--flops={cell.flops}", f"--stop={cell.stop}"]
        train = [sys.executable, "train.py", f"--data={cache}/train", f"--depth={cell.depth}"]
        train += [f"--pool={cell.pool}", f"--seed={seed}", *common, *arguments(ruled(knobs, cell))]
        code = subprocess.run(train, cwd=CODE, check=False).returncode
        row |= {"status": {0: "complete", 3: "diverged"}.get(code, "failed")}
        if code:
            return row
        score = [sys.executable, "-m", "miniscale.settings.nanochat.evaluate", f"--code={CODE}"]
        subprocess.run([*score, f"--data={cache}/heldout", *common], cwd=ROOT, check=True)
        scored = json.loads((Path(out) / "evaluation.json").read_text())
    row |= {"value": scored["val_bpb"], "sealed_bpb": scored["sealed_bpb"]}
    row |= {"tokens": scored["tokens"], "cost": scored["flops"]}
    return row | {"seconds": round(time.monotonic() - start, 2)}


def imported() -> Iterator[dict[str, Any]]:
    """Rows of the audit's table in this one's columns."""
    for old in read(RESULTS / "nanochat_audit.csv"):
        if old["name"].startswith("unscaled"):
            continue
        row: dict[str, Any] = {key: old[key] for key in ("rung", "flops", "knobs", "seed")}
        row |= {"path": "compound", "depth": int(old["rung"][1:]), "stop": 1.0, "pool": 1.0}
        row |= {"rules": "{}", "arm": old["name"], "status": old["status"]}
        row |= {"value": old["val_bpb"], "sealed_bpb": old["sealed_bpb"], "tokens": old["tokens"]}
        seconds = round(float(old["train_s"]) + float(old["evaluate_s"]), 2)
        yield row | {"cost": old["flops"], "seconds": seconds}


def append(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    is_new = not TABLE.exists()
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def main(argv: list[str]) -> int:
    kinds = [word for word in argv if word in JOBS] or list(JOBS)
    seconds = [word for word in argv if word not in JOBS]
    cache = Path(tempfile.gettempdir()) / "nanochat-sweep"
    prepare = [sys.executable, "-m", "miniscale.settings.nanochat.prepare", f"--cache={cache}"]
    subprocess.run(prepare, cwd=ROOT, check=True)
    panel: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "panel" / "nanochat.yaml"))
    if not TABLE.exists():
        append(imported())
    done = {(r["path"], r["rung"], r["arm"], int(r["seed"])) for r in read(TABLE)}
    end = time.monotonic() + float(seconds[0] if seconds else "inf")
    for job in (job for kind in kinds for job in JOBS[kind]()):
        cell, arm, seed = job
        if (cell.path, cell.rung, arm, seed) in done:
            continue
        if time.monotonic() > end:
            break
        row = run(job, panel, cache)
        append([row])
        said = f"{row.get('value')} in {row.get('seconds')} s"
        sys.stdout.write(f"{cell.path} {cell.rung} {arm} seed {seed}: {said}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
