"""Successive halving: on each rung only the best part of a round's changes goes up."""

import math
from dataclasses import dataclass, field

from transfer.belief.utility import Utility
from transfer.events import Action, Effect, GainForecast
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse


@dataclass(frozen=True)
class HalvingPolicy:
    """Promote a change that is among the best 1/eta of its round on its rung; accept at the top.

    Asynchronous (Li et al. 2020, "A system for massively parallel hyperparameter tuning"): a change
    is ranked among those that reached the rung by then, so nothing waits for a batch to fill.

    eta
        One in so many is promoted.
    batch
        Changes that must have been on a rung before one may leave it upwards by rank; before that
        a gain is enough.
    seeds
        Runs on each rung.
    """

    eta: float = 3.0
    batch: int = 3
    seeds: int = 1
    name: str = "halving"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        if self.eta <= 1:
            raise ValueError(f"eta: got {self.eta}, must be above 1")
        if self.seeds < 1 or self.batch < 1:
            raise ValueError(f"seeds {self.seeds} and batch {self.batch} must be at least 1")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Expect what the last rung showed."""
        return carried(evidence.effects[-1]) if evidence.effects else None

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        first = opening(evidence, seeds=self.seeds)
        if first is not None:
            return first
        effect, rungs = evidence.effects[-1], evidence.ladder.rungs
        forecast = carried(effect)
        if effect.gain <= 0:
            return refuse(effect, forecast, f"not better on {effect.rung}")
        if effect.rung == rungs[-1].name:
            return accept(effect, forecast, "better on the top rung")
        rank, n = self._rank(evidence, effect)
        kept = max(math.floor(n / self.eta), 1)
        if n >= self.batch and rank > kept:
            return refuse(effect, forecast, f"number {rank} of {n} on {effect.rung}, {kept} go up")
        upper = rungs[evidence.ladder.index(effect.rung) + 1].name
        reason = f"number {rank} of {n} on {effect.rung}"
        return Decision(Action.PROMOTE, upper, (reason,), forecast, seeds=self.seeds)

    def _rank(self, evidence: Evidence, effect: Effect) -> tuple[int, int]:
        """Return the change's place among its round's gains on a rung, and their number."""
        base = evidence.view.base
        gains = [
            other.gain
            for change_view in evidence.view.change_views.values()
            if change_view.base == base and change_view.arm != evidence.arm
            for other in change_view.effects
            if other.rung == effect.rung
        ]
        return 1 + sum(gain > effect.gain for gain in gains), 1 + len(gains)
