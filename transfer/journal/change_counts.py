"""How many changes of a study stand where: the one place that counts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from transfer.journal.change_record import ChangeStatus
from transfer.journal.state import StudyState

NOT_COUNTED = (ChangeStatus.RESCREENED, ChangeStatus.STACK)
"""Arms that are no change of their own, or one that is counted under its newer arm."""


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
    found = Counter(record.status for record in state.changes.values())
    return Counts(
        n_tried=state.changes.n_fresh,
        n_rescreens=state.changes.n_rescreens,
        n_refused=len(state.refused),
        by_status={s: found[s] for s in ChangeStatus if found[s] and s not in NOT_COUNTED},
    )
