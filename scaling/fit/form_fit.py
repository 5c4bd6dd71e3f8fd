"""Fit a form to a table of runs: converge or say so, with advice."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.fit.newton import Polished, Problem, polish
from scaling.fit.objective import Array, FitObjective
from scaling.fit.status import FitStatus
from scaling.law.form import Form, bounded_exp

_NEAR, _DIFFERENT = 0.01, 0.02
"""A second basin counts within 1 % of the objective and 2 % of a coordinate from the first."""
_ENOUGH = 250
"""Rows that choose the starts; the polish sees all."""
_GONE = 1e-4
"""A floor that makes up less than this share of every loss is at its bound of zero."""


@dataclass(frozen=True)
class FormFit:
    """A fitted form, how well it converged and what it may be used for."""

    form: Form
    theta: Array
    """Coordinates of the optimum, (parameters,); ``parameters`` holds what people print."""
    centre: Array
    objective: float
    loss: FitObjective
    status: FitStatus
    scaled_gradient: float
    """Zero at the optimum; its square is the relative error of the objective."""
    second_basin: float | None
    """Relative objective above the best of the next basin found; None if all starts agree."""
    problem: Problem
    weight: Array
    start_objectives: Array
    """Objective reached from each start that was polished, (starts,)."""

    @cached_property
    def parameters(self) -> dict[str, float]:
        """The formula's parameters in the units of the scales."""
        natural = self.form.natural(self.theta[None], self.centre)
        return {name: float(value[0]) for name, value in natural.items()}

    @property
    def n_runs(self) -> int:
        """Number of rows behind the fit."""
        return len(self.problem.y)

    @property
    def residuals(self) -> Array:
        """Log loss less the log of the law, (runs,)."""
        return np.asarray(self.problem.y - self.form.log_loss(self.theta[None], self.problem.x)[0])

    def __call__(self, *scales: ArrayLike) -> Array:
        """Return the law's loss at the given scales."""
        return np.asarray(self.many(self.theta[None], *scales)[0])

    def many(self, theta: Array, *scales: ArrayLike) -> Array:
        """Return losses (batch, points) of many coordinates, e.g. of resamples."""
        x = np.log(as_scales(self.form, scales)) - self.centre[:, None]
        return bounded_exp(self.form.log_loss(theta, x))

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.7g}" for name, value in self.parameters.items())
        return f"{self.form.name}: {numbers}; objective {self.objective:.10g}; {self.status}"


def as_scales(form: Form, scales: tuple[ArrayLike, ...]) -> Array:
    """Return scales as (scales, runs), positive floats: products of integers cannot overflow.

    Raises
    ------
    ValueError
        If their number is not the form's, or a value is not positive and finite.
    """
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(s, float)) for s in scales))
    if len(arrays) != form.n_scales:
        raise ValueError(f"{form.name} needs {form.n_scales} scales, got {len(arrays)}")
    x = np.stack(arrays)
    if not (np.isfinite(x).all() and (x > 0).all()):
        raise ValueError(f"a scale of {x[~(x > 0)][:1]}: scales must be positive and finite")
    return x


def fit_form(
    form: Form,
    *scales: ArrayLike,
    loss: ArrayLike,
    weight: ArrayLike | None = None,
    objective: FitObjective | None = None,
    starts: ArrayLike | None = None,
    n_polished: int = 2,
) -> FormFit:
    """Fit a form to runs: variable projection over a grid, then a polish of the true objective.

    Parameters
    ----------
    form : Form
        E.g. ``scaling.law.law_catalogue.HOFFMANN``.
    *scales : array-like, shape (runs,)
        As the form counts them: compute, or parameters and tokens.
    loss : array-like, shape (runs,)
        Positive; to be minimised.
    weight : array-like, optional
        How often each run counts; 1 by default.
    objective : FitObjective, optional
        Huber's loss of log residuals, summed, delta 1e-3 by default.
    starts : array-like, shape (starts, parameters), optional
        Own starts in the form's ``coordinates``; all of them are polished.
    n_polished : int
        How many of the grid's best starts are polished.

    Raises
    ------
    ValueError
        On losses that are not positive and finite, or scales that are not.

    Examples
    --------
    >>> from scaling.law.law_catalogue import POWER
    >>> compute = np.geomspace(1e15, 1e18, 8)
    >>> fit = fit_form(POWER, compute, loss=1.7 + 2e3 * compute**-0.21)
    >>> print(fit.status, *(f"{v:.6g}" for v in fit.parameters.values()))
    converged 1.7 2000 0.21
    """
    problem, centre = _problem(form, scales, loss)
    w = np.ones((1, len(problem.y))) if weight is None else np.atleast_2d(np.asarray(weight, float))
    objective = objective or FitObjective()
    theta = _best_starts(problem, w, n_polished) if starts is None else np.atleast_2d(starts)
    done = polish(problem, np.asarray(theta, float), w, widths(objective, far=starts is not None))
    return _described(problem, done, w, objective, centre)


