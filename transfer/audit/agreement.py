"""What an audit counts: agreement of two rungs, with noise and without, and how far it can be off.

Gains are in nats of compute, one an intervention; pure functions, randomness comes in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.events import Effect

Array = NDArray[np.float64]

DRAWS = 1000


def detectable(noise: float, rho: float, *, seeds: int, baseline_seeds: int) -> float:
    """Return the smallest gain that so many pairs tell from none, nats of compute.

    ``2.5 sigma_g sqrt((1 - rho^2) / n + (1 - rho)^2 / n_b)``: found with a power of .8 where a
    false alarm has a probability of .05, one-sided.

    Parameters
    ----------
    noise
        Noise of one run in nats of compute.
    rho
        Correlation of two arms on one seed.
    seeds
        Runs of the change, each paired with one of the baseline.
    baseline_seeds
        Runs of the baseline.

    >>> round(detectable(0.03, 0.5, seeds=2, baseline_seeds=3), 4)
    0.0508
    """
    return 2.5 * planned_se(noise, rho, seeds=seeds, baseline_seeds=baseline_seeds)


def planned_se(noise: float, rho: float, *, seeds: int, baseline_seeds: int) -> float:
    """Return the standard error of a comparison by paired seeds, nats of compute.

    Parameters
    ----------
    noise
        Noise of one run in nats of compute.
    rho
        Correlation of two arms on one seed.
    seeds
        Runs of the change, each paired with one of the baseline.
    baseline_seeds
        Runs of the baseline.
    """
    both = max(baseline_seeds, seeds)
    return noise * math.sqrt((1 - rho**2) / seeds + (1 - rho) ** 2 / both)


def signs(left: Array, right: Array) -> Array:
    """Return 1 for each pair that both rungs order alike, -1 where not, 0 at a tie.

    The result is square, (n, n), with a diagonal of zeros.
    """
    first = np.sign(left[:, None] - left[None, :])
    second = np.sign(right[:, None] - right[None, :])
    result: Array = first * second
    return result


def accuracy(left: Array, right: Array) -> float:
    """Return the share of pairs of interventions that both rungs order alike; a tie is half.

    >>> round(accuracy(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.2, 0.1])), 4)
    0.6667
    """
    n = len(left)
    return 0.5 + float(signs(left, right).sum()) / (2 * n * (n - 1))


def spearman(left: Array, right: Array) -> float:
    """Return the rank correlation; ties get their mean rank, a constant side gives 0."""
    from scipy.stats import rankdata

    a, b = rankdata(left), rankdata(right)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def bootstrap_accuracy(left: Array, right: Array, rng: np.random.Generator) -> Array:
    """Return accuracies of resampled sets of interventions, (draws,)."""
    return 0.5 + resample_pairs(signs(left, right), rng)


def resample_pairs(agree: Array, rng: np.random.Generator) -> Array:
    """Return half the mean over pairs of resampled sets of interventions, (draws,).

    ``agree`` is what each pair counts, (n, n); a pair of an intervention with itself is left out.
    """
    n = len(agree)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    total = n * n - (weights**2).sum(axis=1)
    summed = np.einsum("di,ij,dj->d", weights, agree, weights)
    halves: Array = summed[total > 0] / (2 * total[total > 0])
    return halves


@dataclass(frozen=True)
class RungAgreement:
    """How one rung orders changes as another does; gains and their own variances, (changes,) each.

    accuracy, low, high
        Share of pairs ordered alike, with its 80 % interval over changes.
    clean, clean_low, clean_high
        The same with the noise of both removed; None where one shows no more than noise.
    """

    lower: Array
    upper: Array
    lower_variance: Array
    upper_variance: Array
    accuracy: float
    low: float
    high: float
    clean: float | None
    clean_low: float | None
    clean_high: float | None


def compare_rungs(
    pairs: Sequence[tuple[Effect, Effect]], rng: np.random.Generator
) -> RungAgreement:
    """Compare two rungs by the effects of each change on both."""
    lower, upper = (np.array([pair[side].gain for pair in pairs]) for side in (0, 1))
    own = [np.array([own_variance(pair[side]) for pair in pairs]) for side in (0, 1)]
    drawn = bootstrap_accuracy(lower, upper, rng)
    seen = accuracy(lower, upper)
    reliabilities = [
        reliability(gains, variance, rng)
        for gains, variance in zip((lower, upper), own, strict=True)
    ]
    cleared = [without_noise(float(share), reliabilities) for share in drawn]
    clean = [share for share in cleared if share is not None]
    low, high = np.quantile(drawn, [0.1, 0.9]).tolist()
    clean_low, clean_high = np.quantile(clean, [0.1, 0.9]).tolist() if clean else (None, None)
    return RungAgreement(
        lower=lower,
        upper=upper,
        lower_variance=own[0],
        upper_variance=own[1],
        accuracy=seen,
        low=low,
        high=high,
        clean=without_noise(seen, reliabilities),
        clean_low=clean_low,
        clean_high=clean_high,
    )


def own_variance(effect: Effect) -> float:
    """Return the variance of an effect without the part that all changes on its rung share."""
    return max(effect.gain_se**2 - effect.shared_se**2, 0.0)


def correlation_of(share: float) -> float:
    """Return the correlation of two normals whose pairs agree in this share.

    accuracy = 1/2 + asin(rho) / pi (Sheppard, 1899), read backwards.
    """
    return math.sin(math.pi * (min(max(share, 0.0), 1.0) - 0.5))


def accuracy_of(rho: float) -> float:
    """Return the share of pairs that two normals of correlation rho order alike.

    >>> accuracy_of(0.0), accuracy_of(1.0)
    (0.5, 1.0)
    """
    return 0.5 + math.asin(min(max(rho, -1.0), 1.0)) / math.pi


def reliability(gains: Array, variances: Array, rng: np.random.Generator) -> float:
    """Return the correlation, by ranks, of measured gains with the true ones on one rung.

    True gains are taken as the measured ones drawn in to the spread that noise leaves,
    ``var(g) - mean(v)``; noise is put on them and pairs are counted. For normal effects this is
    ``sqrt(1 - mean(v) / var(g))``; for heavy tails it is not blinded by one large effect.

    Parameters
    ----------
    variances
        Each gain's own error, the baseline's shared one left out: it moves no pair.

    Returns
    -------
    float
        0 where all spread is noise.
    """
    spread = float(np.var(gains, ddof=1))
    left = spread - float(variances.mean())
    if left <= 0.02 * spread:
        return 0.0
    true = gains.mean() + (gains - gains.mean()) * math.sqrt(left / spread)
    noise = rng.normal(size=(200, len(gains))) * np.sqrt(variances)
    agreed = float(np.mean([accuracy(true, true + one) for one in noise]))
    return max(correlation_of(agreed), 0.0)


def without_noise(share: float, reliabilities: Sequence[float]) -> float | None:
    """Return the accuracy that two noiseless rungs would have.

    ``rho = rho_seen / (k_r k_T)``, k the correlation of seen with true gains on each rung; None
    where a rung shows no more than noise.
    """
    product = math.prod(reliabilities)
    if product < 0.1:
        return None
    return accuracy_of(correlation_of(share) / product)


def persistence(left: Array, right: Array, variances: Array) -> float | None:
    """Return the slope of upper gains on lower ones, errors in the lower ones accounted for.

    ``cov(g_r, g_T) / (var(g_r) - mean(v))`` (Fuller, Measurement Error Models, 1.2); errors common
    to all changes of a rung drop out. None with fewer than three changes or no spread but noise.
    """
    if len(left) < 3:
        return None
    spread = float(np.var(left, ddof=1))
    true = spread - float(variances.mean())
    if true <= 0.1 * spread or spread == 0:
        return None
    return float(np.cov(left, right)[0, 1]) / true


def bootstrap_persistence(
    left: Array, right: Array, variances: Array, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Return the 80 % interval of :func:`persistence` over resampled interventions.

    Parameters
    ----------
    left
        Gains on one rung, shape (changes,).
    right
        Gains on the other, shape (changes,).
    variances
        Of the first, noise alone, shape (changes,).
    rng
        Draws the resamples.
    """
    n, found = len(left), []
    for chosen in rng.integers(0, n, size=(300, n)):
        if len(set(chosen.tolist())) >= 3:
            slope = persistence(left[chosen], right[chosen], variances[chosen])
            found += [slope] if slope is not None else []
    if len(found) < 100:
        return None
    low, high = np.quantile(found, [0.1, 0.9])
    return float(low), float(high)
