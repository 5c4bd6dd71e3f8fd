"""How fast gains fade, learned from a study's own promotions: one number a study, by likelihood.

A prior for all studies cannot know it: tuned optimizers lose half of their gain a decade, better
data gains. So a study chooses among a few mixes of the transfer classes by what its own changes
did between the rungs they were measured on.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from scipy.special import logsumexp

from miniscale.setting.setting import Kind
from public_tables.replay import GainForecastOf
from transfer.belief.posterior import Model, believe, log_likelihood, log_weights
from transfer.belief.prior import Prior
from transfer.events import Effect, GainForecast

MIXES = ((0.60, 0.26, 0.35), (0.40, 0.46, 0.20), (0.15, 0.71, 0.20), (0.85, 0.05, 0.35))
"""(share of persistent, share of fading, what fading keeps over three decades), structural; the
first is the default's."""


def priors() -> tuple[Prior, ...]:
    """Return the default prior under each mix of persistent and fading."""
    base = Prior()
    found = []
    for persistent, fading, kept in MIXES:
        classes = [
            replace(one, structural=persistent)
            if one.name == "persistent"
            else replace(one, structural=fading, kept=kept)
            if one.name == "fading"
            else one
            for one in base.classes
        ]
        found.append(replace(base, classes=tuple(classes)))
    return tuple(found)


def marginal(rows: Sequence[Sequence[Effect]], model: Model) -> float:
    """Return the log marginal likelihood of structural changes' effects, each on two rungs or more.

    sum_i ln sum_k W_k L_i(k)
    """
    weights = log_weights(model.prior, Kind.STRUCTURAL)
    return math.fsum(float(logsumexp(weights + log_likelihood(row, model)[0])) for row in rows)


def fading_learned(rows: Sequence[Sequence[Effect]]) -> GainForecastOf:
    """Return the atoms' forecast under the mix that a study's promoted changes make likeliest.

    Changes measured on one rung say nothing of fading and are left out.
    """
    promoted = [row for row in rows if len(row) > 1]
    models = [Model(prior=prior) for prior in priors()]
    model = max(models, key=lambda one: marginal(promoted, one))

    def gain_forecast(effects: Sequence[Effect], position: float, kind: Kind) -> GainForecast:
        return believe(effects, kind, model=model).gain_forecast(position)

    return gain_forecast
