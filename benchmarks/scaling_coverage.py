"""How often forecasts are right, and how wrong they are: public tables and planted laws.

    python benchmarks/scaling_coverage.py TABLES [--planted 200]

TABLES is a folder of public tables (chinchilla_besiroglu, gadre, misfitting, steplaw, gemstones,
marin_optimizers, as named there). Every split holds out the largest rung or what lies above a cut.
The prior weights and the sharpness of the form average were chosen on those marked `tuned`; the
tables marked `held` took no part. Nominal 95 %.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl

from scaling.fit.form_fit import fit_form
from scaling.forecast import Forecast
from scaling.law.law_catalogue import HOFFMANN, POWER
from scaling.weighted_forecast import extrapolate

RESULTS = Path(__file__).resolve().parent / "results" / "scaling_coverage.jsonl"
CUTS = (3e19, 1e20, 3e20, 1e21)
Array = np.ndarray


@dataclass(frozen=True)
class Split:
    """Runs below a cut to fit, and those above it to forecast."""

    name: str
    group: str
    is_tuned: bool
    n: Array
    d: Array
    loss: Array
    run: Array
    below: Array


def plain(name: str, is_tuned: bool, frame: pl.DataFrame, cut: float, on: str = "N") -> Split:
    """Return a split of a frame with columns N, D, loss and maybe run at a cut of N or 6 N D."""
    frame = frame.drop_nulls(["N", "D", "loss"]).filter(pl.col("loss").is_finite())
    n, d, loss = (frame[c].cast(pl.Float64).to_numpy() for c in ("N", "D", "loss"))
    run = frame["run"].to_numpy() if "run" in frame.columns else np.arange(len(n))
    below = (n if on == "N" else 6 * n * d) < cut
    return Split(name, name.split()[0], is_tuned, n, d, loss, run, below)


def read(folder: Path, path: str) -> pl.DataFrame:
    return pl.read_csv(folder / path, infer_schema_length=None)


def splits(folder: Path) -> Iterator[Split]:
    yield from chinchilla(folder)
    yield from gadre(folder)
    table = read(folder, "misfitting/scaling_results_last_ckpt_only.csv")
    table = table.filter(pl.col("loss") < 20)
    for size, is_tuned in (("N", True), ("N_no_emb", False)):
        best = table.group_by(pl.col(size).alias("N"), "D").agg(pl.col("loss").min())
        yield plain(f"misfitting {size}", is_tuned, best, 1e9)
    dense = read(folder, "steplaw/dense_lr_bs_loss.csv")
    best = dense.group_by("N", "D").agg(pl.col("smooth loss").min().alias("loss"))
    yield plain("steplaw 1B", True, best, 1e9)
    experts = read(folder, "steplaw/moe_lr_bs_loss.csv")
    best = experts.group_by(pl.col("Na").alias("N"), "D")
    yield plain("steplaw-moe", False, best.agg(pl.col("smooth loss").min().alias("loss")), 1.2e9)
    yield from gemstones(folder)
    yield from marin(folder)


def chinchilla(folder: Path) -> Iterator[Split]:
    table = read(folder, "chinchilla_besiroglu/svg_extracted_data.csv")
    table = table.sort("loss", descending=True)[5:]
    size = pl.col("Model Size")
    table = table.select(N=size, D=pl.col("Training FLOP") / (6 * size), loss=pl.col("loss"))
    for cut in CUTS:
        yield plain(f"chinchilla {cut:.0e}", True, table, cut, on="C")


def gadre(folder: Path) -> Iterator[Split]:
    table = read(folder, "gadre/models_104.csv")
    sets = {"c4": "loss:c4_val/shard-{0000000..0000010}.tar",
            "openlm": "loss:openlm/shard_00000000.tar",
            "falcon": "loss:paloma_falcon-refinedweb/00000001.tar"}  # fmt: skip
    for name, column in sets.items():
        for recipe in table["dataset"].unique(maintain_order=True):
            part = table.filter(pl.col("dataset") == recipe)
            part = part.select(N="params", D="tokens", loss=pl.col(column))
            yield plain(f"gadre {recipe} {name}", name == "c4", part, 1e9)


def gemstones(folder: Path) -> Iterator[Split]:
    table = read(folder, "gemstones/runs.csv")
    for kind in ("hot", "cool_end", "lr_ablation_hot", "hot_100b+"):
        part = table.filter((pl.col("set") == kind) & pl.col("params_active_precise").is_not_nan())
        part = part.select(N="params_active_precise", D="tokens", loss="final_loss", run="run_name")
        yield plain(f"gemstones {kind}", False, part, 1.2e9)


def marin(folder: Path) -> Iterator[Split]:
    table = read(folder, "marin_optimizers/results_ablations.csv")
    table = table.filter(pl.col("ablation") == "Baseline")
    for optimizer in sorted(table["optimizer"].unique()):
        part = table.filter(pl.col("optimizer") == optimizer)
        part = part.select(N="params", D=20 * pl.col("params") * pl.col("chinchilla"), loss="loss")
        split = plain(f"marin {optimizer}", False, part, 1e9)
        if split.below.sum() >= 10 and not split.below.all():
            yield split


def score(split: Split, by_rows: bool = False) -> dict[str, object]:
    """Return error, coverage and width of one split; `by_rows` resamples rows instead of runs."""
    low, high = split.below, ~split.below
    run = np.arange(low.sum()) if by_rows else split.run[low]
    found = extrapolate(split.n[low], split.d[low], loss=split.loss[low], run=run,
                        rng=np.random.default_rng(0))  # fmt: skip
    ahead = found.forecast(split.n[high], split.d[high])
    mean = np.array([f.mean for f in ahead])
    alone = fit_form(HOFFMANN, split.n[low], split.d[low], loss=split.loss[low], n_polished=4)
    missed = np.log(alone(split.n[high], split.d[high]) / split.loss[high])
    hits = [f.contains(v) for f, v in zip(ahead, split.loss[high], strict=True)]
    return {
        "split": split.name,
        "group": split.group,
        "tuned": split.is_tuned,
        "n": len(hits),
        "hits": int(np.sum(hits)),
        "error": float(np.abs(np.log(mean / split.loss[high])).mean()),
        "hoffmann_error": float(np.abs(missed).mean()),
        "log_width": float(np.mean([np.log(f.high / f.low) for f in ahead])),
        "form": found.best.form.name,
    }


def planted(n: int) -> dict[str, tuple[float, float, int]]:
    """Return coverage, its standard error and worlds: runs beyond planted laws of known noise.

    The share of new runs that an interval holds is computed, not drawn: only worlds vary.
    """
    held: dict[str, list[float]] = {"curve": [], "surface": [], "surface, forms averaged": []}
    for seed in range(n):
        rng = np.random.default_rng(seed)
        c, ahead = np.geomspace(1e15, 1e18, 30), 6e18
        floor, alpha = rng.uniform(1.4, 2), rng.uniform(0.1, 0.25)
        y, new = (floor + 1.5 * (x / 1e15) ** -alpha for x in (c, ahead))
        y = y * np.exp(0.003 * rng.normal(size=30))
        found = extrapolate(c, loss=y, rng=rng, n=100, forms=((POWER, 1.0),))
        held["curve"].append(share_held(found.forecast(ahead)[0], new, 0.003))
        size = np.repeat(np.geomspace(3e7, 1e9, 9), 8)
        tokens = size * np.tile(np.geomspace(5, 80, 8), 9)
        p = {"E": rng.uniform(1.5, 2), "A": rng.uniform(300, 600), "alpha": rng.uniform(0.3, 0.38),
             "B": rng.uniform(800, 2500), "beta": rng.uniform(0.32, 0.38)}  # fmt: skip
        y, new = (p["E"] + p["A"] * a ** -p["alpha"] + p["B"] * b ** -p["beta"]
                  for a, b in ((size, tokens), (3e9, 6e10)))  # fmt: skip
        y = y * np.exp(0.004 * rng.normal(size=72))
        for name, forms in (("surface", ((HOFFMANN, 1.0),)), ("surface, forms averaged", None)):
            found = extrapolate(size, tokens, loss=y, rng=rng, n=100, forms=forms)
            held[name].append(share_held(found.forecast(3e9, 6e10)[0], new, 0.004))
            if seed >= n // 2:
                break
    return {k: (float(np.mean(v)), float(np.std(v) / np.sqrt(len(v))), len(v))
            for k, v in held.items()}  # fmt: skip


def share_held(told: Forecast, law: float, noise: float) -> float:
    """Return the share of runs about a law, of known log noise, that an interval holds."""
    low, high = ((np.log(edge) - np.log(law)) / noise for edge in (told.low, told.high))
    return NormalDist().cdf(high) - NormalDist().cdf(low)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("tables", type=Path)
    options.add_argument("--planted", type=int, default=200)
    given = options.parse_args()
    rows = [score(split) for split in splits(given.tables)]
    for r in rows:
        print(f"{r['split']:26} {'tuned' if r['tuned'] else 'held '} {r['hits']:4}/{r['n']:<4} "
              f"error {r['error']:6.2%} (hoffmann {r['hoffmann_error']:6.2%})  "
              f"log width {r['log_width']:.3f}  {r['form']}")  # fmt: skip
    summary: dict[str, object] = {}
    for group in sorted({str(r["group"]) for r in rows}):
        part = [r for r in rows if r["group"] == group]
        summary[f"coverage {group}"] = sum(r["hits"] for r in part) / sum(r["n"] for r in part)
    part = [r for r in rows if r["group"] == "chinchilla"]
    summary["chinchilla least cut"] = min(r["hits"] / r["n"] for r in part)
    summary["chinchilla mean log width"] = float(np.mean([r["log_width"] for r in part]))
    for name, held in (("tuned", True), ("held", False)):
        for key in ("error", "hoffmann_error"):
            values = [r[key] for r in rows if r["tuned"] is held]
            summary[f"{key} {name} (median, worst)"] = [float(np.median(values)), max(values)]
    for key in ("error", "hoffmann_error"):
        values = [r[key] for r in rows]
        summary[f"{key} all (median, worst)"] = [float(np.median(values)), max(values)]
    summary["planted"] = planted(given.planted)
    for name, value in summary.items():
        print(f"{name:40} {value}")
    record = {"date": datetime.now(UTC).date().isoformat(), **summary, "splits": rows}
    with RESULTS.open("a") as out:
        out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
