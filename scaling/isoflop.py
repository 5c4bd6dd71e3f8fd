"""Compute-optimal sizes: from a surface with intervals, and by parabolas for comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.fit.bootstrap import Ensemble, resample_weights
from scaling.fit.objective import Array

_GRID = np.linspace(-7.0, 7.0, 281)
_SAME_BUDGET = 0.05


@dataclass(frozen=True)
class Optimum:
    """The compute-optimal run of one budget, each number with a 95 % interval."""

    flops: float
    parameters: tuple[float, float, float]
    """Best, low, high."""
    tokens: tuple[float, float, float]
    loss: tuple[float, float, float]


@dataclass(frozen=True)
class Frontier:
    """Optima over budgets, and the exponents of ``N ~ C^a`` and ``D ~ C^b``."""

    method: str
    optima: tuple[Optimum, ...]
    a: tuple[float, float, float]
    b: tuple[float, float, float]


@dataclass(frozen=True)
class FlopsRule:
    """FLOPs per parameter and token by size: attention and embeddings weigh less in large models.

    Linear in ln N between the sizes measured, constant beyond them.
    """

    log_size: tuple[float, ...]
    factor: tuple[float, ...]

    def __call__(self, log_size: Array) -> Array:
        """Return FLOPs per parameter and token at sizes given as ln N."""
        return np.interp(log_size, self.log_size, self.factor)


SIX = FlopsRule((0.0,), (6.0,))
"""6 N D at every size (Kaplan et al., 2020)."""


def flops_rule(size: Array, tokens: Array, flops: Array) -> FlopsRule:
    """Return the rule that a table's own FLOPs follow, the median of each size.

    >>> flops_rule(np.array([1e6, 1e6, 1e9]), np.ones(3), np.array([9e6, 9e6, 6e9])).factor
    (9.0, 6.0)
    """
    factor = flops / (size * tokens)
    sizes = np.unique(np.round(np.log(size), 2))
    cells = [np.abs(np.log(size) - at) < 0.01 for at in sizes]
    return FlopsRule(tuple(sizes.tolist()), tuple(float(np.median(factor[c])) for c in cells))


def surface_frontier(ensemble: Ensemble, budgets: Array, *, rule: FlopsRule = SIX) -> Frontier:
    """Return the optima of a fitted surface over budgets, with the refits' intervals.

    Minimises ``L(N, C / (k(N) N))`` over N on a fine grid and a parabola through its best three,
    for any form; k is FLOPs per parameter and token. For Hoffmann's form and one k the exponent is
    ``beta / (alpha + beta)`` (Hoffmann et al., 2022, equation 4).
    """
    fit = ensemble.fit
    theta = np.vstack([fit.theta[None], ensemble.theta])
    middle = float(fit.centre[0] - fit.centre[1])
    log_n, log_d, log_l = [], [], []
    for flops in budgets:
        n = (np.log(flops / 6) + middle) / 2 + _GRID
        x = np.stack([n, np.log(flops / rule(n)) - n]) - fit.centre[:, None]
        curve = fit.form.log_loss(theta, x)
        best, value = _lowest(n, curve)
        log_n.append(best)
        log_d.append(np.log(flops / rule(best)) - best)
        log_l.append(value)
    return _frontier("surface", budgets, (np.array(log_n), np.array(log_d), np.array(log_l)))


def parabola_frontier(
    scales: tuple[Array, Array],
    loss: Array,
    flops: Array,
    run: NDArray[np.str_],
    rng: np.random.Generator,
    *,
    n: int = 400,
) -> Frontier:
    """Return the optima of a parabola of loss in ln N by budget (Hoffmann, approach 2).

    Budgets are FLOPs within 5 % of each other, with at least four sizes on both sides of the
    optimum; others are left out. Tokens at the optimum are
    read off the runs' own N and D, log-linearly.

    Raises
    ------
    ValueError
        If no budget holds four sizes around its optimum.
    """
    weight = np.vstack([np.ones((1, len(loss))), resample_weights(run, n, rng)])
    budgets, log_n, log_d, log_l = [], [], [], []
    for rows in budget_rows(flops):
        size, tokens = np.log(scales[0][rows]), np.log(scales[1][rows])
        if len(np.unique(np.round(size, 2))) < 4:
            continue
        w = weight[:, rows] + 1e-6
        c = size - size.mean()
        quadratic = _weighted_polynomial(c, loss[rows], w, 2)
        line = _weighted_polynomial(c, tokens, w, 1)
        curved = np.maximum(quadratic[:, 2], 1e-9)
        if np.mean(quadratic[:, 2] <= 0) > 0.05:
            continue
        best = np.clip(-quadratic[:, 1] / (2 * curved), c.min() - 1, c.max() + 1)
        if not c.min() < best[0] < c.max():
            continue
        budgets.append(float(np.exp(np.log(flops[rows]).mean())))
        log_n.append(best + size.mean())
        log_d.append(line[:, 0] + line[:, 1] * best)
        lowest = quadratic[:, 0] + quadratic[:, 1] * best + quadratic[:, 2] * best**2
        log_l.append(np.log(np.maximum(lowest, 1e-12)))
    if not budgets:
        raise ValueError("no budget holds four sizes around an optimum; the surface stands alone")
    parts = np.array(log_n), np.array(log_d), np.array(log_l)
    return _frontier("parabola", np.array(budgets), parts)


def budget_rows(flops: Array) -> list[NDArray[np.intp]]:
    """Return the rows of each budget: FLOPs that follow each other within 5 %.

    >>> [rows.tolist() for rows in budget_rows(np.array([1e18, 3e18, 1.02e18]))]
    [[0, 2], [1]]
    """
    order = np.argsort(flops, kind="stable")
    breaks = np.flatnonzero(np.diff(np.log(flops[order])) > _SAME_BUDGET) + 1
    return list(np.split(order, breaks))


def _lowest(n: Array, curve: Array) -> tuple[Array, Array]:
    """Return where curves (batch, grid) are lowest, and how low, by a parabola of three points."""
    at = np.clip(curve.argmin(1), 1, curve.shape[1] - 2)
    rows = np.arange(len(curve))
    before, low, after = (curve[rows, at + k] for k in (-1, 0, 1))
    bend = np.maximum(before - 2 * low + after, 1e-300)
    shift = np.clip((before - after) / (2 * bend), -1, 1)
    step = n[1] - n[0]
    return n[at] + shift * step, low - bend * shift**2 / 2


def _weighted_polynomial(x: Array, y: Array, weight: Array, degree: int) -> Array:
    """Return coefficients (batch, degree + 1), lowest first, of weighted least squares."""
    powers = x ** np.arange(degree + 1)[:, None]
    gram = np.einsum("bn,pn,qn->bpq", weight, powers, powers)
    gram += 1e-9 * np.eye(degree + 1)
    target = np.einsum("bn,pn,n->bp", weight, powers, y)
    return np.asarray(np.linalg.solve(gram, target[:, :, None])[:, :, 0])


def _frontier(method: str, budgets: Array, logs: tuple[Array, Array, Array]) -> Frontier:
    optima = tuple(
        Optimum(float(c), _triple(np.exp(n)), _triple(np.exp(d)), _triple(np.exp(v)))
        for c, n, d, v in zip(budgets, *logs, strict=True)
    )
    nothing = (float("nan"),) * 3
    if len(budgets) < 2:
        return Frontier(method, optima, nothing, nothing)
    t = np.log(budgets) - np.log(budgets).mean()
    slopes = [_triple((t[:, None] * part).sum(0) / (t**2).sum()) for part in logs[:2]]
    return Frontier(method, optima, slopes[0], slopes[1])


def _triple(draws: Array) -> tuple[float, float, float]:
    """Return the point (first draw) and the 95 % interval of the others."""
    low, high = np.quantile(draws[1:], [0.025, 0.975])
    return float(draws[0]), float(low), float(high)
