"""Policies: what to do next with a change, given what is known of it."""

from dataclasses import dataclass
from typing import Protocol

from transfer.change import Change
from transfer.events import Action, Effect, Outcome, Outlook
from transfer.ladder import Ladder


@dataclass(frozen=True)
class Evidence:
    """All that a policy may look at for one change; the truth is not in it.

    ``effects`` run from the lowest rung to the highest one measured. ``failure`` says why a trial
    of the change left no number, empty if all did.
    """

    ladder: Ladder
    change: Change
    effects: tuple[Effect, ...]
    failure: str = ""


@dataclass(frozen=True)
class Decision:
    """The next step for a change.

    For ``REPEAT`` and ``PROMOTE``, ``rung`` and ``seeds`` (in all) say what to run; for ``STOP``
    and ``ACCEPT``, ``outcome`` is the verdict.
    """

    action: Action
    rung: str
    reasons: tuple[str, ...]
    outlook: Outlook | None = None
    seeds: int = 0
    outcome: Outcome | None = None
    price: float = 0.0

    @property
    def is_verdict(self) -> bool:
        """Whether nothing more is run for the change."""
        return self.outcome is not None


class Policy(Protocol):
    """Decides for one change at a time; a pure function of the evidence."""

    @property
    def name(self) -> str:
        """The name in configuration and records."""

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step."""

    def foresee(self, evidence: Evidence, rung: str) -> Outlook | None:
        """Predict a change's gain on a rung before it is run; None without evidence."""
