"""Steps that all proposers with a brief share: ideas at hand first, else a brief and a call."""

from collections.abc import Callable

from autoresearch.brief import Asking, TooLong, brief
from autoresearch.brief.history import crash_to_mend
from autoresearch.proposer.store import ProposalRecord, ProposalStore
from transfer.study.proposer_protocol import Done, Paused, Proposal, asked_before


class NoCallNow(Exception):
    """No call can be made now; carries what the loop is told."""

    def __init__(self, proposal: Done | Paused) -> None:
        super().__init__(proposal.reason)
        self.proposal = proposal


def next_entry(
    store: ProposalStore,
    proposer: str,
    *,
    work: Callable[[ProposalRecord], None],
    brief_tokens: int,
    program: str,
    ideas_at_once: int = 1,
    edits: bool = True,
) -> Proposal:
    """Return a proposer's next entry: from the record at hand, or from one that is begun now.

    Parameters
    ----------
    work
        Fills a record's entries, or raises :class:`NoCallNow`.
    """
    place = asked_before(store.study.state, proposer)
    record = store.find(proposer, place)
    try:
        if record is None:
            asking = _asking(store, proposer, ideas_at_once, program, edits)
            record = _opened(store, place, asking, brief_tokens)
        if record.entries is None:
            work(record)
    except NoCallNow as stop:
        return stop.proposal
    assert record.entries is not None
    return record.entries[place - record.place]


def _asking(store: ProposalStore, proposer: str, most: int, program: str, edits: bool) -> Asking:
    """Say what to ask for: a crash to mend, or ideas for the slots that are free."""
    state = store.study.state
    mend = crash_to_mend(state, proposer)
    room = store.study.plan.in_flight - len(state.in_flight())
    left = store.limits.changes - state.changes.n_fresh
    ideas = 1 if mend else max(min(room, left, most), 1)
    return Asking(ideas, mend, program, proposer, edits)


def _opened(store: ProposalStore, place: int, asking: Asking, brief_tokens: int) -> ProposalRecord:
    try:
        text = brief(store.request, asking, budget=brief_tokens)
    except TooLong as error:
        raise NoCallNow(Paused(f"{error}; raise agent.brief_tokens ({brief_tokens})")) from None
    base = store.study.state.base
    return ProposalRecord(asking.proposer, place, base, asking.ideas, text, asking.mend)
