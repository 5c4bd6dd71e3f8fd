"""What a gain in loss is worth in compute, read off the baseline's law."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scaling.law.power_law import PowerLaw

_KNEE = 0.8
"""Share of the reducible loss up to which the law is inverted; beyond it, along its tangent."""


MOST_GAIN = math.log(1000.0)
"""Gains in nats that are read as compute at all; beyond this and its inverse: off the scale."""
# assumption: no ladder of ours spans so much compute, so no law is known so far from its runs


Laws = Sequence[PowerLaw] | NDArray[np.float64]
"""Laws, or a table of their floors and exponents, shape (laws, 2), made once by :func:`table_of`"""


def table_of(laws: Sequence[PowerLaw]) -> NDArray[np.float64]:
    """Return floors E and exponents alpha of laws, all that a gain depends on, shape (laws, 2)."""
    return np.array([(law.E, law.alpha) for law in laws]).reshape(-1, 2)


def bound_gain(gain: float) -> float:
    """Return a gain in nats, at most what is read as compute: 1000x, or a thousandth."""
    return min(max(gain, -MOST_GAIN), MOST_GAIN)


def is_off_scale(gain: float) -> bool:
    """Whether a gain in nats lies beyond what is read as compute."""
    return not abs(gain) < MOST_GAIN


def compute_multiple(gain: float) -> float:
    """Return the compute that a gain in nats is worth, within a thousandth and 1000x.

    The one way from a gain to a multiple of compute: it never overflows.

    >>> compute_multiple(0.0), round(compute_multiple(1e308)), round(compute_multiple(-7.0), 6)
    (1.0, 1000, 0.001)
    """
    return math.exp(bound_gain(gain))


def log_multiplier(
    laws: Laws,
    *,
    baseline_loss: float,
    gain_loss: float,
    slope: float | None = None,
) -> float:
    """How much compute, in nats, a gain in loss is worth to the baseline; positive is better.

    The baseline would need ``exp(g)`` times its compute to gain as much. With d the gain and L the
    baseline's loss, averaged over the laws of a fit's ensemble::

        g = (1 / alpha) ln( (L - E) / (L - d - E) )

    Past four fifths of the reducible loss L - E the logarithm goes on along its tangent: a gain
    that a law's floor does not allow is evidence against the floor, not an infinite gain.

    Parameters
    ----------
    laws : sequence of PowerLaw or array, shape (laws, 2)
        The baseline's law, or its fit's ensemble (``fit.ensemble``), or its :func:`table_of`.
    baseline_loss, gain_loss : float
        Loss of the baseline at the rung; how much lower the change's loss is.
    slope : float, optional
        Measured loss per nat of compute, ``g = d / slope`` for laws whose floor lies above the
        baseline's loss.

    Raises
    ------
    ValueError
        If every law's floor lies above the baseline's loss and no slope is given.

    Examples
    --------
    >>> law = PowerLaw(E=1.0, A=8.0, alpha=0.5)
    >>> gain = law(16.0) - law(16.0 * 1.1)       # what ten percent more compute brings
    >>> float(np.exp(log_multiplier([law], baseline_loss=law(16.0), gain_loss=gain))).__round__(6)
    1.1
    """
    reducible, alpha = _reducible(laws, baseline_loss)
    if not len(alpha):
        return gain_loss / _given(slope, baseline_loss)
    share = gain_loss / reducible
    gains = -np.log1p(-np.minimum(share, _KNEE)) / alpha
    if gain_loss > 0:
        gains += np.maximum(share - _KNEE, 0) / (1 - _KNEE) / alpha
    if slope is None or len(alpha) == len(laws):
        return float(gains.sum() / len(alpha))
    undefined = len(laws) - len(alpha)
    return float((gains.sum() + undefined * gain_loss / slope) / len(laws))


def local_slope(laws: Laws, *, baseline_loss: float, slope: float | None = None) -> float:
    """Loss per nat of compute where the baseline stands, ``alpha (L - E)`` over the laws.

    The harmonic mean: dividing by it is what :func:`log_multiplier` does to small gains.

    >>> local_slope([PowerLaw(E=1.0, A=8.0, alpha=0.5)], baseline_loss=3.0)
    1.0
    """
    reducible, alpha = _reducible(laws, baseline_loss)
    if not len(alpha):
        return _given(slope, baseline_loss)
    return float(1 / np.mean(1 / (alpha * reducible)))


def _reducible(laws: Laws, loss: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return loss above the floor and exponent of the laws whose floor lies below the loss."""
    table = laws if isinstance(laws, np.ndarray) else table_of(laws)
    above, alpha = loss - table[:, 0], table[:, 1]
    is_defined = above > 0
    return (above, alpha) if is_defined.all() else (above[is_defined], alpha[is_defined])


def _given(slope: float | None, loss: float) -> float:
    if slope is None or slope <= 0:
        raise ValueError(
            f"loss {loss} lies on or below every law's floor and slope is {slope}: "
            "give slope=, the measured loss per nat of compute, above 0"
        )
    return slope
