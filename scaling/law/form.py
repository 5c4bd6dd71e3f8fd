"""Functional forms as small objects: what they are called, their parameters, their derivatives.

Forms are evaluated for many parameter vectors at once, in coordinates in which fits are well
behaved: amplitudes as logarithms at the centre of the data. ``natural`` turns them into the
parameters that people print. To add a form, write a :class:`Form` with ``evaluate`` and ``grid``
(derivatives of second order are taken numerically where ``curvature`` is not overridden) and pass
it to :func:`scaling.fit_form`, or name it ``module:OBJECT`` on the command line.
"""

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_STEP = 1e-5


@dataclass(frozen=True)
class Evaluation:
    """Log loss (batch, runs) and what its derivatives are made of."""

    log_loss: Array
    jacobian: Array
    """(batch, parameters, runs)"""
    share: tuple[Array, ...] = ()
    """Share of each summed term in the loss, (batch, runs) each; empty where it has none."""


class Form(ABC):
    """A functional form of loss over one or two scales; parameters are (batch, parameters)."""

    name: str
    formula: str
    coordinates: tuple[str, ...]
    n_scales: int
    has_floor: bool = True

    @abstractmethod
    def log_loss(self, theta: Array, x: Array) -> Array:
        """Return log loss (batch, runs); x (scales, runs) is ln scale less its centre."""

    @abstractmethod
    def evaluate(self, theta: Array, x: Array) -> Evaluation:
        """Return log loss with its Jacobian."""

    @abstractmethod
    def grid(self, y: Array, x: Array) -> Array:
        """Return starts (starts, parameters) for log losses y: linear parts solved for."""

    @abstractmethod
    def natural(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Return the printed parameters, each of shape (batch,)."""

    def curvature(self, theta: Array, x: Array, push: Array, at: Evaluation) -> Array:
        """Return sum over runs of push times the Hessian of log loss, (batch, P, P)."""
        columns = []
        for p in range(theta.shape[1]):
            step = np.zeros(theta.shape[1])
            step[p] = _STEP
            up = self.evaluate(theta + step, x).jacobian
            down = self.evaluate(theta - step, x).jacobian
            columns.append(np.matmul(up - down, push[:, :, None])[:, :, 0] / (2 * _STEP))
        hessian = np.stack(columns, axis=2)
        return np.asarray((hessian + hessian.transpose(0, 2, 1)) / 2)


@final
@dataclass(frozen=True)
class PowerSum(Form):
    """A sum of power terms, ``L = sum_t exp(amplitude_t) prod_j scale_j^-exponent_tj``.

    Attributes
    ----------
    terms : tuple of (str, dict)
        By term: its amplitude's name, and which exponent acts on which scale. Terms may share an
        exponent. A term without exponents is the floor.
    """

    name: str
    formula: str
    n_scales: int
    terms: tuple[tuple[str, tuple[tuple[int, str], ...]], ...]
    exponents: tuple[float, ...] = (0.12, 0.2, 0.3, 0.42, 0.6, 0.9)
    has_floor: bool = field(default=True)

    @cached_property
    def coordinates(self) -> tuple[str, ...]:  # type: ignore[override]
        """Log amplitudes, then exponents."""
        return (*(f"ln {name}" for name, _ in self.terms), *self.exponent_names)

    @cached_property
    def exponent_names(self) -> tuple[str, ...]:
        """Return each exponent once, in the order met."""
        return tuple(dict.fromkeys(name for _, powers in self.terms for _, name in powers))

    @cached_property
    def _slots(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """By term: (scale, position of its exponent in theta)."""
        at = {name: i + len(self.terms) for i, name in enumerate(self.exponent_names)}
        return tuple(tuple((j, at[name]) for j, name in powers) for _, powers in self.terms)

    def _logs(self, theta: Array, x: Array) -> list[Array]:
        logs = []
        for t, slots in enumerate(self._slots):
            u = theta[:, t, None] + np.zeros((1, x.shape[1] if slots else 1))
            for j, p in slots:
                u = u - theta[:, p, None] * x[j]
            logs.append(u)
        return logs

    def log_loss(self, theta: Array, x: Array) -> Array:
        """Return the log of the sum of the terms."""
        total = np.zeros((len(theta), x.shape[1]))
        for u in self._logs(theta, x):
            total += bounded_exp(u)
        return np.log(total)

    def evaluate(self, theta: Array, x: Array) -> Evaluation:
        """Return log loss, Jacobian and the terms' shares."""
        terms = self._logs(theta, x)
        for u in terms:
            np.exp(u, out=u)
        total = np.zeros((len(theta), x.shape[1]))
        for u in terms:
            total += u
        inverse = 1 / total
        share = tuple(u * inverse for u in terms)
        jacobian = np.zeros((len(theta), len(self.coordinates), x.shape[1]))
        for t, slots in enumerate(self._slots):
            jacobian[:, t] = share[t]
            for j, p in slots:
                jacobian[:, p] -= share[t] * x[j]
        return Evaluation(np.log(total), jacobian, share)

    def curvature(self, theta: Array, x: Array, push: Array, at: Evaluation) -> Array:
        """Sum of ``push (sum_t share_t z_t z_t' - J J')``, z_t the gradient of a term's log."""
        jacobian = at.jacobian
        hessian = -np.matmul(jacobian * push[:, None], jacobian.transpose(0, 2, 1))
        for t, slots in enumerate(self._slots):
            pushed = push * at.share[t]
            hessian[:, t, t] += pushed.sum(1)
            for j, p in slots:
                along = pushed @ x[j]
                hessian[:, t, p] -= along
                hessian[:, p, t] -= along
                for k, q in slots:
                    hessian[:, p, q] += pushed @ (x[j] * x[k])
        return np.asarray(hessian)

    def grid(self, y: Array, x: Array) -> Array:
        """Return starts over a grid of exponents, amplitudes by non-negative least squares."""
        names = self.exponent_names
        combos = np.array(list(itertools.product(self.exponents, repeat=len(names))))
        return self.project(np.hstack([np.zeros((len(combos), len(self.terms))), combos]), y, x)

    def project(self, theta: Array, y: Array, x: Array) -> Array:
        """Return theta with its amplitudes replaced by the best for its exponents.

        Variable projection (Golub and Pereyra, 1973): least squares in relative residuals, which
        are log residuals to first order.
        """
        unit = theta.copy()
        unit[:, : len(self.terms)] = 0
        logs = self._logs(unit, x)
        shift = np.stack([u.max(1) for u in logs], axis=1)
        basis = np.stack(
            [
                np.broadcast_to(np.exp(u - s[:, None] - y), (len(theta), len(y)))
                for u, s in zip(logs, shift.T, strict=True)
            ],
            axis=1,
        )
        amplitude = nonnegative(basis)
        lowest = 1e-6 * np.exp(y.min())
        unit[:, : len(self.terms)] = np.log(np.maximum(amplitude, lowest)) - shift
        return unit

    def natural(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Return amplitudes at scale one, and exponents."""
        values: dict[str, Array] = {}
        for t, (name, _) in enumerate(self.terms):
            log = theta[:, t] + sum(theta[:, p] * centre[j] for j, p in self._slots[t])
            values[name] = bounded_exp(log)
            for (_, p), (_, exponent) in zip(self._slots[t], self.terms[t][1], strict=True):
                values[exponent] = theta[:, p]
        return values


def bounded_exp(log: Array) -> Array:
    """Return exp of a log amplitude, kept finite: of a wild refit only its size is of interest."""
    return np.exp(np.clip(log, -690.0, 690.0))


def nonnegative(basis: Array) -> Array:
    """Return non-negative c minimising ``sum (1 - c . basis)^2``; basis (batch, terms, runs).

    Exact: the best of all subsets of terms whose own least squares are non-negative.
    """
    n_terms = basis.shape[1]
    gram = np.matmul(basis, basis.transpose(0, 2, 1))
    target = basis.sum(2)
    best = np.zeros(target.shape)
    gain = np.full(len(basis), -np.inf)
    for size in range(1, n_terms + 1):
        for chosen in itertools.combinations(range(n_terms), size):
            keep = list(chosen)
            part = gram[:, keep][:, :, keep]
            part = part + 1e-12 * np.eye(size) * part.max((1, 2), keepdims=True)
            c = np.linalg.solve(part, target[:, keep, None])[:, :, 0]
            better = (c >= 0).all(1) & ((c * target[:, keep]).sum(1) > gain)
            gain = np.where(better, (c * target[:, keep]).sum(1), gain)
            full = np.zeros(target.shape)
            full[:, keep] = c
            best = np.where(better[:, None], full, best)
    return best
