"""What the default policy's beliefs make of a panel: misfit, scale, drift, forecasts of the top."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from transfer.audit.agreement import Array, conformal
from transfer.belief.posterior import Model, believe, log_likelihood, log_weights
from transfer.change import Change
from transfer.events import Effect
from transfer.measure.trend import reach

MISFITS = (0.001, 0.002, 0.004, 0.006, 0.009, 0.014, 0.02, 0.03, 0.05, 0.08)
SCALES = (1 / 3, 1.0, 3.0)
PRIOR_SPREAD = 0.7
"""ln of the misfit is expected around ln .004 with this sd."""
DRIFT_WEIGHT = 8.0
"""The default drift counts as much as so many interventions."""
FAR = 4.0
"""A residual of more standard errors than this counts as one of so many."""

Effects = Mapping[str, Sequence[Effect]]
"""Change -> its effects, from the lowest rung up."""


@dataclass(frozen=True)
class Misfit:
    """Error of a rung that replicates do not remove, nats; ``scale`` is the effects' own."""

    value: float
    low: float
    high: float
    scale: float


@dataclass(frozen=True)
class TopForecast:
    """A change's gain at the target as forecast from the rungs below, and as measured there.

    ``low`` and ``high`` are the 80 % interval of the gain itself, before the conformal factor.
    """

    arm: str
    kind: str
    mean: float
    low: float
    high: float
    odds: float
    came: float
    came_se: float
    highest: float
    """Position of the highest rung that the forecast saw."""

    @property
    def ratio(self) -> float:
        """|came - mean| over the half-width of the predictive interval on that side."""
        far = reach(self.mean, self.low, self.high, came=self.came, came_se=self.came_se)
        return abs(self.came - self.mean) / far


def misfit_of(effects: Effects, changes: Mapping[str, Change], model: Model) -> Misfit:
    """Estimate misfit and scale by the marginal likelihood of all effects under the prior.

    ``p(m, S | g) ~ p(m) prod_i sum_k W_k prod_r N(g_ir; g_k(x_r), v_ir + (.2 g_k)^2 + m^2)`` with
    ln m normal around ln .004. Changes seen on fewer than two rungs say nothing of it.
    """
    return _misfit(evidence(effects, changes, model))


def evidence(effects: Effects, changes: Mapping[str, Change], model: Model) -> dict[str, Array]:
    """Return each change's log marginal likelihood by misfit and scale, (misfits, scales)."""
    return {
        arm: np.array(
            [
                [
                    _evidence(known, changes[arm], replace(model, misfit=misfit, scale=scale))
                    for scale in SCALES
                ]
                for misfit in MISFITS
            ]
        )
        for arm, known in effects.items()
        if len(known) >= 2
    }


def _misfit(told: Mapping[str, Array]) -> Misfit:
    prior = -0.5 * (np.log(np.array(MISFITS) / 0.004) / PRIOR_SPREAD) ** 2
    logs = np.sum([prior[:, None] + np.zeros(len(SCALES)), *told.values()], axis=0)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    by_misfit = weights.sum(axis=1)
    low, value, high = _quantiles(by_misfit)
    return Misfit(value, low, high, SCALES[int(weights.sum(axis=0).argmax())])


def _quantiles(weights: Array) -> tuple[float, float, float]:
    """Return the 10, 50 and 90 % points of the misfit, between the grid's points by its log."""
    total = np.cumsum(weights) - 0.5 * weights
    at = [float(np.interp(q, total, np.log(MISFITS))) for q in (0.1, 0.5, 0.9)]
    return math.exp(at[0]), math.exp(at[1]), math.exp(at[2])


def _evidence(known: Sequence[Effect], change: Change, model: Model) -> float:
    by_atom, _ = log_likelihood(list(known), model)
    return float(logsumexp(log_weights(model.prior, change.kind) + by_atom))


