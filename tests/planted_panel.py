"""Panels with planted truth: known changes on the oracle's ladder, losses from its law."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from oracle import oracle_job

from miniscale.setting.setting import Kind
from miniscale.settings.oracle.planted_law import ALPHA, A, E
from scaling import PowerLaw
from transfer.arm_table import BASELINE
from transfer.audit.load_panel_runs import Run, Runs
from transfer.change import Change
from transfer.ladder import Ladder

LAW = PowerLaw(E=E, A=A, alpha=ALPHA)
GAINS = (-0.40, -0.30, -0.24, -0.19, -0.15, -0.12, -0.09, -0.06, -0.03, 0.0, 0.02, 0.05, 0.08,
         0.11, 0.15, 0.20)  # fmt: skip
Curve = Callable[[float, float, Kind], float]
"""(gain on the lowest rung, x = ln C over it, kind) -> gain there, nats."""


def ladder(n_rungs: int = 4) -> Ladder:
    """Return the oracle's ladder, cut to its lowest rungs."""
    whole = oracle_job().ladder
    return replace(whole, rungs=whole.rungs[:n_rungs])


def holds(gain: float, x: float, kind: Kind) -> float:
    """Return a gain that is the same everywhere."""
    return gain


def planted(
    on: Ladder,
    curve: Curve = holds,
    *,
    gains: tuple[float, ...] = GAINS,
    noise: float = 0.008,
    misfit: float = 0.0,
    seeds: int = 2,
    seed: int = 0,
    sign: float = 1.0,
) -> Runs:
    """Return runs of a baseline and of one change a gain; every other one a hyper-parameter edit.

    Parameters
    ----------
    noise, misfit
        In nats of compute: of each run, and of each change on each rung.
    sign
        -1 for a metric to maximise: the negative loss is reported.
    """
    rng = np.random.default_rng(seed)
    kinds = [Kind.STRUCTURAL, Kind.HYPERPARAMETER]
    changes = {
        f"a{i}": Change(f"change {i}", kind=kinds[i % 2], category="rate", knobs={"idea": i + 1})
        for i in range(len(gains))
    }
    runs = []
    for rung in on.rungs:
        x = on.position(rung.scale)
        slope = LAW.alpha * (LAW(rung.scale) - LAW.E)
        common = rng.normal(size=max(seeds, 4))
        for s in range(max(seeds, 4)):
            loss = LAW(rung.scale) + noise * slope * common[s]
            runs.append(Run(BASELINE, rung.name, s, sign * float(loss)))
        for (arm, change), gain in zip(changes.items(), gains, strict=True):
            off = misfit * rng.normal()
            for s in range(seeds):
                moved = rung.scale * np.exp(curve(gain, x, change.kind) + off)
                mixed = (common[s] + rng.normal()) / np.sqrt(2)
                loss = LAW(moved) + noise * slope * mixed
                runs.append(Run(arm, rung.name, s, sign * float(loss)))
    return Runs(changes, tuple(runs))
