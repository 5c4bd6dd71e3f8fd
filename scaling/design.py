"""Which rungs and how many seeds resolve a gain of a given size at the target, at least cost."""

import itertools
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# assumption: public ladders show gains that fade by a quarter to a half per decade of compute, so
# that the slope of one is doubted by an eighth of it per decade, an eighteenth per nat.
_FADE = 1 / 18
_SEEDS = (0, 1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class PlannedRung:
    """A scale that can be run: its compute, noise of one run in log loss, and what a run costs."""

    compute: float
    slope: float
    """Log loss lost by nat of compute there, ``-d ln L / d ln C``; positive."""
    noise_sd: float
    cost: float


@dataclass(frozen=True)
class LadderPlan:
    """Seeds by rung for both arms, the doubt that they leave at the target, and the price."""

    seeds: tuple[int, ...]
    gain_sd: float
    """Of the log compute multiplier at the target."""
    power: float
    """Probability that a gain of the asked size will show at the asked confidence."""
    cost: float


def gain_sd(
    rungs: tuple[PlannedRung, ...],
    seeds: tuple[int, ...],
    *,
    target: float,
    gain: float,
    rho: float,
) -> float:
    """Return the sd of the gain at the target, in nats of compute, that a plan leaves.

    At a rung with n pairs of seeds, correlated rho, ``v = 2 (1 - rho) (sd / slope)^2 / n`` plus
    the rung's misfit ``(.20 gain)^2 + .004^2`` that seeds do not remove; across rungs the gain is
    a line in log compute, flat but for a slope doubted by a part of the gain (1/18) per nat.

    Parameters
    ----------
    seeds : tuple of int
        Pairs of runs by rung; 0 leaves a rung out.
    target, gain : float
        Compute at the target, and the log compute multiplier expected there.
    rho : float
        Correlation of runs of both arms that share a seed.

    >>> rungs = (PlannedRung(1e18, 0.05, 0.001, 1.0), PlannedRung(1e19, 0.05, 0.001, 10.0))
    >>> round(gain_sd(rungs, (4, 0), target=1e20, gain=0.05, rho=0.5), 4)
    0.0195
    """
    used = [(r, n) for r, n in zip(rungs, seeds, strict=True) if n]
    if not used:
        return float("inf")
    ahead = np.log([r.compute for r, _ in used]) - np.log(target)
    noise = np.array([2 * (1 - rho) * (r.noise_sd / r.slope) ** 2 / n for r, n in used])
    variance = noise + (0.20 * gain) ** 2 + 0.004**2
    drift = (_FADE * gain) ** 2 * np.outer(ahead, ahead)
    ones = np.ones(len(used))
    precision = ones @ np.linalg.solve(np.diag(variance) + drift, ones)
    return float(1 / np.sqrt(precision))


def design(
    rungs: tuple[PlannedRung, ...],
    *,
    target: float,
    gain: float,
    rho: float = 0.5,
    confidence: float = 0.9,
    power: float = 0.8,
    n_plans: int = 5,
) -> list[LadderPlan]:
    """Return the cheapest plan by highest rung that resolves a gain, cheapest first.

    Where none does, the most powerful ones.

    Parameters
    ----------
    rungs : tuple of PlannedRung
        What can be run, up to about six.
    target, gain : float
        Compute at which the gain is asked for, and the log compute multiplier to resolve:
        ``ln 1.05`` is a gain worth 5 % more compute.
    rho : float
        Correlation of runs of both arms that share a seed.
    confidence, power : float
        The gain should differ from zero at this one-sided confidence with this probability.

    Raises
    ------
    ValueError
        If the gain is not positive, there is no rung, or loss does not fall at one.
    """
    _check(rungs, gain)
    normal = NormalDist()
    plans = []
    for seeds in itertools.product(_SEEDS, repeat=len(rungs)):
        if not any(seeds):
            continue
        sd = gain_sd(rungs, seeds, target=target, gain=gain, rho=rho)
        reached = normal.cdf(gain / sd - normal.inv_cdf(confidence))
        cost = sum(2 * n * r.cost for n, r in zip(seeds, rungs, strict=True))
        plans.append(LadderPlan(seeds, sd, reached, float(cost)))
    enough = sorted((p for p in plans if p.power >= power), key=lambda p: (p.cost, -p.power))
    by_top: dict[int, LadderPlan] = {}
    for plan in enough:
        by_top.setdefault(max(i for i, n in enumerate(plan.seeds) if n), plan)
    if enough:
        return list(by_top.values())[:n_plans]
    return sorted(plans, key=lambda p: (-round(p.power, 3), p.cost))[:n_plans]


def _check(rungs: tuple[PlannedRung, ...], gain: float) -> None:
    if gain <= 0 or not rungs:
        raise ValueError(f"gain {gain} over {len(rungs)} rungs: give a multiplier above 1, a rung")
    if min(r.slope for r in rungs) <= 0 or min(r.noise_sd for r in rungs) < 0:
        raise ValueError(
            "loss does not fall at every rung: no gain can be counted in compute there"
        )
