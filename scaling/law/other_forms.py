"""Forms that are no plain sum of powers: coupled, Kaplan's joint form, and log-linear."""

import itertools
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from scaling.law.form import Evaluation, Form, bounded_exp, nonnegative

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Coupled(Form):
    """Sum of two powers, raised to a power: ``L = E + (A N^-alpha + B D^-beta)^k``.

    k = 1 is Hoffmann's form, k to 0 the worse of the two bottlenecks. Inside, amplitudes and
    exponents are those of the outer power (``k alpha``), so that they hardly depend on k. Kaplan's
    joint form (Kaplan et al., 2020, equation 1.5) has no floor and the inner exponent of D at 1::

        L = ((Nc / N)^(alpha_N / alpha_D) + Dc / D)^alpha_D
    """

    name: str
    formula: str
    is_kaplan: bool = False
    n_scales: int = 2

    @property
    def has_floor(self) -> bool:  # type: ignore[override]
        """Kaplan's form has none."""
        return not self.is_kaplan

    @property
    def coordinates(self) -> tuple[str, ...]:  # type: ignore[override]
        """In Kaplan's form k is the exponent of D."""
        if self.is_kaplan:
            return ("k ln A", "k ln B", "k alpha", "ln k")
        return ("ln E", "k ln A", "k ln B", "k alpha", "ln k", "k beta")

    def _split(self, theta: Array) -> tuple[Array, ...]:
        """Return amplitudes, exponents and k, each (batch, 1); the floor is left out."""
        t = theta if self.is_kaplan else theta[:, 1:]
        k = np.exp(np.clip(t[:, 3:4], -6, 6))
        return t[:, :1], t[:, 1:2], t[:, 2:3], k if self.is_kaplan else t[:, 4:5], k

    def _inner(self, theta: Array, x: Array) -> tuple[Array, Array, Array, Array]:
        """Return the log of the power, and what its derivatives need."""
        a, b, alpha, beta, k = self._split(theta)
        first, second = a - alpha * x[0], b - beta * x[1]
        top = np.maximum(first, second)
        low = np.exp((np.minimum(first, second) - top) / k)
        log = top + k * np.log1p(low)
        q = 1 / (1 + low)
        q = np.where(first >= second, q, 1 - q)
        return log, q, first, second

    def log_loss(self, theta: Array, x: Array) -> Array:
        """Return the log of floor plus power."""
        log = self._inner(theta, x)[0]
        return log if self.is_kaplan else np.logaddexp(theta[:, :1], log)

    def evaluate(self, theta: Array, x: Array) -> Evaluation:
        """Return log loss and Jacobian."""
        log, q, first, second = self._inner(theta, x)
        k = self._split(theta)[4]
        by_k = log - q * first - (1 - q) * second
        parts = [q, 1 - q, -q * x[0], by_k]
        if self.is_kaplan:
            parts[3] = by_k - (1 - q) * x[1] * k
            return Evaluation(log, np.stack(parts, axis=1))
        total = np.logaddexp(theta[:, :1], log)
        share = np.exp(log - total)
        parts.append(-(1 - q) * x[1])
        inner = [part * share for part in parts]
        return Evaluation(total, np.stack([1 - share, *inner], axis=1), (1 - share, share))

    def curvature(self, theta: Array, x: Array, push: Array, at: Evaluation) -> Array:
        """Sum of ``push H``, H the Hessian of log loss.

        With the log of the power ``u``, its gradient g, the difference f - s of its two terms'
        logs and ``h = q (1 - q) / k``::

            H_u = h v v' + (du / d ln k) e_k e_k',   v = grad (f - s) at fixed k, -(f - s) at ln k
            H   = share H_u + share (1 - share) (g - e_E) (g - e_E)'
        """
        log, q, first, second = self._inner(theta, x)
        k = self._split(theta)[4]
        apart, by_k = first - second, log - q * first - (1 - q) * second
        along = np.broadcast_to(-x[0], apart.shape)
        v = [np.ones_like(apart), -np.ones_like(apart), along, -apart]
        bend, share = by_k, np.ones_like(apart)
        if self.is_kaplan:
            v[3] = v[3] + k * x[1]
            bend = by_k - (1 - q) * k * x[1]
        else:
            v.append(np.broadcast_to(x[1], apart.shape))
            v.insert(0, np.zeros_like(apart))
            share = at.share[1]
        hessian = _gram(np.stack(v, axis=1), push * share * q * (1 - q) / k)
        at_k = self.coordinates.index("ln k")
        hessian[:, at_k, at_k] += (push * share * bend).sum(1)
        if not self.is_kaplan:
            # J = share g + (1 - share) e_E, so that J - e_E = share (g - e_E)
            past = at.jacobian.copy()
            past[:, 0] -= 1
            hessian += _gram(past, push * (1 - share) / np.maximum(share, 1e-300))
        return hessian

    def grid(self, y: Array, x: Array) -> Array:
        """Return starts at k of 0.5, 1 and 2 from the sum of powers."""
        powers = np.array(list(itertools.product((0.08, 0.2, 0.35, 0.6), repeat=2)))
        logs = [-powers[:, j, None] * x[j] - y for j in (0, 1)]
        shift = np.stack([u.max(1) for u in logs], axis=1)
        terms = [np.exp(u - s[:, None]) for u, s in zip(logs, shift.T, strict=True)]
        if not self.is_kaplan:
            terms.insert(0, np.broadcast_to(np.exp(-y), terms[0].shape))
            shift = np.hstack([np.zeros((len(powers), 1)), shift])
        amplitude = np.log(np.maximum(nonnegative(np.stack(terms, axis=1)), 1e-4)) - shift
        if self.is_kaplan:
            return np.hstack([amplitude, powers[:, :1], np.log(powers[:, 1:])])
        log_k = np.repeat([-0.7, 0.0, 0.7], len(powers))[:, None]
        base = np.tile(np.hstack([amplitude, powers]), (3, 1))
        return np.hstack([base[:, :4], log_k, base[:, 4:]])

    def natural(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Return the formula's parameters at scale one."""
        a, b, alpha, beta, k = (part[:, 0] for part in self._split(theta))
        first = bounded_exp((a + alpha * centre[0]) / k)
        second = bounded_exp((b + beta * centre[1]) / k)
        if self.is_kaplan:
            scale = bounded_exp((a + alpha * centre[0]) / alpha)
            return {"Nc": scale, "Dc": second, "alpha_N": alpha, "alpha_D": k}
        values = {"E": bounded_exp(theta[:, 0]), "A": first, "B": second}
        return values | {"alpha": alpha / k, "beta": beta / k, "k": k}


@final
@dataclass(frozen=True)
class LogLinear(Form):
    """Loss linear in the logs of the scales, ``L = c - sum_j b_j ln scale_j``.

    Right over a short range, where a power law cannot be told from its tangent.
    """

    name: str
    formula: str
    n_scales: int = 1
    has_floor: bool = False

    @property
    def coordinates(self) -> tuple[str, ...]:  # type: ignore[override]
        """Loss at the centre, then a slope by scale."""
        return ("c", *(f"b{j + 1}" for j in range(self.n_scales)))

    def _loss(self, theta: Array, x: Array) -> Array:
        return np.asarray(np.maximum(theta[:, :1] - theta[:, 1:] @ x, 1e-12))

    def log_loss(self, theta: Array, x: Array) -> Array:
        """Return the log of the line; it is kept above zero."""
        return np.log(self._loss(theta, x))

    def evaluate(self, theta: Array, x: Array) -> Evaluation:
        """Return log loss and Jacobian."""
        loss = self._loss(theta, x)
        columns = np.concatenate([np.ones((1, x.shape[1])), -x])
        return Evaluation(np.log(loss), columns[None] / loss[:, None])

    def curvature(self, theta: Array, x: Array, push: Array, at: Evaluation) -> Array:
        """Sum of ``-push J J'``: the loss itself is linear."""
        pushed = at.jacobian * push[:, None]
        return np.asarray(-np.matmul(pushed, at.jacobian.transpose(0, 2, 1)))

    def grid(self, y: Array, x: Array) -> Array:
        """Return the one line of least squares in relative residuals."""
        columns = np.concatenate([np.ones((1, x.shape[1])), -x]) / np.exp(y)
        return np.asarray(np.linalg.lstsq(columns.T, np.ones(len(y)), rcond=None)[0][None])

    def natural(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Return the loss at scale one and the slopes by nat."""
        values = {"c": theta[:, 0] + theta[:, 1:] @ centre}
        return values | {f"b{j + 1}": theta[:, j + 1] for j in range(self.n_scales)}


def _gram(rows: Array, weight: Array) -> Array:
    """Return sum over runs of weight times row row'; rows (batch, P, runs)."""
    return np.asarray(np.matmul(rows * weight[:, None], rows.transpose(0, 2, 1)))
