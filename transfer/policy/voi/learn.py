"""What a study's own history teaches the prior: weakly, and only in long studies."""

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from miniscale.setting.setting import Kind
from transfer.belief.posterior import Model, log_likelihood, surprise
from transfer.belief.prior import Array, atoms
from transfer.events import Effect

EVERY = 60
"""A study learns anew whenever this many more changes are judged."""
PSEUDO = 300.0
"""Weight of the default prior, in changes: weak learning on purpose."""
PSEUDO_SIZES = 40.0
"""The same between sizes: a few data tell a field rich in gains from a bare one."""
SCALES = (1 / 3, 1.0, 3.0)
MISFITS = (0.5, 1.0, 3.0)
"""Factors on the misfit of the model."""
STEPS = 10
STAY = math.log(2.0)
"""How much more likely the scale and misfit as they are were held before seeing the study."""


Known = MutableMapping[object, tuple[object, Array, float]]
"""(row, scale, misfit) -> the row, its likelihood by component, and the log of a factor."""


@dataclass(frozen=True)
class JudgedEffects:
    """One judged change, as learning sees it."""

    kind: Kind
    effects: tuple[Effect, ...]


def learn(
    rows: Sequence[JudgedEffects],
    model: Model,
    *,
    is_audited: bool = False,
    known: Known | None = None,
) -> Model:
    """Return the model with component weights, effect scale and misfit as the rows make likely.

    Maximises the posterior by expectation and maximisation, with the model's weights as a
    Dirichlet prior of 300 changes within a size and of 40 between sizes (null, harmful, helpful):

        w_c <- s (300 w0_c + sum_i P(c | i)) / (their sum over the size),
        s   <- (40 s0 + sum_i P(size | i)) / (40 + n),
        P(c | i) ~ w_c sum_k P(k | c) L_i(k)

    for each effect scale in {1/3, 1, 3}, then each misfit in {.5, 1, 3} times the model's; the
    one of highest posterior stands. Fewer rows than 60 teach nothing.

    Parameters
    ----------
    rows
        Of this study, and of earlier ones in the same setting where that is wanted.
    is_audited
        Whether the misfit was measured by an audit: then it stays.
    known
        Likelihoods of rows seen before; filled.
    """
    if len(rows) < EVERY:
        return model
    known = {} if known is None else known
    best, weights = max(
        (
            _fitted(rows, replace(model, scale=model.scale * factor), factor != 1, known)
            for factor in SCALES
        ),
        key=lambda found: found[0][0],
    )
    score, chosen = best
    if not is_audited:
        for factor in MISFITS:
            if factor == 1:
                continue
            other = replace(chosen, misfit=model.misfit * factor)
            (found, _), learned = _fitted(rows, other, 1 + (chosen.scale != model.scale), known)
            if found > score:
                score, best, weights = found, (found, other), learned
    return replace(best[1], prior=model.prior.with_weights(weights))


def _fitted(
    rows: Sequence[JudgedEffects], model: Model, n_moves: int, known: Known
) -> tuple[tuple[float, Model], dict[Kind, Array]]:
    """Return (log posterior, model) and the weights by kind that reach it."""
    score = -STAY * n_moves
    weights = {}
    for kind in Kind:
        of_kind = [row.effects for row in rows if row.kind is kind and row.effects]
        if not of_kind:
            continue
        start = model.prior.shares(kind)
        value, weights[kind] = _weights(
            component_likelihood(of_kind, model, known), start, len(model.prior.sizes)
        )
        score += value
    return (score, model), weights


def _weights(table: tuple[Array, Array], start: Array, n_sizes: int) -> tuple[float, Array]:
    """Return the log posterior and the weights after the steps of EM."""
    likelihood, logs = table
    weights, floor = start, 1e-12
    for _ in range(STEPS):
        joint = likelihood * weights
        joint /= joint.sum(axis=1, keepdims=True)
        weights = _step(joint.sum(axis=0), start, n_sizes)
    fit = float(np.log(likelihood @ weights).sum() + logs.sum())
    sizes, before = (w.reshape(n_sizes, -1).sum(axis=1) for w in (weights, start))
    within = weights / np.repeat(sizes, len(weights) // n_sizes)
    within_before = start / np.repeat(before, len(start) // n_sizes)
    pull = PSEUDO * float(start @ np.log((within + floor) / (within_before + floor)))
    pull += PSEUDO_SIZES * float(before @ np.log((sizes + floor) / (before + floor)))
    return fit + pull, weights


def _step(counts: Array, start: Array, n_sizes: int) -> Array:
    """Return the weights that expected counts make likely: sizes learn faster than the rest."""
    counted, before = counts.reshape(n_sizes, -1), start.reshape(n_sizes, -1)
    sizes = PSEUDO_SIZES * before.sum(axis=1) + counted.sum(axis=1)
    within = PSEUDO * before + counted
    within /= within.sum(axis=1, keepdims=True)
    weights: Array = (within * (sizes / sizes.sum())[:, None]).ravel()
    return weights


def component_likelihood(
    rows: Sequence[Sequence[Effect]], model: Model, known: Known
) -> tuple[Array, Array]:
    """Return each row's likelihood by component but for a factor, and the factor's log.

    Returns
    -------
    tuple of array
        (n, components) and (n,).
    """
    single = [row[0] for row in rows if len(row) == 1 and row[0].position == 0]
    found, logs = [], []
    if single:
        by_row, top = _on_one_rung(single, model)
        found.append(by_row)
        logs.append(top)
    for row in rows:
        if len(row) == 1 and row[0].position == 0:
            continue
        key = (id(row), model.scale, model.misfit)
        if key not in known:
            known[key] = (row, *_on_rungs(row, model))
        found.append(known[key][1][None])
        logs.append(np.array([known[key][2]]))
    return np.concatenate(found) + 1e-300, np.concatenate(logs)


def _on_rungs(row: Sequence[Effect], model: Model) -> tuple[Array, float]:
    grid = atoms(model.prior)
    by_atom, is_first = log_likelihood(row, model)
    table = grid.first_table if is_first else grid.table
    top = float(by_atom.max())
    return table @ np.exp(by_atom - top), top


def _on_one_rung(effects: Sequence[Effect], model: Model) -> tuple[Array, Array]:
    """Return the same for many rows at once that have the lowest rung alone."""
    grid = atoms(model.prior)
    gains = np.array([effect.gain for effect in effects])[:, None]
    errors = np.array([effect.gain_se for effect in effects])[:, None]
    level = model.scale * grid.levels[None, :]
    variance = errors**2 + (model.misfit_share * level) ** 2 + model.misfit**2
    by_level = -0.5 * surprise(gains - level, variance)
    top = by_level.max(axis=1)
    return np.exp(by_level - top[:, None]) @ grid.first_table.T, top
