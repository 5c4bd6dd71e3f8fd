"""Two arms of one table: how much compute of the baseline the other is worth, over scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.fit.bootstrap import resample, resample_weights
from scaling.fit.form_fit import FormFit, as_scales, fit_form
from scaling.fit.objective import Array, FitObjective
from scaling.gain import compute_multiple
from scaling.law.form import Form

_REACH = 8.0
"""Largest gain that is looked for, in nats of compute: 3,000x."""
_EXACT = 1e-9
"""Scatter below this is rounding: copies of one run, or a law that passes through all."""


@dataclass(frozen=True)
class Gain:
    """Log compute multiplier of an arm at one scale, with its interval; positive is better."""

    compute: float
    mean: float
    low: float
    high: float
    n_runs: int

    @property
    def multiplier(self) -> float:
        """Compute that the baseline would need, in units of what the arm used; at most 1000x."""
        return compute_multiple(self.mean)


@dataclass(frozen=True)
class Comparison:
    """Gains of an arm by scale and at a target."""

    baseline: FormFit
    by_scale: tuple[Gain, ...]
    target: Gain
    slope: Gain
    """Change of the gain by nat of compute; ``compute`` is where the line was centred."""


@dataclass(frozen=True)
class Arm:
    """One arm: scales (scales, rows), losses, and the name by which its rows are resampled.

    Rows of both arms that carry one name (a shared seed) are drawn together: what they share
    cancels.
    """

    scales: Array
    loss: Array
    run: NDArray[np.str_]

    @property
    def compute(self) -> Array:
        """Product of the scales: compute up to a constant factor, or compute itself."""
        return np.asarray(np.prod(self.scales, axis=0))


def multipliers(fit: FormFit, theta: Array, scales: Array, loss: Array) -> Array:
    """Return log compute multipliers (batch, rows) of losses under many versions of a law.

    g solves ``L(scales * exp(g / n)) = loss``, n the number of scales: all grow together, at the
    tokens per parameter of the row. Bisection; losses below the floor get the reach, 8 nats.

    >>> from scaling.law.law_catalogue import POWER
    >>> c = np.geomspace(1.0, 1e4, 8)
    >>> fit = fit_form(POWER, c, loss=1 + c**-0.3)
    >>> multipliers(fit, fit.theta[None], np.array([[100.0]]), fit(110.0)).round(4).item()
    0.0953
    """
    x = np.log(scales) - fit.centre[:, None]
    wanted = np.log(loss)
    steps = _REACH * np.sinh(4 * np.linspace(-1, 1, 161)) / np.sinh(4)
    gains = np.empty((len(theta), len(wanted)))
    for i, goal in enumerate(wanted):
        curve = fit.form.log_loss(theta, x[:, i : i + 1] + steps / len(x))
        gains[:, i] = _crossing(curve, steps, float(goal))
    return gains


def _crossing(curve: Array, steps: Array, goal: float) -> Array:
    """Return where falling curves (batch, steps) pass a level, by linear interpolation."""
    at = np.clip((curve > goal).sum(1), 1, len(steps) - 1)
    rows = np.arange(len(curve))
    before, after = curve[rows, at - 1], curve[rows, at]
    share = np.clip((before - goal) / np.maximum(before - after, 1e-12), 0, 1)
    return np.asarray(steps[at - 1] + share * (steps[at] - steps[at - 1]))


def compare(
    baseline: Arm,
    arm: Arm,
    *,
    form: Form,
    target: tuple[float, ...],
    rng: np.random.Generator,
    confidence: float = 0.8,
    n: int = 400,
    objective: FitObjective | None = None,
) -> Comparison:
    """Measure an arm's compute multiplier over scale, and where it leads at a target.

    One law is fitted, the baseline's; every row of both arms is read off it as a log compute
    multiplier, and the arm's are taken less the baseline's at the same scale: the law's misfit
    there cancels. Over three scales or more the gain is a line in log compute; below that it is
    constant. Intervals come from resamples of whole runs, names shared by the arms drawn together.
    The target has a number for each scale of the form; ``n`` is the number of resamples.

    Examples
    --------
    >>> from scaling.law.law_catalogue import POWER
    >>> c = np.geomspace(1.0, 1e4, 8)
    >>> names = np.array([f"s{i}" for i in range(8)])
    >>> arms = [Arm(c[None], 1 + (c * m) ** -0.3, names) for m in (1.0, 1.2)]
    >>> comparison = compare(*arms, form=POWER, target=(1e5,), rng=np.random.default_rng(0))
    >>> round(comparison.target.multiplier, 3)
    1.2
    """
    fit = fit_form(form, *baseline.scales, loss=baseline.loss, objective=objective, n_polished=4)
    names = np.concatenate([baseline.run, arm.run])
    drawn = np.vstack([np.ones((1, len(names))), resample_weights(names, n, rng)])
    ours, theirs = drawn[:, : len(baseline.run)], drawn[:, len(baseline.run) :]
    refits = resample(fit, n + 1, rng, weight=np.maximum(ours, 1e-9))
    base = multipliers(fit, refits.theta, baseline.scales, baseline.loss)
    gain = multipliers(fit, refits.theta, arm.scales, arm.loss)
    gain = gain - _baseline_at(baseline, arm, base, ours)
    at = float(np.log(np.prod(as_scales(form, target)[:, 0])))
    line = _Lines(np.log(arm.compute), gain, theirs)
    noise = line.noise(base[0], n_fitted=len(fit.theta))
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return Comparison(
        baseline=fit,
        by_scale=line.by_scale(tails, noise, rng),
        target=_gain(np.exp(at), noise.added(line.at(at), len(gain[0]), rng), tails, len(arm.loss)),
        slope=_gain(np.exp(line.centre), noise.known(line.slope), tails, len(arm.loss)),
    )


@dataclass(frozen=True)
class GainNoise:
    """Scatter of one run's gain, and the degrees of freedom that it is known by."""

    sd: float
    df: int

    def added(self, draws: Array, n: int, rng: np.random.Generator) -> Array:
        """Return draws with what resamples of n runs lack: an n-th of the variance, all at one."""
        lacking = self.sd / n * rng.standard_t(max(self.df, 1), len(draws) - 1)
        return self.known(np.concatenate([draws[:1], draws[1:] + lacking]))

    def known(self, draws: Array) -> Array:
        """Return draws, all but the point NaN where the runs say nothing of their noise."""
        if self.df >= 1 and self.sd > _EXACT:
            return draws
        return np.concatenate([draws[:1], np.full(len(draws) - 1, np.nan)])


