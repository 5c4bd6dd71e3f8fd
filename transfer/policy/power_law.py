"""A power law per variant, extrapolated: the obvious way, kept because it is the worst."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling import fit_power_law
from transfer.belief.mixture import normal_forecast
from transfer.belief.utility import Utility
from transfer.events import Action, Effect, GainForecast
from transfer.ladder import Ladder
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse

MOST = 3.0
"""Gains are cut at this many nats: a law may promise anything."""


@dataclass(frozen=True)
class PowerLawPolicy:
    """Climb while it is better, fit the change's own law over all rungs, accept if it wins.

    confidence
        Odds that the extrapolated difference asks for.
    seeds
        Runs on each rung.
    """

    confidence: float = 0.8
    seeds: int = 1
    name: str = "powerlaw"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: got {self.confidence}, must lie between 0 and 1")
        if self.seeds < 1:
            raise ValueError(f"seeds: got {self.seeds}, must be at least 1")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Extrapolate from the rungs below; with fewer than three, expect the same."""
        if not evidence.effects:
            return None
        ladder = evidence.ladder
        return extrapolated(evidence.effects, ladder, position=_at(ladder, rung))

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        first = opening(evidence, seeds=self.seeds)
        if first is not None:
            return first
        ladder, effect = evidence.ladder, evidence.effects[-1]
        target = ladder.position(ladder.target)
        if effect.rung != ladder.rungs[-1].name:
            if effect.gain <= 0:
                return refuse(effect, carried(effect), f"not better on {effect.rung}")
            upper = ladder.rungs[ladder.index(effect.rung) + 1].name
            return Decision(Action.PROMOTE, upper, ("its law needs rungs",), seeds=self.seeds)
        forecast = extrapolated(evidence.effects, ladder, position=target)
        reason = f"its own law gives odds of {forecast.odds:.2f} at the target"
        is_enough = forecast.odds >= self.confidence and forecast.mean > 0
        return (accept if is_enough else refuse)(effect, forecast, reason)


def _at(ladder: Ladder, rung: str) -> float:
    return ladder.position(ladder.rung(rung).scale)


def extrapolated(effects: Sequence[Effect], ladder: Ladder, *, position: float) -> GainForecast:
    """Fit a law to the change's losses and compare it with the baseline's at a position.

    The baseline's reducible loss is R(x) = s(x) / alpha, where its slopes s = |dL/dx| are
    ``loss_se / gain_se`` and fall as e^(-alpha x). The change's losses are R - d up to a constant,
    which the fitted floor takes up; with L' its law, the gain is
    ln(R / (R - (R - L'))) / alpha = ln(R / L') / alpha, over the laws of the fit's ensemble.
    """
    if len(effects) < 3:
        return carried(effects[-1])
    x = np.array([effect.position for effect in effects])
    slopes = np.array([effect.loss_se / effect.gain_se for effect in effects])
    tilt, level = np.polyfit(x, np.log(slopes), 1)
    alpha = max(-float(tilt), 0.02)
    reducible = np.exp(level + tilt * x) / alpha
    base = 4.0 * float(reducible[0])  # assumption: lifts all losses, so that no floor is cut at 0
    losses = base + reducible - np.array([effect.loss_gain for effect in effects])
    noise = np.array([effect.loss_se for effect in effects])
    fit = fit_power_law(np.exp(x), losses, noise_sd=noise)
    there = math.exp(level + tilt * position) / alpha
    at = np.array([law(math.exp(position)) for law in (fit.law, *fit.ensemble)]) - base
    gains = np.log(there / np.maximum(at, there * math.exp(-MOST * alpha))) / alpha
    gains = np.clip(gains, -MOST, MOST)
    return normal_forecast(float(gains[0]), max(float(np.std(gains[1:])), 1e-9))
