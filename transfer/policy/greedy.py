"""Greedy: one run on the lowest rung, lower is kept. What most loops do."""

from dataclasses import dataclass, field

from transfer.belief.utility import Utility
from transfer.events import GainForecast
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse


@dataclass(frozen=True)
class GreedyPolicy:
    """Keep whatever was better on the lowest rung.

    seeds
        Runs of a change; one in the loops that this stands for.
    """

    seeds: int = 1
    name: str = "greedy"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds: got {self.seeds}, must be at least 1")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Expect the same everywhere."""
        return carried(evidence.effects[-1]) if evidence.effects else None

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        first = opening(evidence, seeds=self.seeds)
        if first is not None:
            return first
        effect = evidence.effects[0]
        forecast = carried(effect)
        if effect.gain > 0:
            return accept(effect, forecast, f"better on {effect.rung}")
        return refuse(effect, forecast, f"not better on {effect.rung}")
