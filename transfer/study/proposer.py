"""Proposers say what to try and why; the harness owns the loop, the ledger and the verdict."""

from dataclasses import dataclass
from typing import Protocol

from transfer.change import Change
from transfer.journal.state import StudyState
from transfer.ladder import Ladder


@dataclass(frozen=True)
class Failed:
    """A proposal from which no change came: it is written down, and the next one is asked for."""

    title: str
    reason: str
    proposer: str
    repairs: str = ""


@dataclass(frozen=True)
class Done:
    """Nothing more is to be had from a proposer; what is in flight is finished."""

    reason: str


@dataclass(frozen=True)
class Paused:
    """Nothing is to be had now; the study can be resumed when what is said has been seen to."""

    reason: str


Proposal = Change | Failed | Done | Paused | None
"""What a proposer answers; None says that it has no more, in no particular words."""


class Proposer(Protocol):
    """Suggests changes, one at a time.

    A proposer keeps no memory of its own: what it has proposed stands in the state, so that a
    study killed anywhere goes on with the same next change.
    """

    @property
    def name(self) -> str:
        """The name in configuration and records."""

    def propose(self, ladder: Ladder, state: StudyState) -> Proposal:
        """Return the next change to try, or why there is none."""


def asked_before(state: StudyState, proposer: str) -> int:
    """Count what a proposer has proposed in a study, refused proposals included."""
    taken = sum(
        proposed.change.proposer == proposer and not proposed.rescreens
        for proposed in state.changes.values()
    )
    return taken + sum(refused.proposer == proposer for refused in state.refused)
