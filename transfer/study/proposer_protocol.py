"""The interface of every proposer: it says what to try and why; the loop and verdict are ours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transfer.change import Change
from transfer.events import Refused
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.study.limits import Limits
from transfer.study.study import Study


@dataclass(frozen=True)
class Done:
    """Nothing more is to be had from a proposer; what is in flight is finished."""

    reason: str


@dataclass(frozen=True)
class Paused:
    """Nothing is to be had now; the study can be resumed when what is said has been seen to."""

    reason: str


Proposal = Change | Refused | Done | Paused | None
"""What a proposer answers; None says that it has no more, in no particular words.

A proposal from which no change came is refused with its reason, and the next one is asked for.
"""


def _ignore(text: str) -> None:
    del text


@dataclass(frozen=True)
class Session:
    """What surrounds a study while it runs; the defaults are those of a study in memory."""

    folder: Path = Path("nowhere")
    """The study's folder."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    """Waits some seconds; raises :class:`transfer.study.loop.Interrupted` if asked to stop."""
    say: Callable[[str], None] = _ignore
    """Takes a remark by the way."""
    warn: Callable[[str], None] = _ignore
    """Takes what a person should see to."""
    is_interrupted: Callable[[], bool] = bool


@dataclass(frozen=True)
class ProposalRequest:
    """What a proposer is asked with: the study as it stands, and what may be spent and used."""

    study: Study
    limits: Limits
    session: Session

    @property
    def ladder(self) -> Ladder:
        """What changes are measured on."""
        return self.study.ladder

    @property
    def state(self) -> StudyState:
        """All that has happened."""
        return self.study.state


class Proposer(Protocol):
    """Suggests changes, one at a time.

    A proposer keeps no memory of its own: what it has proposed stands in the state, so that a
    study killed anywhere goes on with the same next change.
    """

    @property
    def name(self) -> str:
        """The name in configuration and records."""

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return the next change to try, or why there is none."""


def asked_before(state: StudyState, proposer: str) -> int:
    """Count what a proposer has proposed in a study, refused proposals included."""
    taken = sum(
        record.change.proposer == proposer and not record.proposed.rescreens
        for record in state.changes.values()
    )
    return taken + sum(refused.proposer == proposer for refused in state.refused)
