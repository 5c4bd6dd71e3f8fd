"""Policies: what to do next with a change, given what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from transfer.arm import FIRST_BASELINE
from transfer.belief.utility import Utility
from transfer.change import Change
from transfer.events import Action, Effect, GainForecast, Outcome, VerdictReached
from transfer.failure import Failure
from transfer.ladder import Ladder
from transfer.ladder_trust import Trust
from transfer.measure.noise import Noise


@dataclass(frozen=True)
class ChangeView:
    """One change or stack as it stands: what was measured of it, and what was concluded.

    A stack is a change with ``change.members``: arms measured together on one baseline.
    """

    arm: str
    base: str
    change: Change
    effects: tuple[Effect, ...]
    failure: Failure | None = None
    verdict: VerdictReached | None = None
    is_accepted: bool = False
    """Whether it is part of the head already."""
    deferred: str = ""
    """Why it waits for another baseline, empty if it does not: no stack takes it in now."""


@dataclass(frozen=True)
class StudyView:
    """The whole study as a policy may see it, between two batches; the truth is not in it.

    change views
        By arm, in the order proposed, of all rounds. A change with a verdict stands as it was
        judged; while its round is closing, what waits for that, and stacks, by all that is known.
    base
        The baseline of this round.
    spent, budget
        In the ladder's unit.
    spent_closing
        What of it went into stacks.
    noise
        Of a single run by rung, in the objective's unit (:class:`transfer.measure.effect.Noise`).
    slopes
        By rung, what a nat of compute is worth in the objective's unit.
    is_closing
        Whether the round is due to end: no more changes are taken in until it has.
    ladder
        The study's; a review needs its rungs, costs and target.
    trust
        What an audit found of the ladder, as the study began.
    copied
        Rungs on which no seed changes any number: a second run there is the first one again.
    scratch
        One for all views of a study: a policy may keep there, by a name of its own, what it
        computed once, but nothing that changes an answer.
    """

    change_views: Mapping[str, ChangeView] = field(default_factory=dict)
    base: str = FIRST_BASELINE
    spent: float = 0.0
    budget: float = 1.0
    noise: Mapping[str, Noise] = field(default_factory=dict)
    slopes: Mapping[str, float] = field(default_factory=dict)
    is_closing: bool = False
    ladder: Ladder | None = None
    spent_closing: float = 0.0
    trust: Trust = field(default_factory=Trust)
    copied: frozenset[str] = frozenset()
    scratch: dict[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Review:
    """What a policy wants at a round's end.

    stacks
        Sets of arms of this round to be measured together; a set that exists is not run again.
    verdicts
        Conclusions that replace earlier ones, made from the stacks.
    is_settled
        Whether the round may end: nothing more is to be measured for it.
    """

    stacks: tuple[tuple[str, ...], ...] = ()
    verdicts: tuple[VerdictReached, ...] = ()
    is_settled: bool = True


@dataclass(frozen=True)
class Evidence:
    """All that a policy may look at for one change; the truth is not in it.

    ``effects`` run from the lowest rung to the highest one measured. ``failure`` is the trial of
    the change that left no number, None if all did. ``view`` is the study around it.
    """

    ladder: Ladder
    change: Change
    effects: tuple[Effect, ...]
    failure: Failure | None = None
    arm: str = ""
    view: StudyView = field(default_factory=StudyView)


@dataclass(frozen=True)
class Decision:
    """The next step for a change.

    For ``REPEAT`` and ``PROMOTE``, ``rung`` and ``seeds`` (in all) say what to run; for ``STOP``
    and ``ACCEPT``, ``outcome`` is the verdict.
    """

    action: Action
    rung: str
    reasons: tuple[str, ...]
    gain_forecast: GainForecast | None = None
    seeds: int = 0
    outcome: Outcome | None = None
    price: float = 0.0
    prior: str = ""
    """Digest of the prior that the forecast rests on."""

    @property
    def is_verdict(self) -> bool:
        """Whether nothing more is run for the change."""
        return self.outcome is not None


class Policy(Protocol):
    """Decides for one change at a time; a pure function of the evidence.

    One that looks at a round as a whole is a :class:`Reviewer`.
    """

    @property
    def name(self) -> str:
        """The name in configuration and records."""

    @property
    def utility(self) -> Utility:
        """What accepting a change is worth; ablations judge by it too."""

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step."""

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Predict a change's gain on a rung before it is run; None without evidence."""


@runtime_checkable
class Reviewer(Policy, Protocol):
    """A policy that ends a round by measuring stacks; a pure function of the view.

    Where ``reserve`` is above 0, accepted changes wait for the end of their round; where it is 0,
    they are committed at once and nothing is reviewed.
    """

    @property
    def reserve(self) -> float:
        """Share of the budget that is kept from single changes for the stacks at the end."""

    def review(self, view: StudyView) -> Review:
        """Say what is to be measured together, and what was concluded from it."""


@runtime_checkable
class Expecting(Policy, Protocol):
    """A policy that plans for a number of changes."""

    def expecting(self, n_changes: int) -> Policy:
        """Return the policy that knows how many changes will come."""


def reserve_of(policy: Policy) -> float:
    """Return the share of the budget that a policy keeps for stacks; 0 if it has none."""
    return policy.reserve if isinstance(policy, Reviewer) else 0.0
