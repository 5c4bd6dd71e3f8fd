"""Minimise the true objective for many starts or weightings at once, to machine precision.

A damped semismooth Newton iteration with analytic derivatives. The Hessian of Huber's loss sees
only the runs within its width; far from the optimum it is blended with the reweighted least
squares matrix (weights ``min(1, width / |r|)``), which majorises the loss and always descends.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.fit.objective import huber_sum
from scaling.law.form import Evaluation, Form

Array = NDArray[np.float64]

TOLERANCE = 1e-8
"""Scaled gradient at which a fit counts as converged; its square is the error of the objective."""
_APPROACH = 0.03
"""The same for the wider losses on the way: near enough to go on with the next."""
_LONGEST = 1.5
_CHUNK = 128


@dataclass(frozen=True)
class Polished:
    """Optima by batch element: coordinates, the objective there, and how flat it is."""

    theta: Array
    objective: Array
    gradient: Array
    """Scaled: ``sqrt(g' M^-1 g / objective)``, M the reweighted least squares matrix."""
    n_steps: int

    @property
    def is_converged(self) -> NDArray[np.bool_]:
        """Whether each element reached its optimum."""
        return np.asarray(self.gradient < 1e-6)


@dataclass(frozen=True)
class Problem:
    """A form, the log losses y (runs,) and the centred log scales x (scales, runs)."""

    form: Form
    y: Array
    x: Array


def polish(
    problem: Problem, theta: Array, weight: Array, widths: tuple[float, ...], *, n_steps: int = 80
) -> Polished:
    """Minimise from every row of theta; weight (batch or 1, runs).

    The widths are gone through in order, the last being the objective's: from far away a wide
    one is smooth, and leads into the basin of the narrow one.
    """
    parts = []
    for start in range(0, len(theta), _CHUNK):
        piece = slice(start, start + _CHUNK)
        w = weight if len(weight) == 1 else weight[piece]
        part = theta[piece]
        for width in widths:
            last = width == widths[-1]
            limits = (n_steps, TOLERANCE) if last else (12, _APPROACH)
            done = _newton(problem, part, w, width, *limits)
            part = done.theta
        parts.append(done)
    return Polished(
        np.concatenate([p.theta for p in parts]),
        np.concatenate([p.objective for p in parts]),
        np.concatenate([p.gradient for p in parts]),
        max(p.n_steps for p in parts),
    )


@dataclass
class _State:
    """Where the elements still running stand."""

    rows: NDArray[np.intp]
    theta: Array
    weight: Array
    at: Evaluation
    residual: Array
    objective: Array
    damping: Array


def _newton(
    problem: Problem, theta: Array, weight: Array, width: float, n_steps: int, tolerance: float
) -> Polished:
    full = np.broadcast_to(weight, (len(theta), len(problem.y)))
    out = Polished(theta.copy(), np.full(len(theta), np.inf), np.full(len(theta), np.inf), n_steps)
    state = _look(problem, np.arange(len(theta)), theta, full, width)
    for step in range(n_steps + 1):
        gradient, newton, majorant = _derivatives(problem, state, width)
        safe = _solve(majorant, gradient)
        scaled = np.sqrt(np.maximum(np.einsum("bp,bp->b", gradient, safe), 0))
        scaled /= np.sqrt(state.objective + 1e-300)
        out.theta[state.rows] = state.theta
        out.objective[state.rows] = state.objective
        out.gradient[state.rows] = scaled
        going = (scaled > tolerance) & (state.damping < 1e8) & np.isfinite(scaled)
        if step == n_steps or not going.any():
            break
        if not going.all():
            keep = np.flatnonzero(going)
            state = _take(state, keep)
            gradient, newton, majorant = gradient[keep], newton[keep], majorant[keep]
            safe = safe[keep]
        state = _advance(problem, state, width, (gradient, newton, majorant, safe))
    return Polished(out.theta, out.objective, out.gradient, step)


def _look(
    problem: Problem, rows: NDArray[np.intp], theta: Array, weight: Array, width: float
) -> _State:
    at = problem.form.evaluate(theta, problem.x)
    residual = problem.y - at.log_loss
    objective = huber_sum(residual, weight, width)
    return _State(rows, theta, weight, at, residual, objective, np.full(len(theta), 1e-3))


def _take(state: _State, keep: NDArray[np.intp]) -> _State:
    at = Evaluation(
        state.at.log_loss[keep],
        state.at.jacobian[keep],
        tuple(np.broadcast_to(s, state.residual.shape)[keep] for s in state.at.share),
    )
    return _State(
        state.rows[keep],
        state.theta[keep],
        state.weight[keep],
        at,
        state.residual[keep],
        state.objective[keep],
        state.damping[keep],
    )


def _derivatives(problem: Problem, state: _State, width: float) -> tuple[Array, Array, Array]:
    """Return gradient, Hessian and majorant of the objective."""
    jacobian, residual = state.at.jacobian, state.residual
    size = np.abs(residual)
    push = np.clip(residual, -width, width) * state.weight
    gradient = -np.matmul(jacobian, push[:, :, None])[:, :, 0]
    across = jacobian.transpose(0, 2, 1)
    seen = state.weight * (size <= width)
    newton = np.matmul(jacobian * seen[:, None], across)
    newton -= problem.form.curvature(state.theta, problem.x, push, state.at)
    if np.isinf(width):
        return gradient, newton, np.matmul(jacobian * state.weight[:, None], across)
    reweighted = state.weight * (width / np.maximum(size, width))
    return gradient, newton, np.matmul(jacobian * reweighted[:, None], across)


def _solve(matrix: Array, vector: Array) -> Array:
    """Solve (batch, P, P) systems, scaled to a unit diagonal and never singular."""
    scale = np.sqrt(np.abs(np.einsum("bpp->bp", matrix)))
    scale = np.maximum(scale, 1e-12 * scale.max(1, keepdims=True) + 1e-100)
    unit = matrix / scale[:, :, None] / scale[:, None, :]
    unit += 1e-11 * np.eye(matrix.shape[1])
    answer: Array = np.linalg.solve(unit, (vector / scale)[:, :, None])[:, :, 0] / scale
    return answer


def _advance(
    problem: Problem, state: _State, width: float, derivatives: tuple[Array, Array, Array, Array]
) -> _State:
    """Take one damped step where it lowers the objective; damp more where it does not."""
    gradient, newton, majorant, safe = derivatives
    step = -_solve(newton + state.damping[:, None, None] * majorant, gradient)
    slope = np.einsum("bp,bp->b", step, gradient)
    floor = -0.02 * np.einsum("bp,bp->b", gradient, safe) / (1 + state.damping)
    uphill = ~(slope < floor)
    step = np.where(uphill[:, None], -safe / (1 + state.damping)[:, None], step)
    step = np.where(np.isfinite(step).all(1, keepdims=True), step, 0.0)
    longest = np.abs(step).max(1, keepdims=True)
    step *= np.minimum(1, _LONGEST / np.maximum(longest, 1e-300))
    tried = _look(problem, state.rows, state.theta + step, state.weight, width)
    better = tried.objective <= state.objective
    damping = np.where(better, state.damping / 10, np.maximum(state.damping * 8, 0.05))
    damping = np.where(damping < 1e-7, 0, damping)
    if better.all():
        tried.damping = damping
        return tried
    mixed = _mix(better, tried, state)
    mixed.damping = damping
    return mixed


def _mix(better: NDArray[np.bool_], tried: _State, state: _State) -> _State:
    column, slab = better[:, None], better[:, None, None]
    at = Evaluation(
        np.where(column, tried.at.log_loss, state.at.log_loss),
        np.where(slab, tried.at.jacobian, state.at.jacobian),
        tuple(np.where(column, a, b) for a, b in zip(tried.at.share, state.at.share, strict=True)),
    )
    return _State(
        state.rows,
        np.where(column, tried.theta, state.theta),
        state.weight,
        at,
        np.where(column, tried.residual, state.residual),
        np.where(better, tried.objective, state.objective),
        state.damping,
    )
