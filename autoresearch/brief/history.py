"""What a study remembers for its proposers, read off the state: crashes, ruts, programs tried."""

from collections import Counter

from miniscale.setting.trial import Cause
from transfer.arm import read_arm
from transfer.events import Proposed
from transfer.journal.state import StudyState

MENDS = 2
"""assumption: times that a crash goes back to who proposed the change, and what came of it."""
RUT, RUT_SHARE = 6, 5
"""assumption: of a proposer's last six verdicts, five of one category mean that it is ground."""
PLATEAU = 10
"""assumption: verdicts in a row without an accept that are a plateau."""


def known_programs(state: StudyState) -> dict[str, str]:
    """Return what was tried: digest of a program -> its change and verdict in words."""
    tried = {}
    for program, arm in state.changes.programs.items():
        verdict = state.changes[arm].verdict
        ended = "in flight" if verdict is None else str(verdict.outcome)
        tried[program] = f"{arm} '{state.changes[arm].change.title}' ({ended})"
    return tried


def crash_to_mend(state: StudyState, proposer: str) -> str:
    """Return the oldest crashed change that should go back to its proposer; empty if none."""
    judged = state.changes.judged
    crashed = [arm for arm in state.trials.broken if arm in judged]
    open_arms = [arm for arm in crashed if not judged[arm].is_repaired]
    for arm in sorted(open_arms, key=read_arm):
        record = judged[arm]
        is_ours = record.change.proposer == proposer and record.base == state.base
        is_new = not record.proposed.rescreens and _depth(state, arm) < MENDS
        if is_ours and is_new and traceback(state, arm):
            return arm
    return ""


def traceback(state: StudyState, arm: str) -> str:
    """Return what a change's crashed trial left; empty if none crashed."""
    if arm not in state.trials.broken:
        return ""
    for rung in dict.fromkeys(rung for _, rung in state.trials.measured):
        for result in state.trials.losses(arm, rung).values():
            if result.cause in (Cause.CRASH, Cause.OOM):
                return result.reason
    return ""


def _depth(state: StudyState, arm: str) -> int:
    """Return how many crashed changes this one descends from."""
    depth = 0
    while arm in state.changes and state.changes[arm].change.repairs:
        arm = state.changes[arm].change.repairs
        depth += 1
    return depth


def _judged(state: StudyState, proposer: str, last: int) -> list[Proposed]:
    """Return a proposer's newest changes with a verdict, newest first."""
    newest = []
    for record in reversed(state.changes.values()):
        if record.change.proposer == proposer and record.verdict is not None:
            newest.append(record.proposed)
            if len(newest) == last:
                break
    return newest


def resting(state: StudyState, proposer: str) -> str:
    """Return the category that a proposer grinds without an accept; empty if none."""
    latest = _judged(state, proposer, RUT)
    if len(latest) < RUT or any(state.verdict(p.arm).outcome.is_accepted for p in latest):
        return ""
    category, n = Counter(p.change.category for p in latest).most_common(1)[0]
    return category if n >= RUT_SHARE else ""


def is_plateau(state: StudyState, proposer: str) -> bool:
    """Whether a proposer's latest changes brought nothing."""
    latest = _judged(state, proposer, PLATEAU)
    return len(latest) == PLATEAU and not any(
        state.verdict(proposed.arm).outcome.is_accepted for proposed in latest
    )
