"""What is believed of one gain: a weighted sum of normals."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from transfer.belief.prior import Array
from transfer.belief.utility import HARM, Utility, odds_of
from transfer.events import GainForecast
from transfer.measure.trend import Z80

CELLS = 48
"""Cells in which atoms of nearly the same value are taken together for quantiles."""
SECTIONS = np.linspace(0.0, 1.0, 11)
"""Where each round of the search for a quantile looks."""
CONFIDENCE = 0.8


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals: what is believed of one gain; ``widen`` is for its interval."""

    weights: Array
    value: Array
    doubt: Array
    widen: float = 1.0

    @property
    def mean(self) -> float:
        """The mean."""
        return float(self.weights @ self.value)

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return math.sqrt(float(self.weights @ ((self.value - self.mean) ** 2 + self.doubt**2)))

    @property
    def odds(self) -> float:
        """The probability that the gain is positive."""
        return min(max(float(self.weights @ ndtr(self.value / self.doubt)), 0.0), 1.0)

    def worth(self, utility: Utility) -> float:
        """Return the expected utility of accepting."""
        return float(self.weights @ utility.of_normals(self.value, self.doubt))

    def gain_forecast(self) -> GainForecast:
        """Return mean, sd, 80 % interval and odds."""
        mean = self.mean
        low, high = map(float, _quantiles(self.weights, self.value, self.doubt, CONFIDENCE))
        harm = float(self.weights @ ndtr((-HARM - self.value) / self.doubt))
        return GainForecast(
            mean=mean,
            sd=self.sd,
            low=mean - self.widen * (mean - low),
            high=mean + self.widen * (high - mean),
            odds=self.odds,
            slope=0.0,
            harm=min(max(harm, 0.0), 1.0),
        )

    def stretched(self, factor: float) -> "Mixture":
        """Return the same belief with deviations from its mean ``factor`` times as large."""
        if factor == 1:
            return self
        value = self.mean + factor * (self.value - self.mean)
        return Mixture(self.weights, value, factor * self.doubt, self.widen)

    def moved(self, before: tuple[float, float], after: tuple[float, float]) -> "Mixture":
        """Add what moved a normal belief of the same gain from ``before`` to ``after``.

        The move is that of one observation y with variance v (as in expectation propagation),

            1/v = 1/after_sd^2 - 1/before_sd^2,   y = v (after / after_sd^2 - before / before_sd^2)

        which is then weighed against each component, so that tails stay as light as they are.
        """
        precision = after[1] ** -2 - before[1] ** -2
        if precision <= 1e-6 * before[1] ** -2:
            return self
        v = 1 / precision
        y = v * (after[0] * after[1] ** -2 - before[0] * before[1] ** -2)
        variance = self.doubt**2
        total = v + variance
        logs = np.log(self.weights + 1e-300) - 0.5 * ((y - self.value) ** 2 / total + np.log(total))
        weights = np.exp(logs - logs.max())
        value = (self.value * v + y * variance) / total
        return Mixture(weights / weights.sum(), value, np.sqrt(v * variance / total), self.widen)


def normal_forecast(
    mean: float, sd: float, *, slope: float = 0.0, widen: float = 1.0
) -> GainForecast:
    """Return the forecast of a normal belief in a gain, with its 80 % interval.

    Parameters
    ----------
    mean, sd
        In nats of compute.
    slope
        Of the mean over scale, nats a nat.
    widen
        Factor on the interval.

    Examples
    --------
    >>> look = normal_forecast(0.1, 0.05)
    >>> f"{look.low:.3f} {look.high:.3f} {look.odds:.3f}"
    '0.036 0.164 0.977'
    """
    half = widen * Z80 * sd
    return GainForecast(
        mean=mean,
        sd=sd,
        low=mean - half,
        high=mean + half,
        odds=odds_of(mean, sd),
        slope=slope,
        harm=odds_of(-HARM - mean, sd),
    )


def _quantiles(weights: Array, value: Array, doubt: Array, confidence: float) -> Array:
    """Return the central interval of a mixture of normals by sections, (2,).

    Atoms with nearly the same value are taken together first: cells of arcsinh(t / .01), each a
    normal with its atoms' own mean and variance.
    """
    bent = np.arcsinh(value / 0.01)
    start = bent.min()
    cell = ((bent - start) * ((CELLS - 0.001) / max(float(bent.max() - start), 1e-9))).astype(
        np.intp
    )
    mass = np.bincount(cell, weights, CELLS)
    is_full = mass > 0
    mass = mass[is_full]
    mean = np.bincount(cell, weights * value, CELLS)[is_full] / mass
    square = np.bincount(cell, weights * (value * value + doubt * doubt), CELLS)[is_full] / mass
    sd = np.sqrt(np.maximum(square - mean * mean, 1e-18))
    wanted = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    low = np.full(2, float((mean - 5 * sd).min()))
    high = np.full(2, float((mean + 5 * sd).max()))
    for _ in range(3):
        points = low[:, None] + (high - low)[:, None] * SECTIONS
        shares = ndtr((points[:, :, None] - mean) / sd) @ mass
        above = (shares < wanted[:, None]).sum(axis=1)
        above = np.minimum(np.maximum(above, 1), SECTIONS.size - 1)
        low, high = points[(0, 1), above - 1], points[(0, 1), above]
    under, over = shares[(0, 1), above - 1], shares[(0, 1), above]
    part = (wanted - under) / np.maximum(over - under, 1e-12)
    result: Array = low + (high - low) * np.minimum(np.maximum(part, 0.0), 1.0)
    return result