def _baseline_at(baseline: Arm, arm: Arm, base: Array, weight: Array) -> Array:
    """Return by arm row the baseline's own mean multiplier at that scale, 0 where it has none."""
    gap = np.log(baseline.scales)[:, :, None] - np.log(arm.scales)[:, None, :]
    same = (np.abs(gap) < 0.03).all(0).astype(float)
    total = weight @ same
    sums = (weight * base) @ same
    return np.asarray(np.where(total > 0, sums / np.maximum(total, 1e-9), 0.0))


class _Lines:
    """Weighted lines of gain (batch, rows) over log compute, one a resample."""

    def __init__(self, t: Array, gain: Array, weight: Array) -> None:
        self.t, self.gain, self.weight = t, gain, np.maximum(weight, 1e-9)
        self.centre = float(t.mean())
        dt = t - self.centre
        total = self.weight.sum(1)
        self.mean = (self.weight * gain).sum(1) / total
        where = (self.weight * dt).sum(1) / total
        spread = (self.weight * (dt - where[:, None]) ** 2).sum(1)
        along = (self.weight * gain * (dt - where[:, None])).sum(1)
        has_slope = len(np.unique(np.round(t, 1))) >= 3
        self.slope = along / np.maximum(spread, 1e-6) * has_slope
        self.where = where

    def at(self, t: float) -> Array:
        """Return the gain of every resample at a log compute."""
        return np.asarray(self.mean + self.slope * (t - self.centre - self.where))

    def noise(self, baseline: Array, *, n_fitted: int) -> GainNoise:
        """Return how far gains scatter: among seeds of a scale; without them, about the lines.

        Without seeds the larger of the gains' scatter about their line and of the baseline's rows
        about its law, if that has fewer parameters than rows: what a law passes through exactly
        tells no noise.
        """
        _, cell, counts = np.unique(np.round(self.t, 1), return_inverse=True, return_counts=True)
        mean = np.bincount(cell, self.gain[0]) / counts
        df = len(self.t) - len(counts)
        if df:
            return GainNoise(float(np.sqrt(((self.gain[0] - mean[cell]) ** 2).sum() / df)), df)
        df = min(len(baseline) - n_fitted, len(self.t) - (1 + (len(counts) >= 3)))
        if df < 1:
            return GainNoise(0.0, 0)
        off_line = self.gain[0] - (
            self.mean[0] + self.slope[0] * (self.t - self.centre - self.where[0])
        )
        squares = max(float((off_line**2).sum()), float((baseline**2).sum()))
        return GainNoise(float(np.sqrt(squares / df)), df)

    def by_scale(
        self, tails: tuple[float, float], noise: GainNoise, rng: np.random.Generator
    ) -> tuple[Gain, ...]:
        """Return the mean gain at each scale of the arm."""
        held = []
        for key in np.unique(np.round(self.t, 1)):
            rows = np.round(self.t, 1) == key
            weight = self.weight[:, rows]
            mean = (weight * self.gain[:, rows]).sum(1) / weight.sum(1)
            mean = noise.added(mean, int(rows.sum()), rng)
            held.append(_gain(float(np.exp(self.t[rows].mean())), mean, tails, int(rows.sum())))
        return tuple(held)


def _gain(compute: float, draws: Array, tails: tuple[float, float], n: int) -> Gain:
    """Return the point (the first draw, of all rows once) and the interval of the others."""
    low, high = np.quantile(draws[1:], tails)
    return Gain(float(compute), float(draws[0]), float(low), float(high), n)


def arm_of(scales: tuple[ArrayLike, ...], loss: ArrayLike, run: ArrayLike) -> Arm:
    """Return an arm from plain columns."""
    x = np.stack([np.asarray(s, float) for s in scales])
    return Arm(x, np.asarray(loss, float), np.asarray(run, dtype=str))
