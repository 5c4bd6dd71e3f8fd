"""Verdicts computed again from a journal: equal ones prove that nothing else went into them."""

from collections.abc import Iterable

from transfer.climb import steps
from transfer.events import Decided, Event, Judged
from transfer.ladder import Ladder
from transfer.policy import Policy
from transfer.state import State


def rejudge(
    ladder: Ladder, events: Iterable[Event], *, policy: Policy, budget: float
) -> dict[str, Judged]:
    """Take every decision of a journal again, from what was known just before it.

    With the study's own policy the verdicts equal the stored ones. Another policy may want trials
    that were never run; its changes without a verdict are absent then.

    Parameters
    ----------
    budget
        The study's, in the ladder's unit.

    Returns
    -------
    dict
        Arm -> verdict.
    """
    state = State()
    found: dict[str, Judged] = {}
    for event in events:
        if isinstance(event, Decided):
            for step in steps(ladder, state, policy, budget=budget):
                if step.verdict is not None and step.verdict.arm == event.arm:
                    found[event.arm] = step.verdict
        state.apply(event)
    return found
