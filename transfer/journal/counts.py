"""Where each change of a study stands, and how many stand where: the one place that counts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from transfer.events import Outcome
from transfer.journal.state import StudyState


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
    Outcome.REJECTED: ChangeStatus.REJECTED,
}
NOT_COUNTED = (ChangeStatus.RESCREENED, ChangeStatus.STACK)
"""Arms that are no change of their own, or one that is counted under its newer arm."""


def status_of(state: StudyState, arm: str) -> ChangeStatus:
    """Return where a change stands."""
    change, verdict = state.changes[arm].change, state.verdicts.get(arm)
    if change.members:
        return ChangeStatus.STACK
    if arm in state.rescreened:
        return ChangeStatus.RESCREENED
    if arm in state.dropped and arm not in state.accepted:
        return ChangeStatus.TAKEN_BACK
    if verdict is None:
        return ChangeStatus.IN_FLIGHT
    if arm not in state.accepted:
        if arm in state.deferred:
            return ChangeStatus.DEFERRED
        if arm in state.waiting:
            return ChangeStatus.WAITING
        if verdict.outcome.is_accepted:
            return ChangeStatus.PASSED_CONTROL
    if verdict.outcome is Outcome.REJECTED and arm in state.broken:
        return ChangeStatus.CRASHED
    return _BY_OUTCOME[verdict.outcome]


@dataclass(frozen=True)
class Counts:
    """How a study's changes fared; every page, line and table prints these numbers."""

    n_tried: int
    """Fresh ideas that became a change; A/A controls among them, re-screens and stacks not."""
    n_rescreens: int
    """Changes measured again on a newer baseline."""
    n_refused: int
    """Proposals that never became a change."""
    by_status: Mapping[ChangeStatus, int]
    """Status -> changes, each counted once by its newest arm; they add up to ``n_tried``."""

    @property
    def n_accepted(self) -> int:
        """How many changes are on the study's branch."""
        return self[ChangeStatus.CERTIFIED] + self[ChangeStatus.PROVISIONAL]

    def __getitem__(self, status: ChangeStatus) -> int:
        return self.by_status.get(status, 0)

    @property
    def words(self) -> str:
        """Say what became of the changes: ``2 accepted, certified · 5 rejected``."""
        return " · ".join(f"{n} {status}" for status, n in self.by_status.items())

    @property
    def branch_words(self) -> str:
        """Say what is on the branch and what was taken off it: ``3 accepted, 1 taken back``."""
        taken_back = self[ChangeStatus.TAKEN_BACK]
        return f"{self.n_accepted} accepted" + (f", {taken_back} taken back" if taken_back else "")

    @property
    def rescreen_words(self) -> str:
        """Say how many changes were measured again; empty if none."""
        return f"{self.n_rescreens} measured again" if self.n_rescreens else ""


def count_changes(state: StudyState) -> Counts:
    """Count a study's changes by where they stand."""
    found = Counter(status_of(state, arm) for arm in state.changes)
    return Counts(
        n_tried=state.n_changes,
        n_rescreens=len(state.rescreened),
        n_refused=len(state.refused),
        by_status={s: found[s] for s in ChangeStatus if found[s] and s not in NOT_COUNTED},
    )
