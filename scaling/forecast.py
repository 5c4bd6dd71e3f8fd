"""Predictions of the loss at a compute, with the law's doubt and a run's own noise."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scaling.fit.ladder_fit import MISFIT, Fit

_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 15) for i in range(15)])
_NORMAL /= np.sqrt(np.mean(_NORMAL**2))


@dataclass(frozen=True)
class Forecast:
    """What a run is expected to score, and the range it should fall in."""

    mean: float
    low: float
    high: float
    confidence: float

    def contains(self, loss: float) -> bool:
        """Whether a measured loss fell into the interval."""
        return self.low <= loss <= self.high


def forecast_loss(
    fit: Fit, compute: float, *, noise_sd: float = 0.0, confidence: float = 0.8
) -> Forecast:
    """Predict the loss that a run at a compute will show.

    The interval holds the doubt about the law (its ensemble), the law's own misfit at a scale
    (0.4 % of compute, ``MISFIT``) and the run's noise.

    Parameters
    ----------
    fit : Fit
        A fit to the scales below.
    compute : float
        Where to predict, in the unit of the fit.
    noise_sd : float
        Standard deviation of the run that will be compared with the forecast, in loss; of the
        mean, if several runs will be averaged; 0 for the law itself.
    confidence : float
        Share of such runs that should fall between ``low`` and ``high``.

    Examples
    --------
    >>> from scaling import fit_power_law
    >>> fit = fit_power_law([1, 10, 100, 1000], [4.0, 3.0, 2.4, 2.04])
    >>> forecast_loss(fit, 10_000.0).contains(1.82)
    True
    """
    draws = _draws(fit, np.array([compute]), noise_sd)[:, 0]
    low, high = np.quantile(draws, _tails(confidence))
    return Forecast(float(draws.mean()), float(low), float(high), confidence)


def forecast_band(
    fit: Fit, compute: NDArray[np.float64], *, noise_sd: float = 0.0, confidence: float = 0.8
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and the upper edge of :func:`forecast_loss` over many computes."""
    low, high = np.quantile(_draws(fit, compute, noise_sd), _tails(confidence), axis=0)
    return low, high


def _draws(fit: Fit, compute: NDArray[np.float64], noise_sd: float) -> NDArray[np.float64]:
    """Return equally likely outcomes, shape (outcomes, computes)."""
    if noise_sd < 0 or not np.all(compute > 0):
        raise ValueError(f"forecast at {compute} with noise {noise_sd}: both must be positive")
    loss = np.stack([law(compute) for law in fit.ensemble])
    slope = np.stack([law.alpha * (law(compute) - law.E) for law in fit.ensemble])
    sd = np.hypot(noise_sd, MISFIT * slope)
    outcomes: NDArray[np.float64] = loss[:, None, :] + sd[:, None, :] * _NORMAL[None, :, None]
    return outcomes.reshape(-1, len(compute))


def _tails(confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: must lie between 0 and 1, e.g. 0.8")
    return (1 - confidence) / 2, (1 + confidence) / 2
