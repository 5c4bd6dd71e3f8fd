"""What is known of each change of a study, and where it stands: one record a change."""

from collections.abc import Set
from dataclasses import dataclass, field
from enum import StrEnum

from transfer.change import Change
from transfer.events import Outcome, Proposed, StepChosen, VerdictReached


class ChangeStatus(StrEnum):
    """Where a change stands, by its verdict and by what became of it since."""

    CERTIFIED = "accepted, certified"
    PROVISIONAL = "accepted, provisional"
    WAITING = "waits for its round"
    """Accepted by verdict; it goes onto the branch when its round ends."""
    DEFERRED = "waits for a baseline"
    """Accepted by verdict; it is to be measured again when the baseline has moved."""
    TAKEN_BACK = "taken back"
    """Was on the branch and is not any more, whatever its last verdict says."""
    PASSED_CONTROL = "null change passed"
    SUSPICIOUS = "suspicious"
    """Not to be believed until a person confirms it."""
    SCALE_BOUND = "scale-bound"
    UNDECIDED = "undecided"
    IN_FLIGHT = "in flight"
    REJECTED = "rejected"
    CRASHED = "crashed"
    RESCREENED = "measured again"
    """Another arm repeats it on a newer baseline; that one's status is the change's."""
    STACK = "stack"
    """Not a change of its own: accepted ones measured together."""


_BY_OUTCOME = {
    Outcome.CERTIFIED: ChangeStatus.CERTIFIED,
    Outcome.PROVISIONAL: ChangeStatus.PROVISIONAL,
    Outcome.SCALE_BOUND: ChangeStatus.SCALE_BOUND,
    Outcome.UNDECIDED: ChangeStatus.UNDECIDED,
    Outcome.SUSPICIOUS: ChangeStatus.SUSPICIOUS,
    Outcome.REJECTED: ChangeStatus.REJECTED,
}


@dataclass(slots=True)
class ChangeRecord:
    """All that the journal says of one change, or of one stack."""

    proposed: Proposed
    broken: Set[str]
    """Arms of the study with a trial that left no number, as its trials have them."""
    verdict: VerdictReached | None = None
    """Its newest verdict."""
    latest: StepChosen | None = None
    """Its newest step, while it is in flight."""
    commit: str = ""
    """Where it is on the study's branch; empty while it is not on it."""
    deferred: str = ""
    """Why it waits for a newer baseline though accepted; empty if it never had to."""
    dropped: str = ""
    """Why it was taken off the branch; empty if it never was."""
    rescreened_by: str = ""
    """The arm that repeats it on a newer baseline."""
    is_confirmed: bool = False
    """Whether a person vouched for its numbers, or for those of the change that it repeats."""
    is_begun: bool = False
    """Whether a trial was asked for."""
    is_repaired: bool = False
    """Whether it crashed and went back to its proposer."""
    is_stale: bool = False
    """Whether it is to be committed again, since others were taken from under its commit."""

    @property
    def change(self) -> Change:
        """What was proposed."""
        return self.proposed.change

    @property
    def base(self) -> str:
        """The baseline arm that it is measured against."""
        return self.proposed.base

    @property
    def is_waiting(self) -> bool:
        """Whether it is accepted by verdict and was neither put on the branch nor set aside."""
        is_set_aside = bool(self.commit or self.deferred or self.dropped)
        return self._is_passed and not (
            is_set_aside or self.change.is_control or self.change.members
        )

    @property
    def _is_passed(self) -> bool:
        return self.verdict is not None and self.verdict.outcome.is_accepted

    @property
    def status(self) -> ChangeStatus:
        """Where it stands."""
        if self.change.members:
            return ChangeStatus.STACK
        if self.rescreened_by:
            return ChangeStatus.RESCREENED
        if self.dropped and not self.commit:
            return ChangeStatus.TAKEN_BACK
        if self.verdict is None:
            return ChangeStatus.IN_FLIGHT
        if not self.commit and (self.deferred or self._is_passed):
            if self.deferred:
                return ChangeStatus.DEFERRED
            return ChangeStatus.WAITING if self.is_waiting else ChangeStatus.PASSED_CONTROL
        if self.verdict.outcome is Outcome.REJECTED and self.proposed.arm in self.broken:
            return ChangeStatus.CRASHED
        return _BY_OUTCOME[self.verdict.outcome]


Records = dict[str, ChangeRecord]
"""Arm -> record."""


@dataclass(eq=False, repr=False)
class ChangeLedger(Records):
    """Arm -> record of everything measured against a baseline, stacks among it, as proposed.

    The views below hold the same records; each is in the order in which arms came to stand there.
    """

    in_flight: Records = field(default_factory=dict)
    judged: Records = field(default_factory=dict)
    waiting: Records = field(default_factory=dict)
    """Accepted by verdict, neither on the branch nor deferred."""
    accepted: Records = field(default_factory=dict)
    """On the study's branch."""
    deferred: Records = field(default_factory=dict)
    dropped: Records = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    """Arms as their standing changed, so that a reader can catch up."""
    stacks: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    """(baseline, members) -> the arm that puts them together."""
    programs: dict[str, str] = field(default_factory=dict)
    """Digest of a program -> the first change that had it."""
    broken: Set[str] = frozenset()
    """The trials' own set, for what is said of a record."""
    n_rescreens: int = 0
    """Changes measured again on a newer baseline."""

    @property
    def n_fresh(self) -> int:
        """How many ideas were taken in: no stacks, no change measured again."""
        return len(self) - len(self.stacks) - self.n_rescreens

    def enter(self, proposed: Proposed) -> None:
        """Open the record of a change that entered the study."""
        arm, change = proposed.arm, proposed.change
        self[arm] = ChangeRecord(proposed, self.broken)
        self.place(arm)
        if proposed.program and not change.members:
            self.programs.setdefault(proposed.program, arm)
        if proposed.rescreens:
            self[proposed.rescreens].rescreened_by = arm
            self[arm].is_confirmed = self[proposed.rescreens].is_confirmed
            self.n_rescreens += 1
        if change.members:
            self.stacks[proposed.base, change.members] = arm
        self.repair(change.repairs)

    def confirm(self, arm: str) -> None:
        """Note that a person vouched for a change; a suspicious one is to be judged again."""
        record = self[arm]
        record.is_confirmed = True
        if record.verdict is not None and record.verdict.outcome is Outcome.SUSPICIOUS:
            record.verdict, record.latest = None, None
            self.place(arm)

    def repair(self, arm: str) -> None:
        """Note that a crashed change went back to its proposer."""
        if arm in self:
            self[arm].is_repaired = True

    def place(self, arm: str) -> None:
        """Put a record that changed where it stands now."""
        record = self[arm]
        self.moves.append(arm)
        for view, is_there in (
            (self.in_flight, record.verdict is None),
            (self.judged, record.verdict is not None),
            (self.waiting, record.is_waiting),
            (self.accepted, bool(record.commit)),
            (self.deferred, bool(record.deferred)),
            (self.dropped, bool(record.dropped)),
        ):
            if is_there:
                view[arm] = record
            else:
                view.pop(arm, None)
