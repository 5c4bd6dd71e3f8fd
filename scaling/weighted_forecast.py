"""Forecasts beyond the table: several forms, weighed by how they did on held-out rungs.

The variance of a forecast of log loss is the sum of four parts, none assumed away:

* parameters: the spread of refits to resamples of whole runs;
* form: the disagreement of the forms, each with its weight;
* noise: that of one run about the law, on the larger half of the runs;
* distance: ``(kappa d)^2``, d the nats beyond the largest run, kappa from the errors that the same
  procedure makes on held-out largest rungs of the table itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from scaling.fit.bootstrap import Ensemble, resample
from scaling.fit.form_fit import FormFit, as_scales, fit_form
from scaling.fit.objective import Array, FitObjective
from scaling.forecast import Forecast
from scaling.law.form import Form
from scaling.law.law_catalogue import (
    COUPLED,
    HOFFMANN,
    KAPLAN,
    LOG_LINEAR,
    NO_OFFSET,
    POWER,
    SURFACE_NO_OFFSET,
    TIED,
)
from scaling.table.split import distance_beyond, inner_splits, rung_orders

SHARPNESS = 8.0
"""Weight of a form falls with this power of its error on held-out rungs."""
# Chosen, with the prior weights, on Chinchilla, Gadre (C4), misfitting and step-law's 1B; Marin,
# Gemstones, step-law's mixtures of experts and Gadre's other validation sets were held out.
SURFACE_FORMS: tuple[tuple[Form, float], ...] = (
    (HOFFMANN, 1.0),
    (TIED, 1.0),
    (COUPLED, 0.3),
    (KAPLAN, 0.1),
    (SURFACE_NO_OFFSET, 0.1),
)
CURVE_FORMS: tuple[tuple[Form, float], ...] = (
    (POWER, 1.0),
    (NO_OFFSET, 0.1),
    (LOG_LINEAR, 0.03),
)
_KAPPA, _KAPPA_WORTH = 0.001, 3.0
"""Drift from the law by nat before anything is seen, and what this guess is worth in nats^2."""
_NEGLIGIBLE = 0.03
_AMPLE = 30
"""Rows below a cut from which on the deepest cut alone weighs the forms."""


@dataclass(frozen=True)
class Member:
    """One form in the average, with its refits and its record on held-out rungs."""

    fit: FormFit
    ensemble: Ensemble
    weight: float
    held_out_error: float | None
    """Mean absolute log error beyond the cuts; None where nothing could be held out."""


@dataclass(frozen=True)
class Extrapolation:
    """What the table says about larger runs."""

    members: tuple[Member, ...]
    noise_sd: float
    """Of one run about the law, in log loss."""
    kappa: float
    """Drift from the law by nat beyond the largest run, in log loss."""
    df: float
    log_scales: Array

    @property
    def best(self) -> FormFit:
        """The form of the largest weight."""
        return max(self.members, key=lambda member: member.weight).fit

    def spread(self, *scales: ArrayLike) -> tuple[Array, Array]:
        """Return mean and sd of the law's log loss: parameters, forms and distance."""
        means, variances = [], []
        for member in self.members:
            draws = np.log(member.ensemble.predict(*scales))
            means.append(np.log(member.fit(*scales)))
            variances.append(_robust_variance(draws))
        weight = np.array([member.weight for member in self.members])
        mean = weight @ np.array(means)
        form = weight @ (np.array(means) - mean) ** 2
        x = np.log(as_scales(self.members[0].fit.form, scales))
        distance = self.kappa * distance_beyond(self.log_scales, x)
        return mean, np.sqrt(weight @ np.array(variances) + form + distance**2)

    def forecast(
        self, *scales: ArrayLike, confidence: float = 0.95, n_seeds: int = 1
    ) -> list[Forecast]:
        """Return what runs at the given scales should score, each with its interval.

        ``n_seeds`` is how many runs will be averaged; 0 forecasts the law itself.
        """
        mean, sd = self.spread(*scales)
        noise = self.noise_sd / np.sqrt(n_seeds) if n_seeds else 0.0
        half = float(stdtrit(self.df, (1 + confidence) / 2)) * np.hypot(sd, noise)
        rows = zip(np.exp(mean), np.exp(mean - half), np.exp(mean + half), strict=True)
        return [Forecast(float(m), float(a), float(b), confidence) for m, a, b in rows]

    def surprise(self, loss: float, *scales: ArrayLike) -> float:
        """How odd a measured loss is: its distance from the forecast in standard deviations.

        Positive where it is better (lower) than forecast.
        """
        mean, sd = self.spread(*scales)
        return float((mean[0] - np.log(loss)) / np.hypot(sd[0], self.noise_sd))


def extrapolate(
    *scales: ArrayLike,
    loss: ArrayLike,
    run: ArrayLike | None = None,
    rng: np.random.Generator,
    forms: Sequence[tuple[Form, float]] | None = None,
    objective: FitObjective | None = None,
    n: int = 200,
) -> Extrapolation:
    """Fit all forms, weigh them on held-out largest rungs, and measure the doubt.

    Parameters
    ----------
    *scales, loss : array-like, shape (rows,)
        Compute alone, or parameters and tokens; the loss is to be minimised.
    run : array-like, optional
        Name of each row's run; whole runs are resampled. Every row by default.
    forms : sequence of (Form, weight), optional
        Candidates and their prior weights; the shipped ones by default.
    n : int
        Resamples by form.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> compute = np.geomspace(1e15, 1e18, 60)
    >>> loss = (1.7 + 2e3 * compute**-0.21) * np.exp(0.003 * rng.standard_normal(60))
    >>> ahead = extrapolate(compute, loss=loss, rng=rng)
    >>> ahead.forecast(1e19)[0].contains(1.7 + 2e3 * 1e19**-0.21)
    True
    """
    x = np.stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(s, float)) for s in scales)))
    y = np.atleast_1d(np.asarray(loss, float))
    names = np.arange(len(y)) if run is None else np.asarray(run)
    candidates = forms or (CURVE_FORMS if len(x) == 1 else SURFACE_FORMS)
    data = _Data(x, y, names, objective or FitObjective())
    directions = inner_splits(np.log(x), max(len(f.coordinates) for f, _ in candidates))
    members = _members(data, candidates, directions, n, rng)
    noise, df = _noise(members, names)
    drifts = [_kappa(data, members, masks, rng) for masks in directions or [[]]]
    return Extrapolation(members, noise, max(drifts), df, np.log(x))


