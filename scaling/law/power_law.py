"""The power law that ladders are fitted by: a floor of the loss and a falling power of compute."""

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PowerLaw:
    """How loss falls with compute: ``L(C) = E + A C^-alpha``.

    Loss is to be minimised; E has its unit, alpha none, and A belongs to the unit of compute.

    Examples
    --------
    >>> law = PowerLaw(E=1.0, A=8.0, alpha=0.5)
    >>> law(16.0), law.slope(16.0)
    (3.0, 1.0)
    """

    E: float
    A: float
    alpha: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.E) and self.A >= 0 and self.alpha > 0):
            raise ValueError(
                f"law E={self.E}, A={self.A}, alpha={self.alpha}: E must be finite, A at least 0 "
                "and alpha above 0; negate a metric that is to be maximised"
            )

    @overload
    def __call__(self, compute: float) -> float: ...
    @overload
    def __call__(self, compute: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def __call__(self, compute: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Return the loss at a compute."""
        return self.E + self.A * compute**-self.alpha

    def slope(self, compute: float) -> float:
        """Loss gained per nat of compute, ``alpha (L - E) = |dL / d ln C|``."""
        return float(self.alpha * self.A * compute**-self.alpha)

    @staticmethod
    def through(compute: float, loss: float, *, E: float, alpha: float) -> "PowerLaw":
        """Return the law of a known floor and exponent that passes through one point.

        >>> PowerLaw.through(16.0, 3.0, E=1.0, alpha=0.5)
        PowerLaw(E=1.0, A=8.0, alpha=0.5)
        """
        return PowerLaw(E=E, A=(loss - E) * compute**alpha, alpha=alpha)
