"""Confirm: what wins on the lowest rung is run once more, one rung up."""

from dataclasses import dataclass, field

from transfer.belief.utility import Utility
from transfer.events import Action, GainForecast
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse


@dataclass(frozen=True)
class ConfirmPolicy:
    """Keep what was better on each of the lowest rungs, one run each.

    rungs
        How many rungs must agree.
    seeds
        Runs on each.
    """

    rungs: int = 2
    seeds: int = 1
    name: str = "confirm"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        if self.rungs < 1 or self.seeds < 1:
            raise ValueError(f"rungs {self.rungs} and seeds {self.seeds} must be at least 1")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Expect what the last rung showed."""
        return carried(evidence.effects[-1]) if evidence.effects else None

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        first = opening(evidence, seeds=self.seeds)
        if first is not None:
            return first
        effect = evidence.effects[-1]
        forecast = carried(effect)
        if effect.gain <= 0:
            return refuse(effect, forecast, f"not better on {effect.rung}")
        rung_index = evidence.ladder.index(effect.rung) + 1
        if rung_index >= min(self.rungs, len(evidence.ladder.rungs)):
            return accept(effect, forecast, f"better on {rung_index} rung(s)")
        upper = evidence.ladder.rungs[rung_index].name
        return Decision(Action.PROMOTE, upper, ("to be confirmed",), forecast, seeds=self.seeds)
