"""Run the nanochat setting over rungs, seeds and knobs; append each run to a table as it ends.

``python benchmarks/nanochat_sweep.py lr``      global learning-rate multipliers on every rung
``python benchmarks/nanochat_sweep.py panel``   every change of the panel at the lower rungs
``python benchmarks/nanochat_sweep.py audit``   what an audit needs: the panel to d4, a part at d5,
                                                and the same over a baseline of unscaled rates
``python benchmarks/nanochat_sweep.py report``  what both tables say, and the law of the baseline

Two trials side by side, one thread each. A run that is in the table is not run again.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy.optimize import curve_fit

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CODE = ROOT / "miniscale" / "settings" / "nanochat"
FIELDS = [
    "rung", "flops", "name", "knobs", "seed", "status", "val_bpb", "sealed_bpb", "tokens",
    "train_s", "evaluate_s",
]  # fmt: skip
RUNGS = {"d2": 1.268e11, "d3": 6.696e11, "d4": 2.577e12, "d5": 7.944e12}
MULTIPLIERS = {
    "d2": ((1.0, 0.7, 1.4, 0.5, 2.0), 4),
    "d3": ((1.0, 0.7, 1.4, 0.5, 2.0), 4),
    "d4": ((1.0, 0.7, 1.4, 0.5, 2.0), 2),
    "d5": ((1.0, 0.7, 1.4), 1),
}


@dataclass(frozen=True)
class Job:
    """One run."""

    rung: str
    name: str
    knobs: str  # JSON, sorted: part of a run's identity in the table
    seed: int


def lr_jobs() -> Iterator[Job]:
    for rung, (multipliers, seeds) in MULTIPLIERS.items():
        for seed in range(seeds):
            for m in multipliers:
                yield Job(rung, f"lr x{m:g}", json.dumps({"lr_multiplier": m}), seed)


def panel_jobs(rungs: dict[str, int]) -> Iterator[Job]:
    panel: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "panel" / "nanochat.yaml"))
    for rung, seeds in rungs.items():
        for seed in range(seeds):
            for name, change in panel["changes"].items():
                if not change.get("control"):
                    yield Job(rung, name, json.dumps(change["knobs"], sort_keys=True), seed)


# Of every kind and sign, half expected to hurt; those carried to d5 were named before any ran.
AUDITED = (
    "no_qk_norm", "gelu", "swiglu", "longer_warmdown", "half_batch", "half_lr", "weight_averaging",
    "adamw_for_muon", "no_value_embeddings", "no_smear", "momentum_90", "narrow_mlp", "beta2_99",
    "rope_base_1000", "tied_head", "final_lr",
)  # fmt: skip
CARRIED = AUDITED[:8]
VARIANT = AUDITED[:12]
BASELINE_SEEDS = {"d2": 6, "d3": 4, "d4": 2, "d5": 2}


def audit_jobs() -> Iterator[Job]:
    panel: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "panel" / "nanochat.yaml"))
    edits: dict[str, dict[str, Any]] = {n: panel["changes"][n]["knobs"] for n in AUDITED}
    unscaled = {"lr_width_scaling": False}
    for rung, n in BASELINE_SEEDS.items():
        yield from (Job(rung, "baseline", "{}", seed) for seed in range(n if rung != "d5" else 0))
    for rung, seed in (("d2", 0), ("d2", 1), ("d3", 0), ("d3", 1), ("d4", 0)):
        yield from (Job(rung, name, sorted_json(edits[name]), seed) for name in AUDITED)
    yield Job("d5", "baseline", "{}", 0)
    yield from (Job("d5", name, sorted_json(edits[name]), 0) for name in CARRIED)
    for rung, seed in (("d3", 0), ("d4", 0), ("d3", 1)):
        yield Job(rung, "unscaled baseline", sorted_json(unscaled), seed)
        for name in VARIANT:
            yield Job(rung, f"unscaled {name}", sorted_json(edits[name] | unscaled), seed)
    yield from (Job("d4", name, sorted_json(edits[name]), 1) for name in AUDITED)
    yield Job("d5", "baseline", "{}", 1)


def sorted_json(knobs: dict[str, Any]) -> str:
    return json.dumps(knobs, sort_keys=True)


def arguments(knobs: str) -> list[str]:
    return [f"--{k}={str(v).lower()}" for k, v in json.loads(knobs).items()]


def run(job: Job, cache: Path) -> dict[str, Any]:
    flops = RUNGS[job.rung]
    row: dict[str, Any] = {"rung": job.rung, "flops": flops, "name": job.name, "knobs": job.knobs}
    with tempfile.TemporaryDirectory() as out:
        common = [f"--out={out}", f"--flops={flops}"]
        train = [sys.executable, "train.py", f"--data={cache}/train", f"--depth={job.rung[1:]}"]
        train += [f"--seed={job.seed}", *common, *arguments(job.knobs)]
        code = subprocess.run(train, cwd=CODE, check=False).returncode
        row |= {"seed": job.seed, "status": {0: "complete", 3: "diverged"}.get(code, "failed")}
        if code:
            return row
        score = [sys.executable, "-m", "miniscale.settings.nanochat.evaluate", f"--code={CODE}"]
        score += [f"--data={cache}/heldout", *common]
        subprocess.run(score, cwd=ROOT, check=True)
        scored = json.loads((Path(out) / "evaluation.json").read_text())
        spent = json.loads((Path(out) / "trainer.json").read_text())
    row |= {key: scored[key] for key in ("val_bpb", "sealed_bpb", "tokens")}
    return row | {"train_s": spent["seconds"], "evaluate_s": scored["seconds"]}


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open() as file:
        return list(csv.DictReader(file))


def sweep(jobs: Iterator[Job], table: Path, cache: Path) -> None:
    done = {(r["rung"], r["knobs"], int(r["seed"])) for r in read(table)}
    todo = [job for job in jobs if (job.rung, job.knobs, job.seed) not in done]
    if not table.exists():
        table.write_text(",".join(FIELDS) + "\n")
    lock = Lock()

    def one(job: Job) -> None:
        row = run(job, cache)
        with lock, table.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS, lineterminator="\n").writerow(row)
        sys.stdout.write(f"{job.rung} {job.name} seed {job.seed}: {row.get('val_bpb')}\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, todo))


Scores = dict[tuple[str, str], dict[int, float]]


def scores(table: Path) -> Scores:
    """Return bits per byte by rung, name and seed."""
    found: Scores = defaultdict(dict)
    for row in read(table):
        if row["status"] == "complete":
            found[row["rung"], row["name"]][int(row["seed"])] = float(row["val_bpb"])
    return found


def law(base: dict[str, dict[int, float]]) -> tuple[float, float, float]:
    """Fit E + A C^-alpha to the baseline's means; return E, A at 1e12 FLOPs, alpha."""
    x = np.array([RUNGS[r] / 1e12 for r in base])
    y = np.array([np.mean(list(v.values())) for v in base.values()])
    fit, _ = curve_fit(lambda c, e, a, p: e + a * c**-p, x, y, p0=(1.0, 0.6, 0.16), maxfev=20000)
    return float(fit[0]), float(fit[1]), float(fit[2])


