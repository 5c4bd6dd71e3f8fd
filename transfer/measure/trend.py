"""The trend of a change's effect over scale, and its forecast at the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from transfer.events import Effect, GainForecast

NORMAL = NormalDist()
Z80 = 1.2815515655446004
"""Half-width of an 80 % normal interval in standard errors: Phi^-1(.9)."""


def reach(mean: float, low: float, high: float, *, came: float, came_se: float) -> float:
    """Return how far what came may lie from a forecast to be a hit of its 80 % interval.

    The interval's half on the side of what came, with the measurement's own noise:
    hypot(half, 1.28 came_se).
    """
    half = high - mean if came > mean else mean - low
    return math.hypot(half, Z80 * came_se)


@dataclass(frozen=True)
class TrendPrior:
    """What is assumed of effects before they are measured; nats of compute.

    level_sd
        Spread of effects at the highest measured rung, or the largest one seen if that is more.
    slope_sd, slope_share
        Spread of their change per nat of compute: hypot(slope_share max|g|, slope_sd), since large
        effects change more (structural gains fade by a tenth to a fifth of themselves a nat).
    misfit, misfit_share
        Error of a rung that replicates do not remove: hypot(misfit_share |g|, misfit).
    drift
        Doubt per nat beyond the highest measured rung.
    confidence
        Of the interval reported.
    """

    level_sd: float = 0.15
    slope_sd: float = 0.03
    slope_share: float = 0.1
    misfit: float = 0.004
    misfit_share: float = 0.2
    drift: float = 0.004
    confidence: float = 0.8


def gain_forecast(effects: Sequence[Effect], position: float, *, prior: TrendPrior) -> GainForecast:
    """Forecast a change's gain at a position beyond its highest measured rung.

    The effect is a line in x = ln C, ``g(x) = a + b (x - x_last)`` with normal priors of zero mean
    on a and b; each rung carries its run noise and its misfit. At distance
    D = position - x_last half of a forecast rise is believed and all of a forecast fall, and a
    loss that vanishes does not become a win:

        t = a + min(bD, bD / 2), at most 0 where a < 0
        Var t = Var(a + bD) + hypot(misfit_share t, misfit)^2 + (drift D)^2

    Raises
    ------
    ValueError
        If there is no effect to start from.
    """
    level, slope, covariance = _posterior(effects, prior)
    distance = position - effects[-1].position
    rise = slope * distance
    mean = level + min(rise, rise / 2)
    if level < 0:
        mean = min(mean, 0.0)
    at = np.array([1.0, distance])
    variance = (
        float(at @ covariance @ at)
        + (prior.misfit_share * mean) ** 2
        + prior.misfit**2
        + (prior.drift * distance) ** 2
    )
    sd = math.sqrt(variance)
    half = NORMAL.inv_cdf(0.5 + prior.confidence / 2) * sd
    odds = NORMAL.cdf(mean / sd)
    return GainForecast(mean=mean, sd=sd, low=mean - half, high=mean + half, odds=odds, slope=slope)


def _posterior(
    effects: Sequence[Effect], prior: TrendPrior
) -> tuple[float, float, NDArray[np.float64]]:
    """Return mean level at the last rung, mean slope, and their covariance, (2, 2)."""
    if not effects:
        raise ValueError("forecast: no effect measured; run the change on a rung first")
    last = effects[-1].position
    design = np.array([[1.0, effect.position - last] for effect in effects])
    gains = np.array([effect.gain for effect in effects])
    noise = np.array(
        [
            effect.gain_se**2 + (prior.misfit_share * effect.gain) ** 2 + prior.misfit**2
            for effect in effects
        ]
    )
    largest = float(np.abs(gains).max())
    level_sd = max(prior.level_sd, largest)
    slope_sd = math.hypot(prior.slope_sd, prior.slope_share * largest)
    precision = np.diag([level_sd**-2, slope_sd**-2]) + design.T @ (design / noise[:, None])
    covariance = np.linalg.inv(precision)
    level, slope = covariance @ (design.T @ (gains / noise))
    return float(level), float(slope), covariance
