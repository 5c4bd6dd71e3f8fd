"""What is believed of one change after its effects: a weighted sum over atoms, no sampler."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from miniscale.setting.setting import Kind
from transfer.belief.mixture import Mixture
from transfer.belief.prior import Array, Prior, atoms, rise
from transfer.belief.utility import Utility
from transfer.events import Effect, GainForecast
from transfer.ladder_trust import Trust

GAIN_BEYOND = 4.0
"""Standard deviations from which a residual counts by its logarithm."""
CENSORED = -0.2
"""A crash counts as a gain below this."""
NEGLIGIBLE = 1e-5
"""Atoms with less than this share of the heaviest are dropped."""


@dataclass(frozen=True)
class Doubt:
    """Doubt a nat of compute beyond the highest measured rung: hypot(drift, share |g|) there."""

    drift: float
    share: float


DOUBTS: Mapping[Kind, Doubt] = {
    Kind.STRUCTURAL: Doubt(0.004, 0.0),
    Kind.HYPERPARAMETER: Doubt(0.008, 0.05),
}
"""At least, whatever an audit of few changes found. Public tables ask for more still."""


@dataclass(frozen=True)
class Model:
    """The prior with what a study or an audit learned of it.

    scale
        Overall size S of effects in this study.
    misfit
        Error of a rung in nats that replicates do not remove; with ``misfit_share`` of the gain,
        m^2 = (misfit_share g)^2 + misfit^2.
    drift
        Doubt per nat beyond the highest measured rung, where ``doubts`` says nothing.
    conformal
        Factor of 1 or more on every interval.
    doubts
        The same by kind of change, with a part that grows with the gain.
    """

    prior: Prior = field(default_factory=Prior)
    scale: float = 1.0
    misfit: float = 0.004
    misfit_share: float = 0.2
    drift: float = 0.004
    conformal: float = 1.0
    doubts: Mapping[Kind, Doubt] = field(default_factory=dict)

    def doubt(self, kind: Kind) -> Doubt:
        """Return the doubt beyond the highest measured rung for a kind of change."""
        return self.doubts.get(kind, Doubt(self.drift, 0.0))

    @staticmethod
    def trusting(trust: Trust, prior: Prior) -> "Model":
        """Return the model that an audit's findings ask for."""
        return Model(
            prior=prior,
            misfit=trust.misfit,
            drift=trust.drift,
            conformal=max(1.0, trust.conformal),
            doubts={
                kind: Doubt(max(trust.drift, doubt.drift), doubt.share)
                for kind, doubt in DOUBTS.items()
            },
        )


@lru_cache(maxsize=64)
def model_for(trust: Trust) -> Model:
    """Return what is believed before a study teaches anything: one object for one trust.

    Policy, exam and ablation of a study all start from it.
    """
    return Model.trusting(trust, Prior())


