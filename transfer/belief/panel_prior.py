"""Fit the prior to a panel of known changes, and score its forecasts of the top rung."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logsumexp

from transfer.belief.mixture import CONFIDENCE
from transfer.belief.posterior import Model, believe, log_likelihood, log_weights
from transfer.belief.prior import Array
from transfer.change import Change
from transfer.events import Effect
from transfer.measure.trend import reach

MISFITS = (0.001, 0.002, 0.004, 0.006, 0.009, 0.014, 0.02, 0.03, 0.05, 0.08)
SCALES = (1 / 3, 1.0, 3.0)
PRIOR_SPREAD = 0.7
"""ln of the misfit is expected around ln .004 with this sd."""
# assumption: a factor of two either way
DRIFT_WEIGHT = 8.0
"""The default drift counts as much as so many interventions."""
# assumption: half of a panel of the recommended size
FAR = 4.0
"""A residual of more standard errors than this counts as one of so many."""

Effects = Mapping[str, Sequence[Effect]]
"""Change -> its effects, from the lowest rung up."""


@dataclass(frozen=True)
class PanelEffects:
    """What was measured of known changes.

    below
        Change -> its effects under the top rung, from the lowest up.
    changes
        The panel by name.
    top
        Change -> its effect on the rung that plays the target.
    """

    below: Effects
    changes: Mapping[str, Change]
    top: Mapping[str, Effect] = field(default_factory=dict)

    def without(self, arm: str) -> "PanelEffects":
        """Return the panel as if a change had not been tried."""
        below = {name: effects for name, effects in self.below.items() if name != arm}
        top = {name: effect for name, effect in self.top.items() if name != arm}
        return PanelEffects(below, self.changes, top)


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


def estimate_misfit(panel: PanelEffects, model: Model) -> Misfit:
    """Estimate misfit and scale by the marginal likelihood of all effects under the prior.

    ``p(m, S | g) ~ p(m) prod_i sum_k W_k prod_r N(g_ir; g_k(x_r), v_ir + (.2 g_k)^2 + m^2)`` with
    ln m normal around ln .004. Changes seen on fewer than two rungs say nothing of it.
    """
    return _misfit(_evidence(panel, model))


def _evidence(panel: PanelEffects, model: Model) -> dict[str, Array]:
    """Return each change's log marginal likelihood by misfit and scale, (misfits, scales)."""
    grid = [[replace(model, misfit=misfit, scale=scale) for scale in SCALES] for misfit in MISFITS]
    evidence = {}
    for arm, below in panel.below.items():
        effects = [*below, *([panel.top[arm]] if arm in panel.top else [])]
        if len(effects) < 2:
            continue
        weights = log_weights(model.prior, panel.changes[arm].kind)
        evidence[arm] = np.array(
            [[float(logsumexp(weights + log_likelihood(effects, cell)[0])) for cell in row]
             for row in grid]
        )  # fmt: skip
    return evidence


def _misfit(evidence: Mapping[str, Array]) -> Misfit:
    prior = -0.5 * (np.log(np.array(MISFITS) / 0.004) / PRIOR_SPREAD) ** 2
    logs = np.sum([prior[:, None] + np.zeros(len(SCALES)), *evidence.values()], axis=0)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    low, value, high = _quantiles(weights.sum(axis=1))
    return Misfit(value, low, high, SCALES[int(weights.sum(axis=0).argmax())])


def _quantiles(weights: Array) -> tuple[float, float, float]:
    """Return the 10, 50 and 90 % points of the misfit, between the grid's points by its log."""
    total = np.cumsum(weights) - 0.5 * weights
    at = [float(np.interp(q, total, np.log(MISFITS))) for q in (0.1, 0.5, 0.9)]
    return math.exp(at[0]), math.exp(at[1]), math.exp(at[2])


def forecast_top(panel: PanelEffects, arm: str, model: Model) -> TopForecast | None:
    """Forecast a change's gain on the top rung from those below; None if none was measured."""
    below, effect = panel.below.get(arm, ()), panel.top[arm]
    if not below:
        return None
    kind = panel.changes[arm].kind
    forecast = believe(below, kind, model=model).gain_forecast(effect.position)
    return TopForecast(
        arm=arm,
        kind=str(kind),
        mean=forecast.mean,
        low=forecast.low,
        high=forecast.high,
        odds=forecast.odds,
        came=effect.gain,
        came_se=effect.gain_se,
        highest=below[-1].position,
    )


def estimate_drift(panel: PanelEffects, model: Model) -> float:
    """Estimate the doubt per nat that forecasts need beyond the highest rung they saw.

    The target is forecast from the lowest rung alone, since over a short way drift cannot be told
    from misfit. With no drift a residual r = g_T - E g_T has the variance s^2 of forecast and
    measurement; what is left over a distance D, ``(r^2 - s^2) / D^2``, is averaged with the default
    of .004 as 8 more interventions, r counted as at most 4 s.
    """
    calm = replace(model, drift=0.0)
    squares, weight = DRIFT_WEIGHT * model.drift**2, DRIFT_WEIGHT
    for arm, effect in panel.top.items():
        lowest = [seen for seen in panel.below.get(arm, ()) if seen.position == 0]
        if not lowest or effect.position <= 0:
            continue
        kind = panel.changes[arm].kind
        forecast = believe(lowest, kind, model=calm).gain_forecast(effect.position)
        variance = forecast.sd**2 + effect.gain_se**2
        square = min((effect.gain - forecast.mean) ** 2, FAR**2 * variance)
        squares += (square - variance) / effect.position**2
        weight += 1
    return math.sqrt(max(squares, 0.0) / weight)


def score_forecasts(panel: PanelEffects, model: Model) -> tuple[TopForecast, ...]:
    """Forecast every change on the top rung by a model learned without it."""
    evidence = _evidence(panel, model)
    scores = []
    for arm in panel.top:
        misfit = _misfit({other: logs for other, logs in evidence.items() if other != arm})
        scores.append(forecast_top(panel, arm, _fitted(panel.without(arm), model, misfit)))
    return tuple(score for score in scores if score is not None)


def learn_from_panel(panel: PanelEffects, model: Model) -> Model:
    """Return the model with misfit, scale and drift as all rungs of a panel show them."""
    return _fitted(panel, model, estimate_misfit(panel, model))


def _fitted(panel: PanelEffects, model: Model, misfit: Misfit) -> Model:
    fitted = replace(model, misfit=misfit.value, scale=misfit.scale)
    return replace(fitted, drift=estimate_drift(panel, fitted))


def conformal_factor(scores: Sequence[float]) -> float | None:
    """Return the factor that makes intervals cover: the ceil(.8 (n + 1))-th smallest score.

    A score is |came - forecast| over the half-width of its 80 % predictive interval (Vovk et al.,
    Algorithmic Learning in a Random World). None with too few scores for any factor.

    >>> conformal_factor([0.2, 0.4, 0.6, 0.8, 1.5])
    1.5
    >>> conformal_factor([0.2, 0.4, 0.6])
    """
    rank = math.ceil(CONFIDENCE * (len(scores) + 1))
    return sorted(scores)[rank - 1] if rank <= len(scores) else None
