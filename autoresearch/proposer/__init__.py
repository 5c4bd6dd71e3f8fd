"""Proposers say what to try and why; the harness owns the loop, the ledger and the verdict."""

from typing import Protocol

from transfer.change import Change
from transfer.ladder import Ladder
from transfer.state import State


class Proposer(Protocol):
    """Suggests changes, one at a time.

    A proposer keeps no memory of its own: what it has proposed stands in the state, so that a
    study killed anywhere goes on with the same next change.
    """

    @property
    def name(self) -> str:
        """The name in configuration and records."""

    def propose(self, ladder: Ladder, state: State) -> Change | None:
        """Return the next change to try, or None when there are no more."""


def asked_before(state: State, proposer: str) -> int:
    """Count what a proposer has proposed in a study, refused proposals included."""
    taken = sum(
        proposed.change.proposer == proposer and not proposed.rescreens
        for proposed in state.changes.values()
    )
    return taken + sum(refused.proposer == proposer for refused in state.refused)
