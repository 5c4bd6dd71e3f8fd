"""How fast and how right the fits are, beside scipy's BFGS and installable peers.

    python benchmarks/scaling_speed.py [--peers PYTHON ...]

One thread, one run. The objective of every row is the same: the sum of Huber's loss (delta 1e-3)
of log residuals of Hoffmann's form on the 240 Chinchilla points. ``--peers`` names interpreters in
which ``chinchilla`` or ``simple-scaling-laws`` are installed; each is asked for its own best fit.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import scipy
from scipy.optimize import minimize

from scaling.fit.bootstrap import resample
from scaling.fit.form_fit import FormFit, fit_form
from scaling.law.law_catalogue import HOFFMANN

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "scaling_speed.jsonl"
BEST = 0.001018274018
Array = np.ndarray


def points() -> tuple[Array, Array, Array]:
    path = ROOT / "tests" / "data" / "chinchilla" / "svg_extracted_data.csv"
    table = pl.read_csv(path).sort("loss", descending=True)[5:]
    n, c = table["Model Size"].to_numpy(), table["Training FLOP"].to_numpy()
    return n, c / (6 * n), table["loss"].to_numpy()


def cpu(work: Callable[[], object], repeats: int) -> float:
    """Median CPU-seconds of a piece of work."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def value_and_gradient(theta: Array, fit: FormFit, weight: Array) -> tuple[float, Array]:
    """The objective with its analytic gradient, for scipy, in scipy's favoured scale."""
    at = HOFFMANN.evaluate(theta[None], fit.problem.x)
    r = fit.problem.y - at.log_loss[0]
    clipped = np.clip(r, -1e-3, 1e-3)
    value = float(weight @ (clipped * (r - clipped / 2)))
    return 1e3 * value, -1e3 * (at.jacobian[0] @ (weight * clipped))


def by_scipy(start: Array, fit: FormFit, weight: Array, method: str) -> float:
    """Objective that one scipy run reaches."""
    found = minimize(value_and_gradient, start, args=(fit, weight), jac=True, method=method,
                     options={"maxiter": 2000})  # fmt: skip
    return float(found.fun) / 1e3


def raw_lbfgsb(fit: FormFit) -> tuple[float, bool]:
    """Where L-BFGS-B stops from Hoffmann's values in (ln E, ln A, ln B, alpha, beta) as published.

    Neither centred nor scaled, as most code has it; returns the objective and its own success.
    """
    to_ours = np.eye(5)
    to_ours[1, 3], to_ours[2, 4] = -fit.centre

    def raw(theta: Array) -> tuple[float, Array]:
        value, gradient = value_and_gradient(to_ours @ theta, fit, np.ones(fit.n_runs))
        return value / 1e3, to_ours.T @ gradient / 1e3

    start = np.array([np.log(1.69), np.log(406.4), np.log(410.7), 0.34, 0.28])
    found = minimize(raw, start, jac=True, method="L-BFGS-B")
    return float(found.fun), bool(found.success)


def peers(pythons: list[str], folder: Path) -> list[dict[str, object]]:
    """Ask each interpreter's own package for its fit."""
    n, d, loss = points()
    csv = folder / "points.csv"
    pl.DataFrame({"N": n, "D": d, "C": 6 * n * d, "loss": loss}).write_csv(csv)
    rows = []
    for python in pythons:
        script = str(ROOT / "benchmarks" / "scaling_peer.py")
        done = subprocess.run([python, script, str(csv)], capture_output=True, text=True,
                              check=False, timeout=900, cwd=folder)  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        rows += [json.loads(line) for line in lines] or [
            {"peer": python, "failed": done.stderr[-200:]}
        ]
    return rows


def coordinates_of(parameters: dict[str, float], centre: np.ndarray) -> np.ndarray:
    """Return the coordinates of Hoffmann's printed parameters."""
    p = parameters
    a, b = np.log(p["A"]) - p["alpha"] * centre[0], np.log(p["B"]) - p["beta"] * centre[1]
    return np.array([np.log(p["E"]), a, b, p["alpha"], p["beta"]])


