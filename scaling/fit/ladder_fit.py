"""Fit a power law to the runs of a ladder and say how far it can be trusted."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling.fit.start import (
    ALPHA_HIGH,
    ALPHA_LOW,
    Array,
    Means,
    best_law,
    draw_laws,
    law_at_floor,
    profile_floors,
)
from scaling.fit.status import FitStatus
from scaling.law.power_law import PowerLaw

MISFIT = 0.004
"""How far a scale lies off any law, in nats of compute, whatever the number of its runs."""
_PRIOR_NOISE, _PRIOR_DF = 0.02, 2.0
"""Noise of one run in nats of compute, and the number of runs that this guess is worth."""
_KNOWN = 1e6
"""Degrees of freedom of a noise that is known."""
_FREE_FLOOR = 0.1
"""A floor in doubt by more than this share of the lowest loss counts as not identified."""


@dataclass(frozen=True)
class ScalePoint:
    """The runs of one scale: their mean, their noise and how far the law misses them."""

    compute: float
    mean: float
    n_runs: float
    noise_sd: float
    """Standard deviation of one run, pooled with the other scales."""
    misfit: float
    """Mean minus law in standard deviations of the mean; beyond 3 the scale is suspect."""


@dataclass(frozen=True)
class Fit:
    """A law, whether it can be believed, and equally likely laws that express its doubt."""

    law: PowerLaw
    status: FitStatus
    ensemble: tuple[PowerLaw, ...]
    scales: tuple[ScalePoint, ...]
    residual_sd: float
    """Root mean square of the scales' means about the law, in loss."""

    @property
    def n_runs(self) -> float:
        """Number of runs, weights counted."""
        return sum(scale.n_runs for scale in self.scales)

    @property
    def n_scales(self) -> int:
        """Number of different computes."""
        return len(self.scales)


def fit_power_law(
    compute: ArrayLike,
    loss: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    noise_sd: ArrayLike | None = None,
    noise_df: float = _KNOWN,
    n_ensemble: int = 100,
) -> Fit:
    """Fit ``L(C) = E + A C^-alpha`` to runs; those of equal compute are replicates.

    Least squares on the scales' means, E >= 0 (where all losses are positive) and alpha in
    [0.02, 0.6]. The variance of a mean is the noise over the number of runs plus a misfit of 0.4 %
    of compute that replicates do not remove. Noise is pooled: in units of the local slope over all
    scales, then by scale. The ensemble weighs every floor E by its likelihood (flat prior) and
    holds the doubt about alpha and A given E; it is deterministic.

    Parameters
    ----------
    compute, loss : array-like, shape (runs,)
        In any unit and any order; loss is to be minimised.
    weight : array-like, optional
        Number of equal runs that a row stands for; 1 by default.
    noise_sd : array-like, optional
        Known standard deviation of one run by row, in loss; estimated by default. If it was
        estimated elsewhere, ``noise_df`` are its degrees of freedom.
    n_ensemble : int
        Number of laws in the ensemble.

    Raises
    ------
    ValueError
        On no runs, on unequal lengths, or on numbers that are not finite (compute: positive).

    Examples
    --------
    >>> fit = fit_power_law([1, 10, 100], [4.0, 3.0, 2.5])
    >>> str(fit.status), len(fit.ensemble)
    ('E not identified', 100)
    """
    rows = _checked(compute, loss, weight, noise_sd)
    (means, noise), counts, rough = _scale_means(rows, noise_df)
    law, status, ensemble = _solve(means, rough, n_ensemble)
    residual = means.loss - law(np.exp(means.t + means.centre))
    scales = _scale_points(means, counts, noise, residual)
    residual_sd = float(np.sqrt(np.mean(residual**2)))
    return Fit(law, status, ensemble, scales, residual_sd)


def _scale_points(
    means: Means, counts: Array, noise: Array, residual: Array
) -> tuple[ScalePoint, ...]:
    compute = np.exp(means.t + means.centre)
    misfit = residual / np.sqrt(means.variance)
    rows = np.stack([compute, means.loss, counts, noise, misfit], axis=1)
    return tuple(ScalePoint(*row) for row in rows.tolist())


def _checked(
    compute: ArrayLike, loss: ArrayLike, weight: ArrayLike | None, noise_sd: ArrayLike | None
) -> tuple[Array, Array, Array, Array | None]:
    x = np.atleast_1d(np.asarray(compute, float))
    y = np.atleast_1d(np.asarray(loss, float))
    w = np.broadcast_to(np.asarray(1.0 if weight is None else weight, float), y.shape)
    if x.shape != y.shape or x.ndim != 1 or len(x) == 0:
        raise ValueError(f"compute has shape {x.shape}, loss {y.shape}: give one of each a run")
    if not (np.isfinite(x).all() and (x > 0).all() and np.isfinite(y).all() and (w > 0).all()):
        raise ValueError(
            "compute and weight must be positive, loss finite: leave out runs that did not complete"
        )
    if noise_sd is None:
        return x, y, w, None
    return x, y, w, np.broadcast_to(np.asarray(noise_sd, float), y.shape)


