"""How a round ends: accepted changes go onto the branch, and the baseline moves to its head.

A policy that reviews first measures what it accepted in stacks; every step is an event, and each
is taken by what stands in the state alone, so that a study killed between any two goes on.
"""

from collections.abc import Callable, Iterable

from miniscale.setting.trial import TrialSpec
from miniscale.tree.patch import PatchRefused
from transfer.arm import ArmKind, ArmName, read_arm
from transfer.events import (
    Accepted,
    BaselineSet,
    Deferred,
    Dropped,
    Event,
    Outcome,
    Proposed,
    Request,
    RoundClosed,
    RoundClosing,
    RoundReviewed,
    TrialsRequested,
)
from transfer.policy.protocol import Reviewer
from transfer.study.arm_trees import Checkouts, next_baseline, stack_of
from transfer.study.final_exam import FinalExam
from transfer.study.schedule import Schedule

REVIEWS = 40
"""Looks at one round, at most."""


class Rounds:
    """Ends the rounds of one study."""

    def __init__(
        self,
        schedule: Schedule,
        checkouts: Checkouts,
        *,
        record: Callable[[Event], None],
        spec: Callable[[str, str, int], TrialSpec],
    ) -> None:
        self._ladder, self._state, self._plan = schedule.ladder, schedule.state, schedule.plan
        self._schedule = schedule
        self._checkouts = checkouts
        self._record = record
        self._spec = spec
        self._exams = FinalExam(schedule, checkouts, record=record)
        self.reviewer: Reviewer | None = None
        policy = schedule.policy
        if isinstance(policy, Reviewer) and policy.reserve > 0:
            self.reviewer = policy

    def settle(self) -> None:
        """Go as far towards the round's end as the trials that ended allow."""
        self._retreat()
        if self.reviewer is None:
            self._accept_all()
            self._move_if_due()
        else:
            self._close(self.reviewer)
        self._claim()

    # -- without a review ------------------------------------------------------------------

    def _accept_all(self) -> None:
        for arm in list(self._state.changes.waiting):
            reason = self._conflict(self._state.changes[arm].proposed)
            if not reason:
                try:
                    commit = self._checkouts.commit(arm, parent=self._state.head)
                    self._record(Accepted(arm, commit))
                    continue
                except PatchRefused as error:
                    reason = str(error)
            self._record(Deferred(arm, reason))

    def _conflict(self, proposed: Proposed) -> str:
        """Say why an accepted change must first be measured on a newer baseline."""
        state = self._state
        if proposed.base != state.base:
            return f"was measured against {proposed.base}, the baseline is {state.base} now"
        for arm in state.round.taken:
            shared = sorted(state.changes[arm].change.knobs.keys() & proposed.change.knobs.keys())
            if shared:
                return f"sets the knob {shared[0]} as accepted {arm} does"
        return ""

    def _move_if_due(self) -> None:
        state, rule = self._state, self._plan.round
        share = len(state.bases) * rule.budget_share * self._plan.budget
        is_due = (
            len(state.round.taken) >= rule.accepts
            or state.round.on_base.get(state.base, 0) >= rule.changes
            or state.outlay.by_trials >= share
        )
        if is_due:
            self._move()

    def _move(self) -> None:
        if self._state.round.taken:
            self._record(BaselineSet(next_baseline(self._state), self._state.head))

    # -- with a review ---------------------------------------------------------------------

    def _due(self) -> str:
        """Say why the round is due to end; empty if it is not."""
        state, rule = self._state, self._plan.round
        if len(state.changes.waiting) >= rule.accepts:
            return f"{len(state.changes.waiting)} changes are accepted"
        if state.round.n_since >= rule.changes:
            return f"{state.round.n_since} changes were tried"
        share = (state.round.n_closed + 1) * rule.budget_share
        if state.round.n_since and state.outlay.by_trials >= share * self._plan.budget:
            return f"{share:.0%} of the budget is spent"
        return ""

    def _close(self, reviewer: Reviewer) -> None:
        state = self._state
        if not state.round.closing:
            reason = self._due()
            if not reason:
                return
            self._record(RoundClosing(reason))
        self._carry_out()
        while not state.in_flight():
            if state.round.review is not None and state.round.review.is_settled:
                self._accept_all()
                self._move()
                self._record(RoundClosed(state.round.n_closed + 1))
                return
            self._look(reviewer)
            self._carry_out()

    def _look(self, reviewer: Reviewer) -> None:
        """Let the policy review the round; it is settled when nothing new is to be measured."""
        review = self._schedule.review(reviewer)
        wanted = dict.fromkeys(self._members(stack) for stack in review.stacks)
        new = tuple(stack for stack in wanted if stack and not self._is_known(stack))
        if self._state.round.n_reviews >= REVIEWS:
            new = ()
        self._record(RoundReviewed(new, review.verdicts, not new))

    def _members(self, arms: Iterable[str]) -> tuple[str, ...]:
        """Return those of a stack that can be in one now, in the order they were proposed."""
        state = self._state
        fit = {
            arm: state.changes[arm]
            for arm in arms
            if state.changes[arm].base == state.base and arm not in state.changes.deferred
        }
        changes = [arm for arm, one in fit.items() if not one.change.is_control]
        return tuple(sorted(changes, key=read_arm))

    def _is_known(self, members: tuple[str, ...]) -> bool:
        return (self._state.base, members) in self._state.changes.stacks

    def _carry_out(self) -> None:
        """Record the verdicts of the last review and propose its stacks, those left to do."""
        state = self._state
        if state.round.review is None:
            return
        for verdict in state.round.review.verdicts:
            if state.changes[verdict.arm].verdict != verdict:
                self._record(verdict)
        for stack in state.round.review.stacks:
            self._propose(self._members(stack))

    def _propose(self, members: tuple[str, ...]) -> None:
        """Take a stack in; members that do not apply on those before them wait."""
        arm, base = (
            str(ArmName(ArmKind.STACK, len(self._state.changes.stacks) + 1)),
            self._state.base,
        )
        if not members or self._is_known(members):
            return
        left_out = self._checkouts.stack(arm, base, members).left_out
        for member, reason in left_out.items():
            self._record(Deferred(member, f"does not go with {arm}: {reason}"))
        members = self._members(members)
        if members and not self._is_known(members):
            self._record(Proposed(arm, base, stack_of(self._state, members)))

    # -- after it --------------------------------------------------------------------------

    def again(self) -> list[Proposed]:
        """Return deferred changes that can be measured on a newer baseline now."""
        state = self._state
        return [
            record.proposed
            for record in state.changes.deferred.values()
            if not record.rescreened_by and record.base != state.base
        ]

    def _retreat(self) -> None:
        """Give up a head that left no number: back to the baseline before it."""
        state = self._state
        failure = self._schedule.analysis.failure(state.base) if state.bases else None
        if failure is None or state.base == state.first_base:
            return
        reason = f"{state.base} ended {failure.state} on {failure.rung}, seed {failure.seed}"
        stuck, previous = state.base, list(state.bases)[-2]
        for arm, record in list(state.changes.accepted.items()):
            if record.base in (previous, stuck):
                self._record(Dropped(arm, reason))
        for arm, verdict in state.verdicts().items():
            is_open = verdict.outcome is Outcome.UNDECIDED or verdict.outcome.is_accepted
            record = state.changes[arm]
            is_ours = record.base == stuck and not record.change.members
            if is_ours and is_open and not record.deferred:
                self._record(Deferred(arm, reason))
        self._record(BaselineSet(next_baseline(state), state.bases[previous]))

    def _claim(self) -> None:
        """Take over trials of a new baseline that were run already as a stack of equal content."""
        state = self._state
        base, first = state.base, state.first_base
        if base == first or any(
            (base, rung.name) in state.trials.requests for rung in self._ladder.rungs
        ):
            return
        found = []
        for rung in self._ladder.rungs:
            for seed in sorted(state.trials.requests.get((first, rung.name), ())):
                identity = self._spec(base, rung.name, seed).identity
                if identity in state.trials.results:
                    found.append(Request(base, rung.name, seed, identity))
        if found:
            self._record(TrialsRequested(len(state.trials.batches), tuple(found)))

    # -- at the end ------------------------------------------------------------------------

    def wind_up(self) -> bool:
        """Take the next step towards the study's end; False when there is none."""
        state = self._state
        is_open = state.round.closing or state.round.n_since or state.changes.waiting
        if self.reviewer is not None and is_open:
            if not state.round.closing:
                self._record(RoundClosing("the study ends"))
            return True
        return self._examine()

    def _examine(self) -> bool:
        """Ask for a comparison of the head with the first baseline, or go on with one."""
        if not self._plan.exam_share:
            return False
        if self._state.changes.accepted:
            self._move()
        return self._exams.step()
