"""Verdicts computed again from a journal: equal ones prove that nothing else went into them."""

from collections.abc import Iterable

from transfer.events import AblationConcluded, Event, RoundReviewed, StepChosen, VerdictReached
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.policy.protocol import Policy, Reviewer
from transfer.study.ablation import answer
from transfer.study.schedule import Schedule
from transfer.study_plan import StudyPlan


def rejudge(
    ladder: Ladder, events: Iterable[Event], *, policy: Policy, plan: StudyPlan
) -> dict[str, VerdictReached]:
    """Take every decision of a journal again, from what was known just before it.

    With the study's own policy the verdicts equal the stored ones. Another policy may want trials
    that were never run; its changes without a verdict are absent then.

    Parameters
    ----------
    ladder, events, plan
        The study's.
    policy
        Its own, or another one.

    Returns
    -------
    dict
        Arm -> verdict.
    """
    state = StudyState()
    schedule = Schedule(ladder, state, policy=policy, plan=plan)
    found: dict[str, VerdictReached] = {}
    for event in events:
        if isinstance(event, StepChosen):
            verdict = schedule.step(state.changes[event.arm].proposed).verdict
            if verdict is not None:
                found[event.arm] = verdict
        elif isinstance(event, RoundReviewed) and isinstance(policy, Reviewer):
            found |= {verdict.arm: verdict for verdict in schedule.review(policy).verdicts}
        elif isinstance(event, AblationConcluded):
            question = state.exams[event.arm].question
            assert question is not None  # it is journaled before its answer
            verdicts = answer(schedule.analysis, question, utility=policy.utility)
            found |= {verdict.arm: verdict for verdict in verdicts}
        state.apply(event)
    return found
