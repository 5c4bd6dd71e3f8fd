"""From runs to effects: noise by rung, and each change's gain in log compute multiplier.

With n runs of the change, m of its baseline and a share f of the n on shared seeds,

    d = mean(b) - mean(y) + (rho / n) sum over shared seeds of (b - mean(b))
    Var d = sd^2 (1 - rho^2 f) / n + (1 - rho f)^2 sd^2 / m
    g = (1 / alpha) ln((L - E) / (L - d - E)),   L = mean(b)

a control variate: plain pair differences help only where rho > .5. The second term of the variance
is the baseline's own error, shared by all changes on the rung. One baseline law turns loss into
compute; noise is pooled over all replicates of a rung with a weak prior.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scaling import (
    MOST_GAIN,
    Fit,
    FitStatus,
    PowerLaw,
    bound_gain,
    fit_power_law,
    local_slope,
    log_multiplier,
    table_of,
)
from transfer.events import Effect
from transfer.ladder import Ladder
from transfer.measure.noise import PRIOR_DF, Losses, Noise, Share
from transfer.units import COMPUTE, GainUnit

CLEAR_FALL = 2.0
"""Standard errors by which the loss must fall over the ladder for a law in compute."""
# assumption: below this a slope's sign is a guess, and multiples of compute with it
ODD_Z = NormalDist().inv_cdf(0.99)
"""Replicates of a change that spread this far beyond the pool's are taken at their own word."""


@dataclass(frozen=True)
class BaselineLaw:
    """One baseline's law, as the means to turn loss into compute.

    ``slopes`` is |dL / d ln C| by rung. ``laws`` is empty where the runs follow no law: then gains
    are local, loss over slope.
    """

    fit: Fit
    laws: tuple[PowerLaw, ...]
    slopes: Mapping[str, float]
    is_in_compute: bool = True
    """Whether the runs fall with compute, so that a gain can be read as compute."""

    @cached_property
    def table(self) -> NDArray[np.float64]:
        """Floors and exponents of the laws, shape (laws, 2)."""
        return table_of(self.laws)

    def at(self, means: Mapping[str, float]) -> "BaselineLaw":
        """Return the same law where another baseline stands, given its mean loss by rung.

        A change that shifts effective compute leaves floor and exponent as they are, and nothing
        else of the law is used.
        """
        if not self.laws:
            return self
        slopes = {
            name: local_slope(self.table, baseline_loss=loss, slope=self.slopes.get(name))
            for name, loss in means.items()
        }
        return replace(self, slopes={**self.slopes, **slopes})


def gain_unit(ladder: Ladder, law: BaselineLaw) -> GainUnit:
    """Return what gains read off a baseline's law are to be written in."""
    if law.is_in_compute:
        return COMPUTE
    return GainUnit(ladder.setting.objective.unit, next(iter(law.slopes.values())))


def fit_baseline_law(
    ladder: Ladder, baseline: Mapping[str, Losses], noise: Mapping[str, Noise] | None = None
) -> BaselineLaw:
    """Fit the baseline's law over its rungs.

    Parameters
    ----------
    baseline
        Rung -> seed -> loss; rungs without runs are absent or empty.
    noise
        Rung -> noise of one run, where more is known of it than the baseline's own seeds say.

    Raises
    ------
    ValueError
        If no rung has a run.
    """
    rungs = [rung for rung in ladder.rungs if baseline.get(rung.name)]
    means = {rung.name: float(np.mean(list(baseline[rung.name].values()))) for rung in rungs}
    compute = [rung.scale for rung in rungs for _ in baseline[rung.name]]
    loss = [value for rung in rungs for value in baseline[rung.name].values()]
    if noise is None:
        fit = fit_power_law(compute, loss)
    else:
        known = [noise[rung.name].sd for rung in rungs for _ in baseline[rung.name]]
        df = PRIOR_DF + sum(noise[rung.name].df for rung in rungs)
        fit = fit_power_law(compute, loss, noise_sd=known, noise_df=df)
    fall, fall_se = _fall(baseline, means, noise or {})
    is_falling = fall > CLEAR_FALL * fall_se
    if fit.status in (FitStatus.NOT_DECREASING, FitStatus.AT_BOUND) or not is_falling:
        return BaselineLaw(fit, (), _line_slopes(ladder, means, fall_se), is_falling)
    if fit.status is FitStatus.TOO_FEW_SCALES and ladder.prior is not None:
        prior = ladder.prior
        local = {n: prior.exponent * abs(loss - prior.floor) for n, loss in means.items()}
        return BaselineLaw(fit, (), local)
    slopes = {name: local_slope(fit.ensemble, baseline_loss=loss) for name, loss in means.items()}
    return BaselineLaw(fit, fit.ensemble, slopes)


def _fall(
    baseline: Mapping[str, Losses], means: Mapping[str, float], noise: Mapping[str, Noise]
) -> tuple[float, float]:
    """Return how far the loss falls from the lowest rung to the highest, and its error.

    One rung falls by definition: its slope is an assumption.
    """
    low, high = next(iter(means)), list(means)[-1]
    if low == high:
        return math.inf, 0.0
    errors = [noise[name].sd / math.sqrt(len(baseline[name])) for name in (low, high) if noise]
    return means[low] - means[high], math.hypot(*errors) if errors else 0.0