@dataclass(frozen=True)
class SharedError:
    """The baseline's error on one rung as the pool of changes shows it, in a change's own terms.

    ``mean`` is l o and ``sd`` its posterior sd: the effect less ``mean``, with ``sd`` in place of
    its ``shared_se``.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Hint:
    """What other changes say of this one: a joint normal forecast of its gain at positions."""

    positions: tuple[float, ...]
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class Belief:
    """The posterior of one change over atoms.

    weights, level, end, is_saturating
        (K,) of the atoms that matter, in nats of compute.
    last
        Position of the highest measured rung.
    """

    weights: Array
    level: Array
    end: Array
    is_saturating: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    last: float
    model: Model
    kind: Kind = Kind.STRUCTURAL
    _curves: dict[float, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def curve(self, position: float) -> Array:
        """Return each atom's gain at a position, (K,); kept, so not to be written into."""
        if position not in self._curves:
            up = rise(position, self.is_saturating)
            self._curves[position] = self.level + (self.end - self.level) * up
        return self._curves[position]

    def ahead(self, position: float, *, last: float | None = None) -> tuple[Array, Array]:
        """Return each atom's believed gain t and doubt m at a position, (K,) each.

        Beyond ``last`` half of a rise counts, all of a fall, and no win from a loss:

            D = g(x) - g(x_last),  t = g(x_last) + min(D, D / 2),  at most 0 where g(x_last) < 0
            m^2 = (misfit_share t)^2 + misfit^2 + (drift^2 + (share g(x_last))^2) (x - x_last)^2

        Parameters
        ----------
        last
            The highest measured rung's position, if a higher one than now is supposed.
        """
        here = self.last if last is None else last
        value = self.curve(position)
        beyond = max(position - here, 0.0)
        if beyond > 0:
            base = self.curve(here)
            change = value - base
            value = base + np.minimum(change, 0.5 * change)
            value = np.where(base < 0, np.minimum(value, 0.0), value)
        model = self.model
        floor = model.misfit**2 + self._drifted(here, beyond) ** 2
        return value, np.sqrt((model.misfit_share * value) ** 2 + floor)

    def _drifted(self, here: float, beyond: float) -> Array:
        doubt = self.model.doubt(self.kind)
        gain = self.curve(here) if beyond and doubt.share else np.zeros(1)
        drifted: Array = beyond * np.hypot(doubt.drift, doubt.share * gain)
        return drifted

    def at(self, position: float) -> Mixture:
        """Return what is believed of the gain at a position."""
        value, doubt = self.ahead(position)
        return Mixture(self.weights, value, doubt, self.model.conformal)

    def gain_forecast(self, position: float) -> GainForecast:
        """Return mean, sd, 80 % interval and odds at a position; nats of compute."""
        forecast = self.at(position).gain_forecast()
        distance = position - self.last
        if distance <= 0:
            return forecast
        here = float(self.weights @ self.curve(self.last))
        return replace(forecast, slope=(forecast.mean - here) / distance)

    def moments(self, positions: Sequence[float]) -> tuple[Array, Array]:
        """Return mean (n,) and covariance (n, n) of the gain over positions.

        The doubt of drift beyond the highest measured rung is one line through it, so it is
        shared by all positions beyond; misfit is each position's own.
        """
        at = np.array(positions)
        values = np.stack([self.ahead(x)[0] for x in positions])
        mean = values @ self.weights
        centred = values - mean[:, None]
        doubt = self.model.doubt(self.kind)
        level = float(np.sqrt(self.curve(self.last) ** 2 @ self.weights))
        beyond = math.hypot(doubt.drift, doubt.share * level) * np.maximum(at - self.last, 0.0)
        own = self.model.misfit**2 + (self.model.misfit_share**2) * (values**2 @ self.weights)
        covariance = (centred * self.weights) @ centred.T + np.outer(beyond, beyond) + np.diag(own)
        return mean, covariance

    def worth_by_atom(
        self, position: float, utility: Utility, *, last: float | None = None
    ) -> Array:
        """Return each atom's expected utility of accepting, g ~ N(t, m^2) at a position, (K,)."""
        return utility.of_normals(*self.ahead(position, last=last))


def surprise(residual: Array, variance: Array) -> Array:
    """Return -2 log of a normal's density but for a constant, bounded far out.

    Beyond 4 sd the square is replaced by 16 + ln(1 + d^2 - 16): one outlier cannot decide.
    """
    square = residual * residual
    square /= variance
    far = GAIN_BEYOND**2
    if square.max() > far:
        beyond = square > far
        square[beyond] = far + np.log1p(square[beyond] - far)
    square += np.log(variance)
    return square


def _log_likelihood(
    effects: Sequence[Effect],
    gain_at: Mapping[str, Array],
    model: Model,
    pool: Mapping[str, SharedError],
) -> Array:
    total = np.zeros_like(next(iter(gain_at.values())))
    # an effect beyond the grid counts as its edge: else no atom explains it, and a ruinous change
    # passes for an outlier
    edge = model.scale * model.prior.magnitudes[-1]
    for effect in effects:
        own = max(effect.gain_se**2 - effect.shared_se**2, 0.0)
        known = pool.get(effect.rung, SharedError(0.0, effect.shared_se))
        gain = gain_at[effect.rung]
        variance = own + known.sd**2 + (model.misfit_share * gain) ** 2 + model.misfit**2
        seen = min(max(effect.gain - known.mean, -edge), edge)
        total -= 0.5 * surprise(seen - gain, variance)
    return total


