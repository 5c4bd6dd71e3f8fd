"""A stranger's policy, as docs/bench.md shows it."""

from dataclasses import dataclass

from transfer.events import Outlook
from transfer.policy import Decision, Evidence
from transfer.policy.plain import accept, carried, opening, refuse


@dataclass(frozen=True)
class Never:
    """Runs every change once and takes none of them, or all of them."""

    takes_all: bool = False
    name: str = "never"

    def foresee(self, evidence: Evidence, rung: str) -> Outlook | None:
        """Return nothing."""
        return None

    def decide(self, evidence: Evidence) -> Decision:
        """Run once, then stop."""
        first = opening(evidence, seeds=1)
        if first is not None:
            return first
        effect = evidence.effects[0]
        return (accept if self.takes_all else refuse)(effect, carried(effect), "as always")
