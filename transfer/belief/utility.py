"""What a gain at the target is worth: one utility for policy, exam and ablation."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from transfer.belief.prior import Array

HARM = 0.005
"""A loss at the target beyond this is harm, nats."""


@dataclass(frozen=True)
class Utility:
    """Expected worth of accepting a gain g at the target, in nats of compute.

        u = E[max(g, 0)] + h E[min(g, 0)] - kappa

    harm
        h: how many times a loss counts.
    complexity_cost
        kappa: what a change must gain to be worth its code.
    """

    # assumption: a loss in the head is found and undone later, at half its size again
    harm: float = 1.5
    # assumption: below .4 % of compute nobody would carry a change
    complexity_cost: float = 0.004

    def __post_init__(self) -> None:
        if not self.harm > 0 or self.complexity_cost < 0:
            raise ValueError(
                f"harm {self.harm} must be above 0 and complexity_cost {self.complexity_cost} "
                "at least 0"
            )

    def of_normals(self, value: Array, doubt: Array) -> Array:
        """Return the utility of each gain g ~ N(value, doubt^2), (K,)."""
        z = value / doubt
        density = doubt * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        gain = value * ndtr(z) + density
        result: Array = gain + self.harm * (value - gain) - self.complexity_cost
        return result

    def of_normal(self, mean: float, sd: float) -> float:
        """Return the utility of one gain g ~ N(mean, sd^2); of the mean itself for sd 0.

        Examples
        --------
        >>> Utility(harm=4.0).of_normal(0.02, 0.0)
        0.016
        """
        gain = expected_best(mean, sd)
        return gain + self.harm * (mean - gain) - self.complexity_cost


def expected_best(mean: float, spread: float) -> float:
    """Return E max(m', 0) for m' ~ N(mean, spread^2): what a choice after looking is worth.

        m Phi(m / tau) + tau phi(m / tau)

    Examples
    --------
    >>> round(expected_best(-0.01, 0.02), 5), expected_best(0.03, 0.0)
    (0.00396, 0.03)
    """
    if spread <= 1e-12:
        return max(mean, 0.0)
    z = mean / spread
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return mean * normal_cdf(z) + spread * density


def normal_cdf(z: float) -> float:
    """Return P(x < z) for x ~ N(0, 1)."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def odds_of(mean: float, sd: float) -> float:
    """Return P(g > 0) for g ~ N(mean, sd^2)."""
    return float(ndtr(mean / max(sd, 1e-12)))
