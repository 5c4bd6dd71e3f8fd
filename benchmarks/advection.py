"""Measure the advection ladder: its baseline, its law, and every change of its panel.

    python benchmarks/advection.py        # three minutes; writes results/advection.jsonl

Gains are in nats of compute by the local exponent between the lowest and the highest rung, each
over the baseline run of the same seed.
"""

import json
import platform
import time
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from miniscale.settings.advection.solve import carry, cells_for, profiles
from scaling import fit_power_law

ROOT = Path(__file__).parent.parent
SEEDS = {"coarse": 6, "medium": 6, "fine": 6, "finest": 3}
Knobs = dict[str, float | str]


def error(work: float, seed: int, knobs: Knobs) -> float:
    """Return what ``solve.py`` writes for this work, seed and knobs."""
    how = {"limiter": "van_leer", "cfl": 0.5, "viscosity": 0.0, "smooth": 0.0} | knobs
    smooth = how.pop("smooth")
    cells = cells_for(work, **how)
    start, truth = (profiles(np.random.default_rng(seed), cells, s) for s in (smooth, 0.0))
    return float(abs(carry(start, **how) - truth).mean())


def main() -> None:
    ladder = OmegaConf.load(ROOT / "conf" / "ladder" / "advection.yaml")
    panel = OmegaConf.load(ROOT / "conf" / "panel" / "advection.yaml").changes
    work = {name: float(rung.scale) for name, rung in ladder.rungs.items()}
    base, rows = {}, [where()]
    for name, seeds in SEEDS.items():
        start = time.perf_counter()
        base[name] = np.array([error(work[name], seed, {}) for seed in range(seeds)])
        spent = (time.perf_counter() - start) / seeds
        row = {"rung": name, "error": base[name].mean(), "sd": base[name].std(ddof=1)}
        rows.append(row | {"seeds": seeds, "seconds": round(spent, 3)})
    x = np.concatenate([np.full(SEEDS[name], work[name]) for name in SEEDS])
    fit = fit_power_law(x, np.concatenate(list(base.values())))
    alpha = np.log(base["coarse"].mean() / base["finest"].mean())
    alpha /= np.log(work["finest"] / work["coarse"])
    law = {"E": fit.law.E, "alpha": fit.law.alpha, "local_exponent": alpha}
    rows.append(
        law | {"status": str(fit.status), "misfits": [scale.misfit for scale in fit.scales]}
    )
    for title, change in panel.items():
        if not change.get("control"):
            rows.append({"change": title} | gains(dict(change.knobs), work, base, float(alpha)))
    with (ROOT / "benchmarks" / "results" / "advection.jsonl").open("w") as file:
        for row in rows:
            line = json.dumps(row, default=float)
            print(line)
            file.write(line + "\n")


def where() -> dict[str, str]:
    """Return what the figures were measured with."""
    today = time.strftime("%Y-%m-%d")
    return {"date": today, "python": platform.python_version(), "numpy": np.__version__}


def gains(
    knobs: Knobs, work: dict[str, float], base: dict[str, np.ndarray], alpha: float
) -> dict[str, list[float]]:
    """Return by rung the mean gain in nats of compute and its standard error over seeds."""
    found = {}
    for name, seeds in (("coarse", 6), ("medium", 6), ("fine", 3), ("finest", 2)):
        pairs = [np.log(base[name][s] / error(work[name], s, knobs)) / alpha for s in range(seeds)]
        spread = np.std(pairs, ddof=1) / np.sqrt(seeds)
        found[name] = [round(float(np.mean(pairs)), 3), round(float(spread), 3)]
    return found


if __name__ == "__main__":
    main()