def _check(effects: Sequence[Effect]) -> None:
    for effect in effects:
        if not (math.isfinite(effect.gain) and effect.gain_se > 0):
            raise ValueError(
                f"effect on {effect.rung}: gain {effect.gain} +- {effect.gain_se} must be finite "
                "with a positive error; measure it again or drop it"
            )


def log_likelihood(
    effects: Sequence[Effect], model: Model, pool: Mapping[str, SharedError] | None = None
) -> tuple[Array, bool]:
    """Return the log likelihood of effects by atom, and whether it is by level alone.

    Where all effects are on the lowest rung only an atom's level matters: (A,) instead of (K,).

    Raises
    ------
    ValueError
        If an effect is not finite or claims no error.
    """
    _check(effects)
    grid = atoms(model.prior)
    is_first = all(effect.position == 0 for effect in effects)
    if is_first:
        gain_at = {effect.rung: model.scale * grid.levels for effect in effects}
        start = np.zeros_like(grid.levels)
    else:
        gain_at = {
            effect.rung: model.scale
            * (grid.level + (grid.end - grid.level) * rise(effect.position, grid.is_saturating))
            for effect in effects
        }
        start = np.zeros_like(grid.level)
    return (_log_likelihood(effects, gain_at, model, pool or {}) if effects else start), is_first


def believe(
    effects: Sequence[Effect],
    kind: Kind,
    *,
    model: Model,
    pool: Mapping[str, SharedError] | None = None,
    crashed_at: float | None = None,
    hint: Hint | None = None,
) -> Belief:
    """Return the posterior of a change: prior weight times likelihood, by atom.

        p_k ~ W_k prod_r N(g_r - l o_r; g_k(x_r), v_r + l^2 w_r + m_kr^2)

    Effects need not be in order and may be absent on any rung.

    Parameters
    ----------
    pool
        Rung -> the baseline's error there as all changes together show it.
    crashed_at
        Position of a rung on which the change crashed: its gain there is below -.2.

    Raises
    ------
    ValueError
        If an effect is not finite or claims no error.
    """
    grid = atoms(model.prior)
    by_atom, is_first = log_likelihood(effects, model, pool)
    logs = log_weights(model.prior, kind) + (by_atom[grid.place] if is_first else by_atom)
    level, end = model.scale * grid.level, model.scale * grid.end
    if crashed_at is not None:
        there = level + (end - level) * rise(crashed_at, grid.is_saturating)
        logs = logs + np.log(ndtr((CENSORED - there) / 0.05) + 1e-12)
    if hint is not None:
        logs = logs + _told(hint, level, end, grid.is_saturating)
    logs -= logs.max()
    heavy = np.flatnonzero(logs > math.log(NEGLIGIBLE))
    weights = np.exp(logs[heavy])
    return Belief(
        weights=weights / weights.sum(),
        level=level[heavy],
        end=end[heavy],
        is_saturating=grid.is_saturating[heavy],
        last=max((effect.position for effect in effects), default=0.0),
        model=model,
        kind=kind,
    )


def _told(
    hint: Hint, level: Array, end: Array, bent: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> Array:
    """Return the log likelihood of a hint by atom."""
    off = np.stack([level + (end - level) * rise(x, bent) for x in hint.positions])
    off -= hint.mean[:, None]
    square: Array = np.einsum("ik,ij,jk->k", off, np.linalg.inv(hint.covariance), off)
    return -0.5 * square


_LOG_WEIGHTS: dict[tuple[int, Kind], tuple[Prior, Array]] = {}


def log_weights(prior: Prior, kind: Kind) -> Array:
    """Return the log prior weight of each atom for a kind of change, (K,); kept by prior."""
    found = _LOG_WEIGHTS.get((id(prior), kind))
    if found is None or found[0] is not prior:
        if len(_LOG_WEIGHTS) > 64:
            _LOG_WEIGHTS.clear()
        logs: Array = np.log(prior.shares(kind) @ atoms(prior).table + 1e-300)
        found = _LOG_WEIGHTS[id(prior), kind] = (prior, logs)
    return found[1]
