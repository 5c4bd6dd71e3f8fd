"""The schedule: what each change in flight needs next, as a pure function of the state."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from miniscale.setting.rung import Rung
from transfer.arm import read_arm
from transfer.events import Action, ForecastMade, Outcome, Proposed, StepChosen, VerdictReached
from transfer.journal.state import StudyState
from transfer.journal.trial_ledger import Trial
from transfer.ladder import Ladder
from transfer.measure.constraint_standing import limit_outcome
from transfer.measure.plausibility import suspicion, uncertain
from transfer.measure.study_effects import Analysis
from transfer.policy.protocol import (
    Decision,
    Evidence,
    Policy,
    Review,
    Reviewer,
    StudyView,
    reserve_of,
)
from transfer.study.policy_view import ViewBuilder
from transfer.study_plan import StudyPlan

SEEDS_A_STUDY = 1000
SALT = 500
"""A/A controls run on seeds that no baseline has."""
FRESH = 800
"""Exams run on seeds that nothing was chosen by."""


@dataclass(frozen=True)
class ScheduledStep:
    """What was decided for one change: an event, and a verdict or a forecast with it."""

    decided: StepChosen
    verdict: VerdictReached | None = None
    forecast: ForecastMade | None = None


class Schedule:
    """Decides for one change after another, each by all that stands in the state by then."""

    def __init__(
        self, ladder: Ladder, state: StudyState, *, policy: Policy, plan: StudyPlan
    ) -> None:
        self.ladder = ladder
        self.state = state
        self.policy = policy
        self.plan = plan
        self.analysis = Analysis(ladder, state)
        self._reserve = reserve_of(policy) * plan.budget
        self._views = ViewBuilder(self.analysis, plan)
        self._planned: dict[str, set[Trial]] = {}
        self._planned_at = -1

    def view(self) -> StudyView:
        """Return the study as a policy may see it now."""
        return self._views.view()

    def undecided(self) -> list[Proposed]:
        """Return the changes in flight that this batch has not dealt with."""
        return [proposed for proposed in self.state.in_flight() if not self._is_done(proposed)]

    def _is_done(self, proposed: Proposed) -> bool:
        latest = self.state.changes[proposed.arm].latest
        is_now = latest is not None and latest.batch == len(self.state.trials.batches)
        return is_now and latest is not None and asks(latest.action)

    def step(self, proposed: Proposed) -> ScheduledStep:
        """Decide for one change.

        A change whose trials do not fit into the budget any more is undecided, with their price;
        so is one whose baseline left no number.
        """
        evidence = self._views.evidence(proposed)
        stranded = self._stranded(proposed)
        again = None if stranded or evidence.failure else self._again(proposed)
        doubted = None if stranded or again or evidence.failure else self._doubted(proposed)
        decision = stranded or again or doubted or self.policy.decide(evidence)
        if not decision.is_verdict:
            decision = self._fitted(proposed, again or self._without_copies(evidence, decision))
        return self._written(proposed, evidence, decision, is_retry=again is not None)

    def review(self, reviewer: Reviewer) -> Review:
        """Return what a policy says of a round, its accepts as doubt and constraints allow them."""
        review = reviewer.review(self.view())
        verdicts = map(self._withheld, review.verdicts)
        if self.ladder.constraints:
            verdicts = map(self._allowed, verdicts)
        return replace(review, verdicts=tuple(verdicts))

    def _allowed(self, verdict: VerdictReached) -> VerdictReached:
        """Limit a member's verdict by its own standings, and by those of its open stacks."""
        record = self.state.changes[verdict.arm]
        standings = list(self.analysis.standings(record.proposed))
        for (base, members), arm in self.state.changes.stacks.items():
            if base == record.base and verdict.arm in members:
                stack = self.analysis.standings(self.state.changes[arm].proposed)
                standings += [replace(one, is_beyond=False) for one in stack]
        outcome, reasons = limit_outcome(verdict.outcome, verdict.reasons, standings)
        return replace(verdict, outcome=outcome, reasons=reasons)

    def _limited(self, proposed: Proposed, verdict: VerdictReached) -> VerdictReached:
        """Limit a verdict by the constraints, once doubt has had its say."""
        standings = self.analysis.standings(proposed)
        outcome, reasons = limit_outcome(verdict.outcome, verdict.reasons, standings)
        return replace(verdict, outcome=outcome, reasons=reasons)

    def _constrained(self, proposed: Proposed, decision: Decision) -> Decision:
        if decision.outcome is None or not self.ladder.constraints:
            return decision
        standings = self.analysis.standings(proposed)
        outcome, reasons = limit_outcome(decision.outcome, decision.reasons, standings)
        action = decision.action if outcome.is_accepted else Action.STOP
        return replace(decision, action=action, outcome=outcome, reasons=reasons)

    def _again(self, proposed: Proposed) -> Decision | None:
        """Ask for one more seed on a rung where a change diverged, the first time it does."""
        state = self.state
        for rung in self.ladder.rungs:
            key = (proposed.arm, rung.name)
            if key in state.trials.retried or not state.trials.n_spare(*key):
                continue
            seed = min(state.trials.diverged[key])
            reason = f"diverged on {rung.name}, seed {seed}: once more on a new seed"
            n = len(state.trials.requests[key])
            return Decision(Action.REPEAT, rung.name, (reason,), seeds=n)
        return None

    def _doubted(self, proposed: Proposed) -> Decision | None:
        """Stop a change whose numbers want a person's look before anything more is run."""
        why = suspicion(self.analysis, proposed)
        if not why:
            return None
        last = self.analysis.effects(proposed)[-1].rung
        return Decision(Action.STOP, last, (why,), outcome=Outcome.SUSPICIOUS)

    def _without_copies(self, evidence: Evidence, decision: Decision) -> Decision:
        """Ask for one run where all seeds give one number, and for no second one."""
        if decision.rung not in self.analysis.copied:
            return decision
        if any(effect.rung == decision.rung for effect in evidence.effects):
            return _undecided(decision, f"more runs at {decision.rung} are copies of the first", 0)
        return replace(decision, seeds=1)

    def _withheld(self, verdict: VerdictReached) -> VerdictReached:
        """Take back an accept of numbers in doubt, and a certificate that nothing shows."""
        if not verdict.outcome.is_accepted:
            return verdict
        why = suspicion(self.analysis, self.state.changes[verdict.arm].proposed)
        if why:
            return replace(verdict, outcome=Outcome.SUSPICIOUS, gain_forecast=None, reasons=(why,))
        short = uncertain(self.analysis, verdict)
        if not short or verdict.outcome is not Outcome.CERTIFIED:
            return verdict
        reasons = (*verdict.reasons[:-1], f"not certified: {short}")
        return replace(verdict, outcome=Outcome.PROVISIONAL, reasons=reasons)

    def room(self, *, is_stack: bool) -> float:
        """Return what may still be spent; single changes leave the reserve for stacks."""
        room = self.plan.budget - self.state.spent
        return (
            room if is_stack else room - max(self._reserve - self.state.outlay.closing.value, 0.0)
        )

    def _fitted(self, proposed: Proposed, decision: Decision) -> Decision:
        trials = self.new_trials(proposed, decision.rung, decision.seeds)
        if not trials:
            reason = f"{decision.seeds} runs on {decision.rung} were wanted, and are there"
            return _undecided(decision, reason, 0.0)
        planned = self._planned_now()
        cost = self._cost(trials - planned)
        room = self.room(is_stack=bool(proposed.change.members)) - self._cost(planned)
        if cost > room:
            return _undecided(decision, f"the budget ends before {decision.rung}", cost)
        return decision

    def _cost(self, trials: Iterable[Trial]) -> float:
        return math.fsum(self.ladder.rung(rung).cost for _, rung, _ in trials)

    def _planned_now(self) -> set[Trial]:
        """Return the trials that decisions of this batch ask for already."""
        now = len(self.state.trials.batches)
        if self._planned_at != now:
            self._planned, self._planned_at = {}, now
        for proposed in self.state.in_flight():
            latest = self.state.changes[proposed.arm].latest
            if latest is None or latest.batch != now or proposed.arm in self._planned:
                continue
            if asks(latest.action):
                trials = self.new_trials(proposed, latest.rung, latest.seeds)
                self._planned[proposed.arm] = trials
        return set().union(*self._planned.values())

    def new_trials(self, proposed: Proposed, rung: str, n: int) -> set[Trial]:
        """Return the trials that n runs of a change on a rung ask for the first time."""
        asked = wanted(self.ladder, self.state, proposed, self.ladder.rung(rung), n)
        requests = self.state.trials.requests
        return {trial for trial in asked if trial[2] not in requests.get(trial[:2], {})}

    def _stranded(self, proposed: Proposed) -> Decision | None:
        if proposed.base not in self.state.trials.broken:
            return None
        failure = self.analysis.failure(proposed.base)
        if failure is None:
            return None
        at = f"on {failure.rung}, seed {failure.seed}"
        reason = f"its baseline {proposed.base} ended {failure.state} {at}"
        return Decision(Action.STOP, failure.rung, (reason,), outcome=Outcome.UNDECIDED)

    def _written(
        self, proposed: Proposed, evidence: Evidence, decision: Decision, *, is_retry: bool
    ) -> ScheduledStep:
        allowed = self._constrained(proposed, decision)
        decided = StepChosen(
            arm=proposed.arm,
            batch=len(self.state.trials.batches),
            rung=decision.rung,
            action=allowed.action,
            effects=evidence.effects,
            gain_forecast=decision.gain_forecast,
            seeds=decision.seeds,
            reason="; ".join(allowed.reasons),
            is_retry=is_retry and not decision.is_verdict,
        )
        if decision.outcome is not None:
            verdict = VerdictReached(
                arm=proposed.arm,
                outcome=decision.outcome,
                effects=evidence.effects,
                gain_forecast=decision.gain_forecast,
                reasons=decision.reasons,
                price=decision.price,
                prior=decision.prior,
            )
            return ScheduledStep(decided, verdict=self._limited(proposed, self._withheld(verdict)))
        if decision.action is not Action.PROMOTE:
            return ScheduledStep(decided)
        foreseen = self.policy.foresee(evidence, decision.rung)
        if foreseen is None:
            return ScheduledStep(decided)
        interval = (foreseen.mean, foreseen.low, foreseen.high)
        return ScheduledStep(decided, forecast=ForecastMade(proposed.arm, decision.rung, *interval))