def slopes(base: dict[str, dict[int, float]]) -> dict[str, float]:
    """Bits per byte that a nat of compute is worth at each rung, by the law."""
    e, a, p = law(base)
    say(f"law of the baseline: E = {e:.3f}, A = {a:.3f} at 1e12 FLOPs, alpha = {p:.3f}")
    pooled = [np.var(list(v.values()), ddof=1) for v in base.values() if len(v) > 1]
    slope = {}
    for rung, values in base.items():
        c = RUNGS[rung] / 1e12
        slope[rung] = a * p * c**-p
        x = np.array(list(values.values()))
        sd = x.std(ddof=1) if len(x) > 1 else float(np.sqrt(np.mean(pooled)))
        off = x.mean() - e - a * c**-p
        say(
            f"  {rung} {RUNGS[rung]:.3e} FLOPs  {x.mean():.4f} sd {sd:.4f} n {len(x)}  "
            f"{100 * sd / slope[rung]:.1f} % of compute a run  off the law by {off:+.4f} bpb"
        )
    for budget, prototype in ((2.5e11, 1.895), (1.3e12, 1.680), (5.2e12, 1.533)):
        say(f"  at {budget:.1e} FLOPs {e + a * (budget / 1e12) ** -p:.3f} (prototype {prototype})")
    return slope


