"""A stranger's policy and worlds, as docs/bench.md shows them."""

from dataclasses import dataclass, field

from miniscale.setting.setting import Kind
from transfer.belief.utility import Utility
from transfer.bench.worlds.families import PLAN
from transfer.bench.worlds.world import Held, Mechanism, World, patch
from transfer.change import Change
from transfer.events import GainForecast
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse


@dataclass(frozen=True)
class Never:
    """Runs every change once and takes none of them, or all of them."""

    takes_all: bool = False
    name: str = "never"
    utility: Utility = field(default_factory=Utility)

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Return nothing."""
        return None

    def decide(self, evidence: Evidence) -> Decision:
        """Run once, then stop."""
        first = opening(evidence, seeds=1)
        if first is not None:
            return first
        effect = evidence.effects[0]
        return (accept if self.takes_all else refuse)(effect, carried(effect), "as always")


class Vanishing(Mechanism):
    """Every idea gains a tenth on the lowest rung, and nothing from six nats on."""

    def change(self, n: int) -> Change:
        """Return the n-th idea."""
        return Change(title=f"idea {n}", kind=Kind.STRUCTURAL, patch=patch(n))

    def gain(self, held: Held, x: float) -> float:
        """Return the gain of a set in nats of compute."""
        return len(held.ideas) * 0.1 * max(1 - x / 6, 0.0)


def vanishing(seed: int) -> World:
    """Return a world of ideas whose gains vanish."""
    return World("vanishing", seed, Vanishing(), PLAN, n_ideas=30)
