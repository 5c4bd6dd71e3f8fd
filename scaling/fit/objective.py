"""How far a law lies off the runs: losses of the log residual, for many weightings at once."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class LossKind(StrEnum):
    """Which function of the log residual is summed over the runs."""

    HUBER = "huber"
    SQUARED = "squared"
    L1 = "l1"


_NEARLY_L1 = 1e-6
"""Width of the kink that stands in for L1's, in log loss: a thousandth of a per mille."""


@dataclass(frozen=True)
class FitObjective:
    """A sum over runs of a function of ``r = ln loss - ln law``; smaller is better.

    With d the width ``delta``: ``r^2 / 2`` within d, ``d (|r| - d / 2)`` beyond. ``delta = 1e-3``
    is the field's (Hoffmann et al., 2022, section 3.3): nearly L1, so that a tenth of odd runs
    does not move a law. Squared is an infinite width; L1 a tiny one, over d.

    >>> FitObjective().value(np.array([[0.0005, 0.1]]), np.ones(2)).round(9).tolist()
    [9.9625e-05]
    """

    kind: LossKind = LossKind.HUBER
    delta: float = 1e-3

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ValueError(f"delta {self.delta}: must be above 0, e.g. 1e-3 of log loss")

    @property
    def width(self) -> float:
        """Where the square turns into a line; infinite for least squares."""
        if self.kind is LossKind.HUBER:
            return self.delta
        return math.inf if self.kind is LossKind.SQUARED else _NEARLY_L1

    def value(self, residual: Array, weight: Array) -> Array:
        """Return the sums over the last axis; residual (batch, runs), weight (batch or 1, runs)."""
        total = huber_sum(residual, weight, self.width)
        return total / _NEARLY_L1 if self.kind is LossKind.L1 else total


def huber_sum(residual: Array, weight: Array, width: float) -> Array:
    """Return the sum of Huber's loss over the last axis, without temporaries of branches.

    With c the residual clipped to the width: ``c (r - c / 2)``.
    """
    clipped = np.clip(residual, -width, width)
    clipped *= residual - 0.5 * clipped
    total: Array = np.einsum("bn,bn->b", clipped, np.broadcast_to(weight, clipped.shape))
    return total
