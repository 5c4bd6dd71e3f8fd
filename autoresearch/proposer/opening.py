"""How a proposal begins: what is asked for, and the brief that says so."""

from autoresearch.brief import Asking, TooLong, brief
from autoresearch.proposer import Done, Paused
from autoresearch.proposer.desk import Desk, Record
from autoresearch.proposer.memory import crash_to_mend


class Stop(Exception):
    """No call can be made now; carries what the loop is told."""

    def __init__(self, proposal: Done | Paused) -> None:
        super().__init__(proposal.reason)
        self.proposal = proposal


def opened(
    desk: Desk,
    proposer: str,
    place: int,
    *,
    ideas_at_once: int,
    brief_tokens: int,
    program: str,
    edits: bool = True,
) -> Record:
    """Return a new record with its brief: a crash to mend, or ideas for the slots that are free.

    Raises
    ------
    Stop
        If the brief cannot be told in so many tokens.
    """
    state = desk.study.state
    mend = crash_to_mend(state, proposer)
    room = desk.study.plan.in_flight - len(state.in_flight())
    left = desk.limits.changes - state.n_changes
    ideas = 1 if mend else max(min(room, left, ideas_at_once), 1)
    asking = Asking(ideas, mend, program, proposer, edits)
    try:
        text = brief(desk, asking, budget=brief_tokens)
    except TooLong as error:
        raise Stop(Paused(f"{error}; raise agent.brief_tokens ({brief_tokens})")) from None
    return Record(proposer, place, state.base, ideas, text, mend)