@dataclass(frozen=True)
class _Data:
    """The table in arrays: scales (scales, rows), losses, names of runs."""

    x: Array
    loss: Array
    run: NDArray[np.generic]
    objective: FitObjective

    def part(self, rows: NDArray[np.bool_]) -> "_Data":
        return _Data(self.x[:, rows], self.loss[rows], self.run[rows], self.objective)

    def fit(self, form: Form) -> FormFit:
        return fit_form(form, *self.x, loss=self.loss, objective=self.objective, n_polished=3)

    def member(
        self, form: Form, weight: float, error: float | None, n: int, rng: np.random.Generator
    ) -> Member:
        fit = self.fit(form)
        if len(np.unique(self.run)) < 3:
            raise ValueError("fewer than three runs: nothing to resample; add runs")
        return Member(fit, resample(fit, n, rng, run=self.run), weight, error)

    def held_out(self, form: Form, splits: list[NDArray[np.bool_]]) -> list[float]:
        """Return the mean absolute log error of a form on each split's held-out rows."""
        errors = []
        for rows in splits:
            ahead = self.part(~rows)
            missed = np.abs(np.log(self.part(rows).fit(form)(*ahead.x) / ahead.loss))
            errors.append(float(missed.mean()) if np.isfinite(missed).all() else np.inf)
        return errors


def _members(
    data: _Data,
    candidates: Sequence[tuple[Form, float]],
    directions: list[list[NDArray[np.bool_]]],
    n: int,
    rng: np.random.Generator,
) -> tuple[Member, ...]:
    """Return the forms worth keeping, refitted, by falling weight.

    Forms are told apart by the deepest cut of each direction: what they miss grows with distance.
    Where it leaves few rows it tells noise apart, and all cuts count.
    """
    splits = [m for ms in directions for m in (ms[-1:] if ms[-1].sum() >= _AMPLE else ms)]
    errors = np.array([data.held_out(form, splits) for form, _ in candidates])
    weights = _weights(errors, np.array([prior for _, prior in candidates]))
    chosen = [i for i in np.argsort(-weights).tolist() if weights[i] > _NEGLIGIBLE]
    total = float(weights[chosen].sum())
    return tuple(
        data.member(
            candidates[i][0],
            float(weights[i]) / total,
            float(np.mean(errors[i])) if splits else None,
            n,
            rng,
        )
        for i in chosen
    )


def _weights(errors: Array, prior: Array) -> Array:
    """Return each form's weight, ``prior (error / least error)^-SHARPNESS``."""
    if errors.size == 0:
        return np.asarray(prior / prior.sum())
    error = np.where(np.isfinite(errors), errors, 1e3).mean(1) + 1e-9
    weight = prior * (error / error.min()) ** -SHARPNESS
    return np.asarray(weight / weight.sum())


def _robust_variance(draws: Array) -> Array:
    """Return the variance of draws (draws, points) from their central 90 %: tails run away."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    return np.asarray(((high - low) / 3.2897) ** 2)


def _typical(residual: Array) -> float:
    """Return the standard deviation that nine in ten residuals agree with; a tenth may be odd."""
    return float(np.quantile(np.abs(residual), 0.9) / 1.6449)


def _noise(members: tuple[Member, ...], run: NDArray[np.generic]) -> tuple[float, float]:
    """Return the noise of one run on the larger half of the rows, and its degrees of freedom."""
    first = members[0].fit
    residual = np.sum([m.weight * m.fit.residuals for m in members], axis=0)
    rung = rung_orders(first.problem.x)[-1]
    upper = rung >= np.sort(rung)[len(rung) // 2 if len(rung) >= 20 else 0]
    n_free = len(first.theta) * upper.mean()
    n_runs = len(np.unique(run[upper]))
    df = max(n_runs - n_free, 2.0)
    scale = upper.sum() / max(upper.sum() - n_free, 1.0)
    return float(_typical(residual[upper]) * np.sqrt(scale)), df


def _kappa(
    data: _Data,
    members: tuple[Member, ...],
    splits: list[NDArray[np.bool_]],
    rng: np.random.Generator,
) -> float:
    """Return the drift by nat that the held-out rungs show beyond their stated doubt."""
    excess, lever = _KAPPA_WORTH * _KAPPA**2, _KAPPA_WORTH
    for rows in splits:
        below, ahead = data.part(rows), data.part(~rows)
        if len(np.unique(below.run)) < 4:
            continue
        again = tuple(below.member(m.fit.form, m.weight, None, 40, rng) for m in members)
        noise, df = _noise(again, below.run)
        inner = Extrapolation(again, noise, 0.0, df, np.log(below.x))
        mean, sd = inner.spread(*ahead.x)
        missed = _typical(np.log(ahead.loss) - mean) ** 2
        distance = distance_beyond(inner.log_scales, np.log(ahead.x))
        excess += missed - float(np.mean(sd**2)) - noise**2
        lever += float(np.mean(distance**2))
    return float(np.sqrt(max(excess, 0) / lever))
