"""Speed of ``train.py`` on one thread, as a share of the machine's peak at float32 products.

``python benchmarks/train_speed.py`` measures peak and training in turn, three times, in one run:
on a shared machine both move together. Peak is the best of a 1,024-square product at precision
'highest'. Writes ``benchmarks/results/train_speed.json``.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CODE = ROOT / "miniscale" / "settings" / "nanochat"
RUNGS = {"d2": 1.268e11, "d4": 2.577e12}
SHARES = {"d2": 1.0, "d4": 0.1}  # of the rung's steps: d4 is steady long before its end
GOALS = {"d2": 0.35, "d4": 0.50}
PEAK = """
import time, torch
torch.set_num_threads(1); torch.set_float32_matmul_precision("highest")
a = torch.randn(1024, 1024); best = 1e9
for _ in range(60):
    start = time.perf_counter(); a @ a; best = min(best, time.perf_counter() - start)
print(2 * 1024**3 / best)
"""
TRAIN = """
import dataclasses, sys, train
planned = train.plan
def shortened(*args):  # the rung's own batch and rates, fewer steps
    plan = planned(*args)
    return dataclasses.replace(plan, steps=max(1, round(plan.steps * SHARE)))
train.plan = shortened
sys.exit(train.main(sys.argv[1:]))
"""


def peak_flops() -> float:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    return float(done.stdout)


def trained(rung: str, cache: Path) -> dict[str, float]:
    """Return tokens and FLOPs a second between the first and the last logged step."""
    with tempfile.TemporaryDirectory() as out:
        argv = [sys.executable, "-c", TRAIN.replace("SHARE", str(SHARES[rung]))]
        argv += [f"--data={cache}/train", f"--out={out}", f"--depth={rung[1:]}"]
        subprocess.run([*argv, f"--flops={RUNGS[rung]}"], cwd=CODE, check=True)
        spent = json.loads((Path(out) / "trainer.json").read_text())
        lines = [json.loads(x) for x in (Path(out) / "metrics.jsonl").read_text().splitlines()]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    share = (lines[-1]["step"] - lines[0]["step"]) / lines[-1]["step"]
    return {"tokens": share * spent["tokens"] / seconds, "flops": share * spent["flops"] / seconds}


def main() -> int:
    rows: dict[str, list[dict[str, float]]] = {rung: [] for rung in RUNGS}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        prepare = [sys.executable, "-m", "miniscale.settings.nanochat.prepare", f"--cache={cache}"]
        subprocess.run(prepare, cwd=ROOT, check=True, capture_output=True)
        for _ in range(3):
            peak = peak_flops()
            for rung, found in rows.items():
                speed = trained(rung, cache)
                found.append(speed | {"peak": peak, "share": speed["flops"] / peak})
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "rungs": {}}
    sys.stdout.write("rung   tokens/s   GFLOP/s   peak GFLOP/s   share (goal)\n")
    for rung, found in rows.items():
        mid = {key: statistics.median(row[key] for row in found) for key in found[0]}
        result["rungs"][rung] = {"median": mid, "runs": found, "goal": GOALS[rung]}
        sys.stdout.write(
            f"{rung}   {mid['tokens']:9,.0f}   {mid['flops'] / 1e9:7.1f}   "
            f"{mid['peak'] / 1e9:12.0f}   {mid['share']:.0%} ({GOALS[rung]:.0%})\n"
        )
    path = ROOT / "benchmarks" / "results" / "train_speed.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