def _line_slopes(ladder: Ladder, means: Mapping[str, float], fall_se: float) -> dict[str, float]:
    """Slope of the straight line through all rungs, at least what noise would hide, never zero."""
    x = [ladder.position(ladder.rung(name).scale) for name in means]
    if len(x) > 1:
        slope = abs(float(np.polyfit(x, list(means.values()), 1)[0]))
        hidden = CLEAR_FALL * fall_se / (x[-1] - x[0])
    else:
        slope = hidden = 0.0
    least = 1e-12 + 1e-6 * max(abs(loss) for loss in means.values())
    return dict.fromkeys(means, max(slope, hidden, least))


def effect(
    ladder: Ladder,
    rung_name: str,
    *,
    baseline: Losses,
    change: Losses,
    noise: Noise,
    baseline_law: BaselineLaw,
    own_sd: float | None = None,
) -> Effect:
    """Estimate a change's improvement on one rung; the module has the formulas.

    Parameters
    ----------
    own_sd
        Spread of the change's own runs where it differs from the pool's (:func:`odd_spread`); the
        excess is independent of the seed.

    Raises
    ------
    ValueError
        If either arm has no run there.
    """
    if not baseline or not change:
        raise ValueError(f"effect on {rung_name}: both arms need a run; run them first")
    shared = baseline.keys() & change.keys()
    mean_b = math.fsum(baseline.values()) / len(baseline)
    mean_y = math.fsum(change.values()) / len(change)
    carried = math.fsum(baseline[seed] - mean_b for seed in shared)
    d = mean_b - mean_y + noise.rho / len(change) * carried
    share, counts = len(shared) / len(change), (len(change), len(baseline))
    own, common = _errors(noise, own_sd or noise.sd, share=share, counts=counts)
    se = math.hypot(own, common)
    slope = baseline_law.slopes[rung_name]
    gain = d / slope
    if baseline_law.laws:
        gain = log_multiplier(baseline_law.table, baseline_loss=mean_b, gain_loss=d, slope=slope)
    gain, gain_se, shared_se = on_scale(gain, se / slope, common / slope)
    return Effect(
        rung=rung_name,
        position=ladder.position(ladder.rung(rung_name).scale),
        n=len(change),
        n_pairs=len(shared),
        n_baseline=len(baseline),
        loss_gain=d,
        loss_se=se,
        gain=gain,
        gain_se=gain_se,
        shared_se=shared_se,
    )


def on_scale(gain: float, gain_se: float, shared_se: float) -> tuple[float, float, float]:
    """Return a gain and its errors within what is read as compute, as clear as it was.

    Where the gain is cut its errors shrink with it; an error is at most the whole scale.

    >>> on_scale(0.1, 0.02, 0.01), on_scale(0.0, 1e9, 5e8)[1:] == (MOST_GAIN, MOST_GAIN / 2)
    ((0.1, 0.02, 0.01), True)
    >>> gain, se, _ = on_scale(5e5, 5e4, 0.0)
    >>> gain == MOST_GAIN, round(gain / se)
    (True, 10)
    """
    bounded = bound_gain(gain)
    cut = 1.0 if bounded == gain else bounded / gain
    cut *= min(1.0, MOST_GAIN / (gain_se * cut)) if gain_se * cut > 0 else 1.0
    return bounded, gain_se * cut, shared_se * cut


def _errors(
    noise: Noise, own_sd: float, *, share: float, counts: tuple[int, int]
) -> tuple[float, float]:
    """Return the two parts of an effect's standard error: the change's own, the baseline's."""
    n, m = counts
    own = own_sd**2 - noise.sd**2 * noise.rho**2 * share
    return math.sqrt(own / n), noise.sd * (1 - noise.rho * share) / math.sqrt(m)


def odd_spread(share: Share, noise: Noise) -> float | None:
    """Return the spread of a change's own replicates if it is too large for the pool's.

    An F-test at p < .01 with the degrees of freedom of both; one-sided, since few replicates that
    happen to agree prove no small noise. None where they do not differ.

    >>> odd_spread(Share(squares=1.0, df=1), Noise(sd=0.9, df=50, rho=0.5, n_pairs=0))
    >>> odd_spread(Share(squares=9.0, df=1), Noise(sd=0.9, df=50, rho=0.5, n_pairs=0))
    3.0
    """
    if not share.df:
        return None
    variance = share.squares / share.df
    z = _normal_of_f(variance / noise.sd**2, share.df, noise.df + PRIOR_DF)
    return math.sqrt(variance) if z > ODD_Z else None


def _normal_of_f(ratio: float, df: float, pool_df: float) -> float:
    """Return the normal deviate as improbable as a ratio of variances (Paulson, 1942)."""
    a, b = 2 / (9 * df), 2 / (9 * pool_df)
    root = math.pow(ratio, 1 / 3)
    return ((1 - b) * root - (1 - a)) / math.sqrt(b * root**2 + a)