def _problem(form: Form, scales: tuple[ArrayLike, ...], loss: ArrayLike) -> tuple[Problem, Array]:
    x, y = as_scales(form, scales), np.atleast_1d(np.asarray(loss, float))
    if x.shape[1] != len(y):
        raise ValueError(f"{x.shape[1]} scales, {len(y)} losses: give one of each a run")
    if not (np.isfinite(y).all() and (y > 0).all()):
        raise ValueError("losses must be positive and finite: leave out runs that diverged")
    centre = np.asarray(np.log(x).mean(1))
    return Problem(form, np.log(y), np.log(x) - centre[:, None]), centre


def widths(objective: FitObjective, *, far: bool) -> tuple[float, ...]:
    """Return the loss's widths from smooth to its own; wider at first from far away."""
    if math.isinf(objective.width):
        return (math.inf,)
    ladder = (0.3, 0.03, 4e-3, 5e-4, 6e-5, 8e-6)[0 if far else 2 :]
    return (*(w for w in ladder if w > 1.5 * objective.width), objective.width)


def _best_starts(problem: Problem, weight: Array, n: int) -> Array:
    """Return the grid's best starts; of a long table by some rows, spread evenly over compute."""
    rows = np.argsort(problem.x.sum(0), kind="stable")[:: max(len(problem.y) // _ENOUGH, 1)]
    y, x = problem.y[rows], problem.x[:, rows]
    grid = problem.form.grid(y, x)
    residual = np.abs(y - problem.form.log_loss(grid, x))
    counted = np.broadcast_to(weight[:, rows], residual.shape)
    order = np.argsort(np.einsum("bn,bn->b", residual, counted))
    return np.asarray(grid[order[:n]])


def _described(
    problem: Problem, done: Polished, weight: Array, loss: FitObjective, centre: Array
) -> FormFit:
    best = int(np.nanargmin(done.objective))
    theta = done.theta[best]
    residual = (problem.y - problem.form.log_loss(theta[None], problem.x)[0])[None]
    value = float(loss.value(residual, weight)[0])
    apart = np.abs(done.theta - theta).max(1) > _DIFFERENT
    above = done.objective / max(float(done.objective[best]), 1e-300) - 1
    other = apart & (above < _NEAR) & done.is_converged
    second = float(above[other].min()) if other.any() else None
    exact = value < 1e-12 * len(problem.y)
    converged = bool(done.is_converged[best]) or exact
    return FormFit(
        form=problem.form,
        theta=theta,
        centre=centre,
        objective=value,
        loss=loss,
        status=_status(problem, theta, converged, second if not exact else None),
        scaled_gradient=float(done.gradient[best]),
        second_basin=second,
        problem=problem,
        weight=weight,
        start_objectives=done.objective,
    )


def _status(problem: Problem, theta: Array, is_converged: bool, second: float | None) -> FitStatus:
    distinct = min(n_distinct(row) for row in problem.x)
    if distinct < 3 or len(problem.y) < len(theta):
        return FitStatus.TOO_FEW_SCALES
    slopes = np.gradient(problem.form.log_loss(theta[None], _diagonal(problem.x))[0])
    if (slopes >= 0).all():
        return FitStatus.NOT_DECREASING
    if not is_converged:
        return FitStatus.NOT_CONVERGED
    if problem.form.has_floor:
        lowest = problem.form.log_loss(theta[None], problem.x)[0].min()
        if theta[0] < lowest + math.log(_GONE):
            return FitStatus.FLOOR_AT_BOUND
        if distinct < 5:
            return FitStatus.FREE_FLOOR
    return FitStatus.CONVERGED if second is None else FitStatus.SECOND_BASIN


def n_distinct(log_scale: NDArray[np.float64]) -> int:
    """Return the number of scales that lie more than 3 % apart.

    >>> n_distinct(np.log([100.0, 101.0, 200.0, 400.0]))
    3
    """
    ordered = np.sort(log_scale)
    return 1 + int((np.diff(ordered) > 0.03).sum())


def _diagonal(x: Array) -> Array:
    """Return five points from all scales at their least to all at their most."""
    share = np.linspace(0, 1, 5)
    return np.asarray(x.min(1)[:, None] + np.ptp(x, axis=1)[:, None] * share)
