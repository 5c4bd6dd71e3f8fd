"""Refit a form to many resamples of whole runs, all at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.fit.form_fit import FormFit, widths
from scaling.fit.newton import polish
from scaling.fit.objective import Array


@dataclass(frozen=True)
class Ensemble:
    """Equally likely versions of a fit, one a resample."""

    fit: FormFit
    theta: Array
    """Coordinates, (resamples, parameters)."""
    weight: Array
    """How often each row counted, (resamples, rows)."""
    objective: Array
    gradient: Array

    @property
    def converged_share(self) -> float:
        """Share of the resamples that reached their own optimum."""
        return float(np.mean(self.gradient < 1e-6))

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """Every parameter of the formula, (resamples,) each."""
        return self.fit.form.natural(self.theta, self.fit.centre)

    def interval(self, name: str, confidence: float = 0.95) -> tuple[float, float]:
        """Return the percentile interval of a parameter."""
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = np.quantile(self.parameters[name], tails)
        return float(low), float(high)

    def predict(self, *scales: ArrayLike) -> Array:
        """Return losses (resamples, points)."""
        return self.fit.many(self.theta, *scales)


def resample_weights(run: ArrayLike, n: int, rng: np.random.Generator) -> Array:
    """Return how often each row counts in n resamples of whole runs, (n, rows).

    Rows of one run (checkpoints; or the arms of a pair, if both carry the pair's name) are drawn
    together: their errors are not independent. A table whose runs all differ gets the ordinary
    bootstrap. Seeds of one configuration are runs of their own; to draw configurations instead,
    give their names.

    >>> resample_weights(["a", "a", "b"], 2, np.random.default_rng(1)).tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 0.0]]
    """
    names, at = np.unique(np.asarray(run), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} run to resample: at least two are needed")
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
    return np.asarray(counts[:, at.ravel()], float)


def resample(
    fit: FormFit,
    n: int,
    rng: np.random.Generator,
    *,
    run: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> Ensemble:
    """Refit n resamples of whole runs, each polished to its own optimum.

    Parameters
    ----------
    fit : FormFit
        The fit to all rows, from which every resample starts.
    run : array-like, shape (rows,), optional
        Name of each row's run; by default every row is one.
    weight : array-like, shape (n, rows), optional
        Own weights instead of drawn ones, e.g. one set for both arms of a comparison.

    Examples
    --------
    >>> from scaling.law.law_catalogue import POWER
    >>> from scaling.fit.form_fit import fit_form
    >>> rng = np.random.default_rng(2)
    >>> compute = np.geomspace(1e15, 1e18, 40)
    >>> noise = np.exp(0.002 * rng.standard_normal(40))
    >>> ensemble = resample(fit_form(POWER, compute, loss=(1.7 + 2e3 * compute**-0.21) * noise),
    ...                     200, rng)
    >>> low, high = ensemble.interval("alpha")
    >>> low < 0.21 < high
    True
    """
    rows = np.arange(fit.n_runs) if run is None else run
    drawn = resample_weights(rows, n, rng) if weight is None else np.asarray(weight, float)
    full = drawn * fit.weight
    start = np.repeat(fit.theta[None], len(full), axis=0)
    done = polish(fit.problem, start, full, widths(fit.loss, far=False)[-1:], n_steps=60)
    theta, objective, gradient = done.theta, done.objective, done.gradient
    missed = np.flatnonzero(~done.is_converged)
    if len(missed):
        again = polish(fit.problem, start[missed], full[missed], widths(fit.loss, far=True))
        better = again.objective < objective[missed]
        kept = missed[better]
        theta[kept], gradient[kept] = again.theta[better], again.gradient[better]
        objective[kept] = again.objective[better]
    return Ensemble(fit, theta, full, objective, gradient)


@dataclass(frozen=True)
class Components:
    """Where scatter about a law comes from: seeds, and the scales' own deviation."""

    seed_sd: float
    """Of one run about the mean of its scale, in log loss."""
    scale_sd: float
    """Of a scale about the law, in log loss; replicates do not remove it."""
    seed_df: int

    def sd(self, n_seeds: int = 1) -> float:
        """Return the standard deviation of the mean of seeds at a new scale."""
        return float(np.hypot(self.scale_sd, self.seed_sd / np.sqrt(n_seeds)))


def variance_components(residual: ArrayLike, scale: ArrayLike, n_fitted: int = 0) -> Components:
    """Split log residuals into seeds and scales by one-way analysis of variance.

    ``scale`` names the configuration of each row; rows that share it are seeds. With no
    replicates all scatter counts as the scales'.

    >>> variance_components([0.01, -0.01, 0.01, -0.01], ["a", "a", "b", "b"]).scale_sd
    0.0
    """
    r = np.asarray(residual, float)
    names, at = np.unique(np.asarray(scale), return_inverse=True)
    counts = np.bincount(at)
    mean = np.bincount(at, r) / counts
    df = len(r) - len(names)
    within = float(((r - mean[at]) ** 2).sum() / df) if df else 0.0
    between = float((counts * mean**2).sum() / max(len(names) - n_fitted, 1))
    size = len(r) / len(names)
    return Components(np.sqrt(within), float(np.sqrt(max(between - within, 0) / size)), df)


def paired_runs(run: ArrayLike, pair: ArrayLike | None) -> NDArray[np.str_]:
    """Return the names to resample by: the pair's where there is one, else the run's."""
    names = np.asarray(run).astype(str)
    if pair is None:
        return names
    pairs = np.asarray(pair).astype(str)
    return np.where(pairs == "", names, np.char.add("pair ", pairs))