def _scale_means(
    rows: tuple[Array, Array, Array, Array | None], known_df: float
) -> tuple[tuple[Means, Array], Array, float]:
    """Average the replicates; return (means, noise of a run), runs by scale, rough slope."""
    x, y, w, known = rows
    scale, at = np.unique(x, return_inverse=True)
    counts = np.bincount(at, w).astype(float)
    mean = np.bincount(at, w * y) / counts
    squares = np.bincount(at, w * (y - mean[at]) ** 2).astype(float)
    centre = float(np.mean(np.log(scale)))
    t = np.log(scale) - centre
    spread = float(np.ptp(mean)) or 1e-6 * abs(float(mean[0])) or 1e-6
    lowest = 0.0 if mean.min() > 0 else float(mean.min()) - 20 * spread
    rough = _rough_alpha(t, mean - lowest, counts)
    slope = max(rough, ALPHA_LOW) * (mean - lowest)
    if known is None:
        noise, df = _pooled_noise(slope, squares, counts=counts, size=np.abs(mean))
    else:
        noise, df = np.sqrt(np.bincount(at, w * known**2) / counts), known_df
    variance = noise**2 / counts + (MISFIT * slope) ** 2
    return (Means(t, mean, variance, centre, lowest, df), noise), counts, rough


def _rough_alpha(t: Array, above: Array, counts: Array) -> float:
    """Return the exponent of the law without a floor; its slope is right where the runs are."""
    if len(t) < 2:
        return math.nan
    dt = t - np.average(t, weights=counts)
    return -float(np.sum(counts * dt * np.log(above)) / np.sum(counts * dt**2))


def _pooled_noise(
    slope: Array, squares: Array, *, counts: Array, size: Array
) -> tuple[Array, float]:
    """Return the noise of one run by scale, and its degrees of freedom in all.

    In units of the slope pooled over all scales, from a guess worth two runs; then by scale,
    from that pool worth two runs again. Never below 1e-4 of the loss or a quarter of a
    neighbour's.
    """
    df = counts - 1
    pooled = _PRIOR_DF * _PRIOR_NOISE**2 + float(np.sum(squares / slope**2))
    pooled /= _PRIOR_DF + float(df.sum())
    noise = np.sqrt((_PRIOR_DF * pooled * slope**2 + squares) / (_PRIOR_DF + df))
    edged = np.pad(noise, 1)
    noise = np.maximum(noise, np.maximum(edged[:-2], edged[2:]) / 4)
    return np.maximum(noise, 1e-4 * size), _PRIOR_DF + float(df.sum())


def _solve(
    means: Means, rough: float, n_ensemble: int
) -> tuple[PowerLaw, FitStatus, tuple[PowerLaw, ...]]:
    if len(means.t) == 1:
        laws = _assumed_laws(means, n_ensemble)
        return laws[len(laws) // 2], FitStatus.TOO_FEW_SCALES, laws
    profile = profile_floors(means)
    ensemble = draw_laws(means, profile, n_ensemble)
    free = profile.sd_floor > _FREE_FLOOR * float(np.min(means.loss - means.lowest_floor))
    free = free or len(means.t) <= 3
    law = law_at_floor(means, profile.mean_floor) if free else best_law(means)
    if len(means.t) == 2:
        return law, FitStatus.TOO_FEW_SCALES, ensemble
    if rough <= 0:
        return law, FitStatus.NOT_DECREASING, ensemble
    if not ALPHA_LOW * 1.001 < law.alpha < ALPHA_HIGH * 0.999:
        return law, FitStatus.AT_BOUND, ensemble
    return law, FitStatus.FREE_FLOOR if free else FitStatus.CONVERGED, ensemble


def _assumed_laws(means: Means, n: int) -> tuple[PowerLaw, ...]:
    """Return laws through a single scale, of which nothing but the point was measured."""
    # assumption: floors of 0 to 0.8 of the loss and exponents of 0.05 to 0.4, as language models
    # and numerical solvers show; the status says so.
    share = (np.arange(n) + 0.5) / n
    alphas = np.geomspace(0.05, 0.4, n)[np.argsort(np.arange(n) * 0.618034 % 1)]
    loss, compute = float(means.loss[0]), math.exp(means.centre)
    floors = means.lowest_floor + 0.8 * share * (loss - means.lowest_floor)
    pairs = zip(floors.tolist(), alphas.tolist(), strict=True)
    return tuple(PowerLaw.through(compute, loss, E=e, alpha=a) for e, a in pairs)
