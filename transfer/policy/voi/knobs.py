"""Knob edits as rules: all edits of one knob over all rungs, pooled into one drifting bowl."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from miniscale.setting.setting import Kind, Knob
from miniscale.setting.trial import Scalar
from transfer.belief.posterior import Hint, Model
from transfer.belief.prior import Array
from transfer.events import Effect
from transfer.policy.protocol import ChangeView

CURVATURES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Grid of k, nats of compute lost a unit squared from the optimum."""
TYPICAL, WIDTH = 0.1, 0.9
"""k is lognormal around this."""
OPTIMUM_SD, DRIFT_SD = 0.25, 0.08
"""Of the optimum around the first baseline's value at the lowest rung, and of its drift a nat."""
ROUGH, ROUGH_SHARE = 0.01, 0.3
"""How far a real surface strays from a bowl: hypot(.01, .3 g)."""


@dataclass(frozen=True)
class KnobEdit:
    """One edit of one knob, in the knob's own coordinate.

    start, value
        Of the baseline that the edit was measured on, and of the edit.
    """

    arm: str
    start: float
    value: float
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Bowl:
    """The posterior of a bowl: for each curvature its odds, and a normal of optimum and drift.

        L(z, x) = k (z - o - d x)^2,   g = L(z_b, x) - L(z, x)
                = k (z_b^2 - z^2) + 2 k (z - z_b) (o + d x)

    z is the knob's coordinate from the first baseline's value. For a given k this is linear in
    (o, d), so the posterior is exact on a grid of k.
    """

    weights: Array
    mean: Array
    """(curvatures, 2): o and d."""
    covariance: Array
    """(curvatures, 2, 2)."""

    def gain(self, start: float, value: float, positions: Sequence[float]) -> tuple[Array, Array]:
        """Return mean (n,) and covariance (n, n) of an edit's gain over positions."""
        k = np.array(CURVATURES)
        step = value - start
        design = np.stack([np.ones(len(positions)), np.array(positions)], axis=1)  # (n, 2)
        slope = 2 * k[:, None, None] * step * design
        means = k[:, None] * (start**2 - value**2) + np.einsum("cni,ci->cn", slope, self.mean)
        inner = np.einsum("cni,cij,cmj->cnm", slope, self.covariance, slope)
        mean = self.weights @ means
        off = means - mean
        outer = np.einsum("c,cn,cm->nm", self.weights, off, off)
        return mean, np.einsum("c,cnm->nm", self.weights, inner) + outer


def coordinate(knob: Knob, value: Scalar) -> float | None:
    """Return a value in the coordinate in which its knob's bowl is symmetric.

    Logarithm for a knob in logarithms; else in units of the default, or of half the range where
    that is zero. None for what is not a number.
    """
    if isinstance(value, bool | str) or isinstance(knob.default, bool | str) or knob.choices:
        return None
    if knob.is_log:
        return math.log(value) if value > 0 else None
    return float(value) / _unit(knob)


def _unit(knob: Knob) -> float:
    if isinstance(knob.default, int | float) and knob.default != 0:
        return abs(float(knob.default))
    if knob.low is not None and knob.high is not None:
        return (knob.high - knob.low) / 2 or 1.0
    return 1.0


def edited(change_view: ChangeView, knobs: Mapping[str, Knob]) -> str:
    """Return the name of the one hyper-parameter that a change edits; empty if it does more."""
    change = change_view.change
    if len(change.knobs) != 1 or change.patch or change.members:
        return ""
    name = next(iter(change.knobs))
    knob = knobs.get(name)
    if knob is None or knob.kind is not Kind.HYPERPARAMETER:
        return ""
    return name if coordinate(knob, change.knobs[name]) is not None else ""


def edits_by_knob(
    change_views: Sequence[ChangeView], knobs: Mapping[str, Knob]
) -> dict[str, tuple[KnobEdit, ...]]:
    """Return every knob's edits, in order, each with its baseline's value at that time.

    A baseline holds what was accepted on the baselines before it.
    """
    order = {base: n for n, base in enumerate(dict.fromkeys(s.base for s in change_views))}
    accepted: dict[str, list[tuple[int, Scalar]]] = {}
    for change_view in change_views:
        if change_view.is_accepted:
            for name, value in change_view.change.knobs.items():
                accepted.setdefault(name, []).append((order[change_view.base], value))
    by_knob: dict[str, list[KnobEdit]] = {}
    for change_view in change_views:
        name = edited(change_view, knobs)
        if not name:
            continue
        knob, now = knobs[name], order[change_view.base]
        earlier = [value for when, value in accepted.get(name, ()) if when < now]
        baseline_value = earlier[-1] if earlier else knob.default
        origin, start = coordinate(knob, knob.default), coordinate(knob, baseline_value)
        edit_at = coordinate(knob, change_view.change.knobs[name])
        if origin is None or start is None or edit_at is None:
            continue
        edit = KnobEdit(change_view.arm, start - origin, edit_at - origin, change_view.effects)
        by_knob.setdefault(name, []).append(edit)
    return {name: tuple(edits) for name, edits in by_knob.items()}


def fit_bowl(edits: Sequence[KnobEdit], *, misfit: float = 0.004) -> Bowl:
    """Return the posterior of a knob's bowl from all effects of its edits."""
    k = np.array(CURVATURES)
    logs = -0.5 * (np.log(k / TYPICAL) / WIDTH) ** 2
    prior = np.diag([OPTIMUM_SD**-2, DRIFT_SD**-2])
    seen = [(edit, effect) for edit in edits for effect in edit.effects]
    if not seen:
        spread = np.tile(np.linalg.inv(prior), (k.size, 1, 1))
        weights = np.exp(logs - logs.max())
        return Bowl(weights / weights.sum(), np.zeros((k.size, 2)), spread)
    step = np.array([edit.value - edit.start for edit, _ in seen])
    bend = np.array([edit.start**2 - edit.value**2 for edit, _ in seen])
    x = np.array([effect.position for _, effect in seen])
    gains = np.array([effect.gain for _, effect in seen])
    errors = np.array([effect.gain_se for _, effect in seen])
    variance = errors**2 + misfit**2 + (0.2 * gains) ** 2
    design = 2 * k[:, None, None] * (step[:, None] * np.stack([np.ones_like(x), x], axis=1))
    left = gains - k[:, None] * bend
    precision = prior + np.einsum("cni,n,cnj->cij", design, 1 / variance, design)
    covariance = np.linalg.inv(precision)
    pull = np.einsum("cni,cn->ci", design, left / variance)
    mean = np.einsum("cij,cj->ci", covariance, pull)
    fit = -0.5 * (left**2 / variance).sum(axis=1) + 0.5 * np.einsum("ci,ci->c", pull, mean)
    logs = logs + fit + 0.5 * np.linalg.slogdet(covariance)[1]
    weights = np.exp(logs - logs.max())
    return Bowl(weights / weights.sum(), mean, covariance)


def hint(edits: Sequence[KnobEdit], arm: str, *, target: float, model: Model) -> Hint | None:
    """Return what a knob's other edits say of one edit at the lowest rung and the target.

    None where no other edit was measured.
    """
    own = next((edit for edit in edits if edit.arm == arm), None)
    others = [edit for edit in edits if edit.arm != arm and edit.effects]
    if own is None or not others:
        return None
    bowl = fit_bowl(others, misfit=model.misfit)
    mean, covariance = bowl.gain(own.start, own.value, (0.0, target))
    rough = np.diag(ROUGH**2 + (ROUGH_SHARE * mean) ** 2)
    return Hint((0.0, target), mean, covariance + rough)
