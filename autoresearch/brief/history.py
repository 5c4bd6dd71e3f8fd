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
    found = {}
    for program, arm in state.programs.items():
        verdict = state.verdicts.get(arm)
        ended = "in flight" if verdict is None else str(verdict.outcome)
        found[program] = f"{arm} '{state.changes[arm].change.title}' ({ended})"
    return found


def crash_to_mend(state: StudyState, proposer: str) -> str:
    """Return the oldest crashed change that should go back to its proposer; empty if none."""
    judged = [arm for arm in state.broken if arm in state.verdicts and arm in state.changes]
    open_arms = [arm for arm in judged if arm not in state.repaired]
    for arm in sorted(open_arms, key=read_arm):
        proposed = state.changes[arm]
        is_ours = proposed.change.proposer == proposer and proposed.base == state.base
        is_new = not proposed.rescreens and _depth(state, arm) < MENDS
        if is_ours and is_new and traceback(state, arm):
            return arm
    return ""


def traceback(state: StudyState, arm: str) -> str:
    """Return what a change's crashed trial left; empty if none crashed."""
    if arm not in state.broken:
        return ""
    for rung in dict.fromkeys(rung for _, rung in state.measured):
        for result in state.losses(arm, rung).values():
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
    found = []
    for arm in reversed(state.changes):
        proposed = state.changes[arm]
        if proposed.change.proposer == proposer and arm in state.verdicts:
            found.append(proposed)
            if len(found) == last:
                break
    return found


def resting(state: StudyState, proposer: str) -> str:
    """Return the category that a proposer grinds without an accept; empty if none."""
    latest = _judged(state, proposer, RUT)
    if len(latest) < RUT or any(state.verdicts[p.arm].outcome.is_accepted for p in latest):
        return ""
    category, n = Counter(p.change.category for p in latest).most_common(1)[0]
    return category if n >= RUT_SHARE else ""


def is_plateau(state: StudyState, proposer: str) -> bool:
    """Whether a proposer's latest changes brought nothing."""
    latest = _judged(state, proposer, PLATEAU)
    return len(latest) == PLATEAU and not any(
        state.verdicts[proposed.arm].outcome.is_accepted for proposed in latest
    )