def asks(action: Action) -> bool:
    """Whether a decision asks for trials."""
    return action in (Action.PROMOTE, Action.REPEAT)


def _undecided(decision: Decision, reason: str, price: float) -> Decision:
    return replace(
        decision,
        action=Action.STOP,
        reasons=(*decision.reasons, reason),
        outcome=Outcome.UNDECIDED,
        price=price,
    )


def seeds_of(study_seed: int, n: int, *, salt: int = 0) -> list[int]:
    """Return the seeds of an arm's first n trials on a rung."""
    start = study_seed * SEEDS_A_STUDY + salt
    return list(range(start, start + n))


def _salt(proposed: Proposed) -> int:
    """Return what an A/A control's seeds are moved by: each of seventy has seeds of its own."""
    if not proposed.change.is_control:
        return 0
    return SALT + 4 * (read_arm(proposed.arm).number % 70)


def wanted(
    ladder: Ladder, state: StudyState, proposed: Proposed, rung: Rung, n: int
) -> list[Trial]:
    """Return all trials that n runs of a change on a rung need.

    The baseline runs on the same seeds, and the first one once on every rung, for the law. Where
    the study tops up, a baseline has as many seeds as the root of the number of changes measured
    against it: all of them share its error. An arm that diverged on a seed gets one more.
    """
    seed = state.started.seed if state.started is not None else 0
    salt = _salt(proposed)
    base = proposed.base
    if ladder.setting.deterministic:
        n = min(n, 1)
    n += state.trials.n_spare(proposed.arm, rung.name)
    asked = [(proposed.arm, rung.name, s) for s in seeds_of(seed, n, salt=salt)]
    shared = max(n, 1 if ladder.setting.deterministic else rung.baseline_seeds)
    if state.started is not None and state.started.tops_up and not ladder.setting.deterministic:
        there = state.trials.measured.get((base, rung.name), 0)
        there += (proposed.arm, rung.name) not in state.trials.requests
        shared = max(shared, math.isqrt(max(there - 1, 0)) + 1)
    shared += state.trials.n_spare(base, rung.name)
    asked += [(base, rung.name, s) for s in seeds_of(seed, shared)]
    if base == state.first_base:
        asked += [
            (base, other.name, s)
            for other in ladder.rungs
            for s in seeds_of(seed, 1 + state.trials.n_spare(base, other.name))
        ]
    return asked
