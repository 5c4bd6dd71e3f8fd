"""The baseline's own error on a rung, as all changes measured against it show it together."""

import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace

import numpy as np

from transfer.belief.posterior import Model, SharedError, believe, surprise
from transfer.belief.prior import Array, atoms
from transfer.events import Effect
from transfer.policy.protocol import ChangeView

FEWEST = 5
"""Changes on a rung from which their common error is looked for."""
MOST = 40
"""Changes with other rungs that are looked at, the newest ones."""
CLIP = 3.0
"""The error is sought within this many sd."""


def loading(effect: Effect, rho: float) -> float:
    """Return l = 1 - rho f: how much of the baseline's error an effect carries."""
    return max(1.0 - rho * effect.n_pairs / max(effect.n, 1), 0.05)


def baseline_error(
    change_views: Sequence[ChangeView],
    rung: str,
    *,
    rho: float,
    model: Model,
    known: MutableMapping[object, tuple[float, float]] | None = None,
) -> tuple[float, float] | None:
    """Estimate the error o of a baseline's mean on one rung, in nats.

    o ~ N(0, w) is shared by every change on the rung with loading l = 1 - rho f. Its posterior is
    taken on a grid within 3 sd. A change measured on this rung alone says p(g - l o) under its
    prior; one measured elsewhere too says N(g - l o; E g, v + Var g + m^2) with E g and Var g from
    its other rungs.

    Parameters
    ----------
    known
        What changes with other rungs were found to say; filled, so that it is found once.

    Returns
    -------
    tuple or None
        Posterior mean and sd of o; None with fewer than five changes there or no shared error.
    """
    found = [(s, e) for s in change_views for e in s.effects if e.rung == rung]
    if len(found) < FEWEST:
        return None
    width = math.sqrt(sum((e.shared_se / loading(e, rho)) ** 2 for _, e in found) / len(found))
    if width <= 0:
        return None
    error = np.linspace(-CLIP * width, CLIP * width, 25)
    logs = -0.5 * (error / width) ** 2
    alone = [(s, e) for s, e in found if len(s.effects) == 1]
    others = [(s, e) for s, e in found if len(s.effects) > 1]
    if alone and alone[0][1].position == 0:
        logs = logs + _alone(alone, error, rho=rho, model=model)
    if others:
        logs = logs + _elsewhere(others[-MOST:], error, rho=rho, model=model, known=known)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = float(weights @ error)
    return mean, math.sqrt(float(weights @ (error - mean) ** 2))


def _alone(
    found: Sequence[tuple[ChangeView, Effect]], error: Array, *, rho: float, model: Model
) -> Array:
    """Return the log likelihood of the error by changes measured nowhere else."""
    grid = atoms(model.prior)
    gains = np.array([effect.gain for _, effect in found])
    own = np.array([effect.gain_se**2 - effect.shared_se**2 for _, effect in found])
    loads = np.array([loading(effect, rho) for _, effect in found])
    level = model.scale * grid.levels
    misfit = (model.misfit_share * level) ** 2 + model.misfit**2
    variance = (np.maximum(own, 1e-12)[:, None] + misfit)[:, None, :]
    left = (gains[:, None] - loads[:, None] * error)[:, :, None]
    kinds = {change_view.change.kind for change_view, _ in found}
    prior = {kind: model.prior.shares(kind) @ grid.first_table for kind in kinds}
    shares = np.stack([prior[change_view.change.kind] for change_view, _ in found])
    density = surprise(left - level, variance)
    density *= -0.5
    np.exp(density, out=density)
    density *= shares[:, None, :]
    by_change = np.log(density.sum(axis=2) + 1e-300)
    return np.asarray(by_change.sum(axis=0))


def _elsewhere(
    found: Sequence[tuple[ChangeView, Effect]],
    error: Array,
    *,
    rho: float,
    model: Model,
    known: MutableMapping[object, tuple[float, float]] | None,
) -> Array:
    """Return the log likelihood of the error by changes with other rungs."""
    known = {} if known is None else known
    by_others = [_by_rest(change_view, effect, model, known) for change_view, effect in found]
    own = [max(effect.gain_se**2 - effect.shared_se**2, 1e-12) for _, effect in found]
    left = np.array([e.gain - mean for (_, e), (mean, _) in zip(found, by_others, strict=True)])
    loads = np.array([loading(effect, rho) for _, effect in found])
    variance = np.array(own) + np.array([variance for _, variance in by_others])
    residual = left[:, None] - loads[:, None] * error
    return np.asarray(-0.5 * surprise(residual, variance[:, None]).sum(axis=0))


def _by_rest(
    change_view: ChangeView,
    effect: Effect,
    model: Model,
    known: MutableMapping[object, tuple[float, float]],
) -> tuple[float, float]:
    """Return mean and variance of a change's gain on a rung by its other rungs."""
    rest = [other for other in change_view.effects if other.rung != effect.rung]
    kind = change_view.change.kind
    key = (id(model), kind, effect.position, *((e.position, e.gain, e.gain_se) for e in rest))
    if key not in known:
        mean, covariance = believe(rest, kind, model=model).moments([effect.position])
        known[key] = float(mean[0]), float(covariance[0, 0])
    return known[key]


def shared(
    effects: Sequence[Effect],
    errors: Mapping[str, tuple[float, float] | None],
    *,
    rho: Mapping[str, float],
) -> dict[str, SharedError]:
    """Return the pool's word on each effect's shared part, where it has one."""
    found = {}
    for effect in effects:
        error = errors.get(effect.rung)
        if error is not None:
            load = loading(effect, rho.get(effect.rung, 0.5))
            found[effect.rung] = SharedError(load * error[0], load * error[1])
    return found


def without(effect: Effect) -> Effect:
    """Return an effect with its shared error taken off, for comparisons on one baseline."""
    own = math.sqrt(max(effect.gain_se**2 - effect.shared_se**2, 1e-18))
    return replace(effect, gain_se=own, shared_se=0.0)