def forecast(
    below: Effects, came: Mapping[str, Effect], changes: Mapping[str, Change], model: Model
) -> tuple[TopForecast, ...]:
    """Forecast every change at the target from its effects below, and pair it with what came.

    Parameters
    ----------
    below
        Arm -> its effects under the top rung.
    came
        Arm -> its effect on the top rung.
    changes
        The panel by name.
    model
        What gains do over scale.
    """
    found = []
    for arm, effect in came.items():
        known = list(below.get(arm, ()))
        if not known:
            continue
        look = believe(known, changes[arm].kind, model=model).gain_forecast(effect.position)
        score = TopForecast(
            arm=arm,
            kind=str(changes[arm].kind),
            mean=look.mean,
            low=look.low,
            high=look.high,
            odds=look.odds,
            came=effect.gain,
            came_se=effect.gain_se,
            highest=known[-1].position,
        )
        found.append(score)
    return tuple(found)


def drift_of(
    below: Effects, came: Mapping[str, Effect], changes: Mapping[str, Change], model: Model
) -> float:
    """Estimate the doubt per nat that forecasts need beyond the highest rung they saw.

    The target is forecast from the lowest rung alone, since over a short way drift cannot be told
    from misfit. With no drift a residual r = g_T - E g_T has the variance s^2 of forecast and
    measurement; what is left over a distance D, ``(r^2 - s^2) / D^2``, is averaged with the default
    of .004 as 8 more interventions, r counted as at most 4 s.

    Parameters
    ----------
    below
        Arm -> its effects under the top rung.
    came
        Arm -> its effect on the top rung.
    changes
        The panel by name.
    model
        What gains do over scale.
    """
    default, calm = model.drift, replace(model, drift=0.0)
    squares, weight = DRIFT_WEIGHT * default**2, DRIFT_WEIGHT
    for arm, effect in came.items():
        first = [known for known in below.get(arm, ()) if known.position == 0]
        if not first or effect.position <= 0:
            continue
        look = believe(first, changes[arm].kind, model=calm).gain_forecast(effect.position)
        variance = look.sd**2 + effect.gain_se**2
        square = min((effect.gain - look.mean) ** 2, FAR**2 * variance)
        squares += (square - variance) / effect.position**2
        weight += 1
    return math.sqrt(max(squares, 0.0) / weight)


def covering_factor(
    below: Effects, came: Mapping[str, Effect], changes: Mapping[str, Change], model: Model
) -> tuple[float | None, tuple[TopForecast, ...]]:
    """Return the conformal factor by leaving one intervention out, and the scores behind it.

    Misfit, scale and drift are learned without the change whose interval is scored.

    Parameters
    ----------
    below
        Arm -> its effects under the top rung.
    came
        Arm -> its effect on the top rung.
    changes
        The panel by name.
    model
        What gains do over scale.
    """
    scores: list[TopForecast] = []
    told = evidence(_whole(below, came), changes, model)
    for arm in came:
        others = {other: known for other, known in below.items() if other != arm}
        misfit = _misfit({other: logs for other, logs in told.items() if other != arm})
        rest = {other: effect for other, effect in came.items() if other != arm}
        learned = _fitted(others, rest, changes, model, misfit)
        scores += forecast(below, {arm: came[arm]}, changes, learned)
    return conformal([score.ratio for score in scores]), tuple(scores)


def learn(
    below: Effects, came: Mapping[str, Effect], changes: Mapping[str, Change], model: Model
) -> Model:
    """Return the model with misfit, scale and drift as a panel tells them.

    Misfit is learned from the rungs below together with the target.

    Parameters
    ----------
    below
        Arm -> its effects under the top rung.
    came
        Arm -> its effect on the top rung.
    changes
        The panel by name.
    model
        What gains did over scale before.
    """
    misfit = misfit_of(_whole(below, came), changes, model)
    return _fitted(below, came, changes, model, misfit)


def _whole(below: Effects, came: Mapping[str, Effect]) -> dict[str, list[Effect]]:
    """Return each change's effects with the target's."""
    return {arm: [*known, *([came[arm]] if arm in came else [])] for arm, known in below.items()}


def _fitted(
    below: Effects,
    came: Mapping[str, Effect],
    changes: Mapping[str, Change],
    model: Model,
    misfit: Misfit,
) -> Model:
    fitted = replace(model, misfit=misfit.value, scale=misfit.scale)
    return replace(fitted, drift=drift_of(below, came, changes, fitted))
