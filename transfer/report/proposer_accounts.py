"""What each model or agent cost, brought and expected of its changes, against what came."""

import math
import statistics
from dataclasses import dataclass

from transfer.journal.spending import Spending
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.units import compute_share

TARGET = "target"
CLEAR = 1.28
"""Standard errors from which an effect's sign is clear."""


@dataclass(frozen=True)
class ProposerCalibration:
    """Expectations on one rung, or at the target, against what was measured; nats of compute."""

    where: str
    n: int
    expected: float
    """Mean of what was expected."""
    came: float
    """Mean of what came: measured on a rung, as judged at the target."""
    error: float
    """Root of the mean squared difference."""
    n_clear: int
    """Effects whose sign is clear."""
    n_right: int
    """Of these, how many had the expected sign."""


def calibrations(
    ladder: Ladder, state: StudyState, proposer: str = ""
) -> list[ProposerCalibration]:
    """Score what was expected, by rung and at the target; of one proposer if named."""
    pairs: dict[str, list[tuple[float, float, float]]] = {}
    for arm, verdict in state.verdicts().items():
        change = state.changes[arm].change
        if proposer and change.proposer != proposer:
            continue
        came = {effect.rung: (effect.gain, effect.gain_se) for effect in verdict.effects}
        if verdict.gain_forecast is not None:
            came[TARGET] = (verdict.gain_forecast.mean, verdict.gain_forecast.sd)
        for where, percent in change.expected.items():
            if where in came and percent > -100:
                pairs.setdefault(where, []).append((math.log1p(percent / 100), *came[where]))
    names = [*(rung.name for rung in ladder.rungs), TARGET]
    return [_scored(name, pairs[name]) for name in names if name in pairs]


def _scored(where: str, pairs: list[tuple[float, float, float]]) -> ProposerCalibration:
    clear = [(hoped, came) for hoped, came, se in pairs if abs(came) > CLEAR * se]
    return ProposerCalibration(
        where=where,
        n=len(pairs),
        expected=statistics.fmean(hoped for hoped, _, _ in pairs),
        came=statistics.fmean(came for _, came, _ in pairs),
        error=math.sqrt(statistics.fmean((hoped - came) ** 2 for hoped, came, _ in pairs)),
        n_clear=len(clear),
        n_right=sum((hoped > 0) == (came > 0) for hoped, came in clear),
    )


def calibration_words(ladder: Ladder, state: StudyState, proposer: str = "") -> list[str]:
    """Say the score, one line a rung; empty where nothing was expected."""
    return [
        f"{one.where}: {compute_share(one.expected)} expected, "
        f"{compute_share(one.came)} came (mean of {one.n}); off by "
        f"{100 * one.error:.1f} points; sign right in {one.n_right} of {one.n_clear} that are clear"
        for one in calibrations(ladder, state, proposer)
    ]


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