def objective_of(parameters: dict[str, float], fit: FormFit) -> float:
    theta = coordinates_of(parameters, fit.centre)
    return value_and_gradient(theta, fit, np.ones(fit.n_runs))[0] / 1e3


def growth() -> list[dict[str, float]]:
    """How time and memory grow with rows and resamples."""
    rng = np.random.default_rng(0)
    n, d, loss = points()
    rows = []
    for times, resamples in ((1, 1000), (1, 4000), (1, 16000), (4, 1000), (16, 1000)):
        jitter = np.exp(0.05 * rng.standard_normal((2, 240 * times)))
        big = np.tile(n, times) * jitter[0], np.tile(d, times) * jitter[1]
        noise = np.exp(0.004 * rng.standard_normal(240 * times))
        fit = fit_form(HOFFMANN, n, d, loss=loss)
        y = fit(*big) * noise
        one = fit_form(HOFFMANN, *big, loss=y)
        start = time.process_time()
        resample(one, resamples, rng)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        once = 1e3 * cpu(lambda b=big, y=y: fit_form(HOFFMANN, *b, loss=y), 5)
        rows.append({"rows": 240 * times, "resamples": resamples, "fit_ms": once,
                     "resample_s": seconds, "peak_mb": peak})  # fmt: skip
    return rows


def measure(n_checked: int) -> dict[str, object]:
    n, d, loss = points()
    fit = fit_form(HOFFMANN, n, d, loss=loss)
    ones = np.ones(240)
    hoffmann = coordinates_of(
        {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}, fit.centre
    )
    start = time.process_time()
    ensemble = resample(fit, 4000, np.random.default_rng(42))
    batch = time.process_time() - start
    rng = np.random.default_rng(1)
    checked = rng.choice(4000, n_checked, replace=False)
    reached, scipy_s = [], time.process_time()
    for i in checked:
        starts = [ensemble.theta[i], fit.theta, hoffmann]
        best = min(by_scipy(s, fit, ensemble.weight[i], "BFGS") for s in starts)
        reached.append(float(ensemble.objective[i]) <= best * (1 + 1e-6))
    scipy_s = (time.process_time() - scipy_s) / (3 * n_checked)
    return {
        "fit_ms": 1e3 * cpu(lambda: fit_form(HOFFMANN, n, d, loss=loss), 50),
        "objective": fit.objective,
        "relative_to_published": fit.objective / BEST - 1,
        "resample_4000_s": batch,
        "own_optimum_by_gradient": ensemble.converged_share,
        "own_optimum_against_scipy": float(np.mean(reached)),
        "checked": n_checked,
        "scipy_bfgs_ms": 1e3 * cpu(lambda: by_scipy(hoffmann, fit, ones, "BFGS"), 5),
        "scipy_bfgs_objective": by_scipy(hoffmann, fit, ones, "BFGS"),
        "scipy_lbfgsb_objective": by_scipy(hoffmann, fit, ones, "L-BFGS-B"),
        "raw_lbfgsb_objective_and_success": raw_lbfgsb(fit),
        "scipy_bfgs_resample_ms": 1e3 * scipy_s,
        "weights_mb": ensemble.weight.nbytes / 2**20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peers", nargs="*", default=[])
    options.add_argument("--checked", type=int, default=400)
    given = options.parse_args()
    found = measure(given.checked)
    record = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(),
              "load": os.getloadavg()[0], "numpy": np.__version__, "scipy": scipy.__version__,
              **found}  # fmt: skip
    for name, value in record.items():
        print(f"{name:28} {value}")
    record["growth"] = growth()
    for row in record["growth"]:
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
    if given.peers:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            record["peers"] = peers(given.peers, Path(folder))
        n, d, loss = points()
        fit = fit_form(HOFFMANN, n, d, loss=loss)
        for row in record["peers"]:
            if "parameters" in row:
                row["objective"] = objective_of(row["parameters"], fit)
            print(row)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as out:
        out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
