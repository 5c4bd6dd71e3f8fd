"""What is believed of one gain: a weighted sum of normals."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from transfer.belief.prior import Array
from transfer.events import GainForecast

HARM = 0.005
"""A loss at the target beyond this is harm, nats."""
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

    def worth(self, *, harm: float, cost: float) -> float:
        """Return the expected utility of accepting, with harm counted ``harm`` times."""
        return float(self.weights @ utility_of(self.value, self.doubt, harm=harm, cost=cost))

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

    def told(self, before: tuple[float, float], after: tuple[float, float]) -> "Mixture":
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


def utility_of(value: Array, doubt: Array, *, harm: float, cost: float) -> Array:
    """Return E max(g, 0) + h E min(g, 0) - kappa for g ~ N(value, doubt^2)."""
    z = value / doubt
    density = doubt * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    gain = value * ndtr(z) + density
    result: Array = gain + harm * (value - gain) - cost
    return result


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
