"""What each model or agent that was called cost, brought and foresaw; the state tells it all."""

from dataclasses import dataclass

from transfer.journal.spending import Spending
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.report.proposer_forecasts import ProposerCalibration, calibrations


@dataclass(frozen=True)
class Account:
    """One proposer's calls, and what became of what it proposed."""

    proposer: str
    spending: Spending
    n_changes: int
    n_refused: int
    """Proposals from which no change came."""
    n_accepted: int
    foresight: tuple[ProposerCalibration, ...]
    """What it expected against what came, by rung and at the target; empty if it said nothing."""


def accounts(ladder: Ladder, state: StudyState) -> list[Account]:
    """Return the accounts of all proposers whose calls stand in the journal; most have none."""
    return [_account(ladder, state, name) for name in state.spending]


def _account(ladder: Ladder, state: StudyState, proposer: str) -> Account:
    changes = [one for one in state.changes.values() if one.change.proposer == proposer]
    return Account(
        proposer,
        state.spending[proposer],
        n_changes=sum(not one.proposed.rescreens for one in changes),
        n_refused=sum(refused.proposer == proposer for refused in state.refused),
        n_accepted=sum(bool(one.commit) for one in changes),
        foresight=tuple(calibrations(ladder, state, proposer)),
    )
