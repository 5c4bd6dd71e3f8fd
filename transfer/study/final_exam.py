"""The end of a study: its head is examined, questioned where it falls short, and examined again."""

from collections.abc import Callable

from miniscale.tree.patch import PatchRefused
from transfer.belief.exam_ratio import exam_of
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    BaselineSet,
    Dropped,
    Event,
    ExamRequested,
)
from transfer.journal.state import StudyState
from transfer.study.ablation import RUNS, answer, least_cost, question
from transfer.study.arm_trees import Checkouts, next_baseline
from transfer.study.schedule import FRESH, SEEDS_A_STUDY, Schedule

EXAM_SEEDS = ((4, 3, 2, 1), (2, 2, 1, 1), (1, 1, 1, 1))
"""Seeds of an exam by rung from the lowest; fewer where the highest rung would be out of reach."""
QUESTIONS = 100
"""Questions begin on seeds so far above those of exams; either goes on where none is used."""


class FinalExam:
    """Examines the head of one study, within the exams' share of its budget.

    Every question takes a change off the branch or is the last one, so it ends.
    """

    def __init__(
        self, schedule: Schedule, checkouts: Checkouts, *, record: Callable[[Event], None]
    ) -> None:
        self._ladder, self._state, self._plan = schedule.ladder, schedule.state, schedule.plan
        self._utility = schedule.policy.utility
        self._analysis = schedule.analysis
        self._checkouts = checkouts
        self._record = record

    def step(self) -> bool:
        """Take the next step; False when there is none. All that was asked for has ended."""
        state = self._state
        base = state.base
        exam = state.exams.get(base)
        if exam is not None:
            if exam.answer is not None:
                return self._carry_out(exam.answer)
            if exam.question is None:
                return self._question(base)
            verdicts = answer(self._analysis, exam.question, utility=self._utility)
            self._record(AblationConcluded(base, verdicts))
            return True
        return base != state.first_base and bool(state.changes.accepted) and self._ask()

    def _ask(self) -> bool:
        state = self._state
        seeds = self._seeds(self._room())
        if seeds:
            self._record(
                ExamRequested(state.base, seeds, tuple(state.changes.accepted), self._plan.trust)
            )
        return bool(seeds)

    def _questions(self) -> list[AblationRequested]:
        exams = self._state.exams.values()
        return [exam.question for exam in exams if exam.question is not None]

    def _room(self) -> float:
        """Return what exams may still take, in the ladder's unit."""
        most = self._plan.exam_share * self._plan.budget
        left = self._plan.budget - self._state.spent
        cost = {rung.name: rung.cost for rung in self._ladder.rungs}
        taken = sum(
            2 * len(seeds) * cost[rung]
            for exam in self._state.exams.values()
            for rung, seeds in exam.request.seeds.items()
        ) + sum((1 + len(one.parts)) * len(one.seeds) * cost[one.rung] for one in self._questions())
        return min(most - taken, left)

    def _seeds(self, room: float) -> dict[str, tuple[int, ...]]:
        """Return seeds by rung: up to the highest affordable rung, then as many as may be.

        Half of the room at most is left for a question on the lowest rung and an exam after it.
        """
        state, rungs = self._state, self._ladder.rungs
        again = least_cost(self._ladder, len(state.changes.accepted)) + 8 * rungs[0].cost
        room -= min(again, room / 2)
        fresh = fresh_seeds(state, self._plan.seed, place=8 * len(state.exams), n=EXAM_SEEDS[0][0])
        if not fresh:
            return {}
        for top in range(len(rungs), 0, -1):
            for counts in EXAM_SEEDS:
                n = [counts[min(place, 3)] for place in range(top)]
                cost = sum(2 * k * rung.cost for k, rung in zip(n, rungs, strict=False))
                if cost <= room:
                    return {rung.name: fresh[:k] for k, rung in zip(n, rungs, strict=False)}
        return {}

    # -- a short exam ----------------------------------------------------------------------

    def _question(self, base: str) -> bool:
        """Leave each change out in turn if the exam fell short and there is room."""
        self._analysis.refresh()
        exam = exam_of(self._analysis, base)
        place = QUESTIONS + 8 * len(self._questions())
        seeds = fresh_seeds(self._state, self._plan.seed, place=place, n=RUNS)
        if exam is None or not exam.is_fresh or not exam.is_doubtful or not seeds:
            return False
        asked = question(
            self._analysis, exam, room=self._room(), seeds=seeds, is_whole=self._is_whole
        )
        if asked is not None:
            self._record(asked)
        return asked is not None

    def _is_whole(self, part: str, members: tuple[str, ...]) -> bool:
        """Whether the changes apply without the one that is left out."""
        return not self._checkouts.stack(part, self._state.first_base, members).left_out

    def _carry_out(self, found: AblationConcluded) -> bool:
        """Take what failed off the branch: the rest is committed again, the baseline moves there.

        Each event is recorded by what the state lacks, so that a killed study goes on.
        """
        state = self._state
        if not found.verdicts:
            return False
        for verdict in found.verdicts:
            if state.changes[verdict.arm].verdict != verdict:
                self._record(verdict)
            if verdict.arm in state.changes.accepted:
                self._record(Dropped(verdict.arm, verdict.reasons[0]))
        for arm in [arm for arm, record in state.changes.accepted.items() if record.is_stale]:
            self._commit_again(arm)
        self._record(BaselineSet(next_baseline(state), state.head))
        return True

    def _commit_again(self, arm: str) -> None:
        state = self._state
        accepted = state.changes.accepted.values()
        done = [record.commit for record in accepted if not record.is_stale]
        parent = done[-1] if done else state.bases[state.first_base]
        try:
            commit = self._checkouts.commit(arm, parent=parent)
        except PatchRefused as error:
            self._record(Dropped(arm, f"does not apply without what was dropped: {error}"))
            return
        self._record(Accepted(arm, commit))


def fresh_seeds(state: StudyState, study_seed: int, *, place: int, n: int) -> tuple[int, ...]:
    """Return n seeds that nothing of a study ran on; none if too few of its thousand are left.

    Parameters
    ----------
    place
        Where they should begin, counted from the first seed kept for exams; if any of those is
        used, the next ones follow, and then those before.
    """
    used = {seed for seeds in state.trials.requests.values() for seed in seeds}
    first, end = study_seed * SEEDS_A_STUDY + FRESH, (study_seed + 1) * SEEDS_A_STUDY
    last = end - n + 1
    for start in (*range(first + place, last, 8), *range(first, min(first + place, last), 8)):
        if used.isdisjoint(range(start, start + n)):
            return tuple(range(start, start + n))
    return ()