def compare(found: Scores, base: dict[str, dict[int, float]], slope: dict[str, float]) -> None:
    """Print each change against the baseline by paired seeds; positive is better."""
    for (rung, name), values in sorted(found.items()):
        shared = sorted(set(values) & set(base.get(rung, {})))
        if not shared or values is base[rung]:
            continue
        d = np.array([base[rung][s] - values[s] for s in shared])
        se = d.std(ddof=1) / len(d) ** 0.5 if len(d) > 1 else float("nan")
        line = f"{d.mean():+.4f} +- {se:.4f} bpb  {100 * d.mean() / slope[rung]:+6.1f} % compute"
        flag = "  BETTER by more than two standard errors" if d.mean() > 2 * se else ""
        say(f"  {rung} {name:24s} {line}  n {len(d)}{flag}")


def pooled_noise(found: Scores, slope: dict[str, float]) -> None:
    """Print seed noise pooled over all arms of a rung, of one run and of a pair of runs."""
    for rung in slope:
        arms = [v for (r, _), v in found.items() if r == rung and len(v) > 1]
        if not arms:
            continue
        own = [np.var(list(v.values()), ddof=1) for v in arms]
        base = found[rung, "lr x1"]
        pairs = [[base[s] - v[s] for s in v if s in base] for v in arms if v is not base]
        run, pair = np.sqrt(np.mean(own)), np.sqrt(np.mean([np.var(p, ddof=1) for p in pairs]))
        say(
            f"  {rung} pooled over {len(arms)} arms: one run {run:.4f} bpb = "
            f"{100 * run / slope[rung]:.1f} % of compute, a paired difference {pair:.4f} = "
            f"{100 * pair / slope[rung]:.1f} %"
        )


def report() -> None:
    lr = scores(RESULTS / "nanochat_sweep.csv")
    base = {rung: lr[rung, "lr x1"] for rung in RUNGS if (rung, "lr x1") in lr}
    slope = slopes(base)
    pooled_noise(lr, slope)
    compare(lr, base, slope)
    compare(scores(RESULTS / "nanochat_panel.csv"), base, slope)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main(argv: list[str]) -> int:
    if argv == ["report"]:
        report()
        return 0
    cache = Path(tempfile.gettempdir()) / "nanochat-sweep"
    prepare = [sys.executable, "-m", "miniscale.settings.nanochat.prepare", f"--cache={cache}"]
    subprocess.run(prepare, cwd=ROOT, check=True)
    RESULTS.mkdir(exist_ok=True)
    if argv == ["lr"]:
        sweep(lr_jobs(), RESULTS / "nanochat_sweep.csv", cache)
    elif argv == ["audit"]:
        sweep(audit_jobs(), RESULTS / "nanochat_audit.csv", cache)
    elif argv[:1] == ["panel"]:
        rungs = dict(item.split("=") for item in argv[1:] or ["d2=2"])
        jobs = panel_jobs({rung: int(seeds) for rung, seeds in rungs.items()})
        sweep(jobs, RESULTS / "nanochat_panel.csv", cache)
    else:
        sys.stderr.write("nanochat_sweep: say lr, panel [d2=2 d3=1 ...], audit or report\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
