"""The default policy: atoms for belief, value of information for spending, stacks for proof."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from miniscale.setting.setting import Kind
from transfer.belief.posterior import Belief
from transfer.belief.prior import Prior
from transfer.events import Action, GainForecast, Outcome
from transfer.failure import Failure, describe_failure
from transfer.ladder import Ladder
from transfer.policy.protocol import Decision, Evidence, Review, StudyView
from transfer.policy.voi.cache import Memory
from transfer.policy.voi.context import PolicyContext, VoiRules
from transfer.policy.voi.knobs import KnobTrend, rule
from transfer.policy.voi.reasons import beyond, likeness, measured, percent, settle
from transfer.policy.voi.review import close
from transfer.policy.voi.stacks import decide_stack, worth_of
from transfer.policy.voi.value import Prospects, RungOption, RunPlan, plans, settling
from transfer.trust import Trust

WON_BELOW = 0.9
"""Odds of a gain on the lowest rung from which a change that fails at the target is scale-bound."""


@dataclass(frozen=True)
class AtomsPolicy:
    """Spend where information is worth most, accept by expected utility at the target.

    The next runs are those of the plan with the largest value of information less the price of
    compute; with none above what stopping is worth the change stops. The head takes what has
    positive utility with harm counted 1.5 times; :meth:`review` measures what it took as a stack
    up to the highest rung, leaves each member out in turn, and certifies what stands.

    rules
        How it searches and accepts.
    trust
        What an audit found of the ladder.
    prior
        What is believed of effects; learned ones come from earlier studies.
    """

    rules: VoiRules = field(default_factory=VoiRules)
    trust: Trust = field(default_factory=Trust)
    prior: Prior = field(default_factory=Prior)
    name: str = "atoms"

    @property
    def reserve(self) -> float:
        """Share of the budget kept for closing rounds."""
        return self.rules.reserve

    @cached_property
    def _memory(self) -> Memory:
        return Memory()

    @cached_property
    def _latest(self) -> list[PolicyContext]:
        return []

    def read(self, view: StudyView, ladder: Ladder) -> PolicyContext:
        """Return a view's reading; the last one is kept."""
        latest = self._latest
        if not latest or latest[0].view is not view or latest[0].ladder is not ladder:
            latest[:] = [
                PolicyContext(
                    view,
                    ladder,
                    rules=self.rules,
                    trust=self.trust,
                    prior=self.prior,
                    memory=self._memory,
                )
            ]
        return latest[0]

    # -- one change -------------------------------------------------------------------------

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Predict the gain on a rung before it is run."""
        if not evidence.effects or evidence.change.members:
            return None
        study = self.read(evidence.view, evidence.ladder)
        position = evidence.ladder.position(evidence.ladder.rung(rung).scale)
        return self._belief(study, evidence).gain_forecast(position)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change or a stack, with the prior that it rests on."""
        study = self.read(evidence.view, evidence.ladder)
        return replace(self._decided(study, evidence), prior=study.prior_digest)

    def _decided(self, study: PolicyContext, evidence: Evidence) -> Decision:
        if evidence.change.members:
            return decide_stack(study, evidence)
        rungs = evidence.ladder.rungs
        if evidence.failure is not None:
            return self._failed(study, evidence, evidence.failure)
        if not evidence.effects:
            seeds = self.rules.first_seeds
            return Decision(Action.PROMOTE, rungs[0].name, ("new",), seeds=seeds)
        belief = self._belief(study, evidence)
        everything = study.steps(evidence.effects)
        steps = study.affordable(everything, study.room)
        if not steps or max(e.position for e in evidence.effects) > steps[-1].position:
            steps = everything[: self._top(evidence) + 1]
        prospects = study.prospects(belief, steps)
        plan = self._plan(study, prospects, steps)
        if plan is not None:
            return self._run(study, evidence, belief, steps, plan)
        return self._stop(study, evidence, belief, everything)

    def _belief(self, study: PolicyContext, evidence: Evidence) -> Belief:
        change_view = evidence.view.change_views.get(evidence.arm)
        base = change_view.base if change_view is not None else ""
        return study.belief(evidence.arm, evidence.change, evidence.effects, base=base)

    @staticmethod
    def _top(evidence: Evidence) -> int:
        return max(evidence.ladder.index(effect.rung) for effect in evidence.effects)

    def _plan(
        self, study: PolicyContext, prospects: Prospects, steps: Sequence[RungOption]
    ) -> RunPlan | None:
        """Return the plan worth more than stopping; None if there is none."""
        stopping = max(prospects.mean, 0.0)
        cheapest = min(step.cost for step in steps)
        if prospects.ceiling() - study.price * cheapest <= stopping:
            return None
        room = study.room / study.unit
        found = [
            plan
            for plan in plans(prospects, steps, replicates=self.rules.replicates)
            if plan.legs[0][1] * steps[plan.legs[0][0]].cost <= room
        ]
        best = max(found, key=lambda plan: plan.net(study.price), default=None)
        if best is None or best.net(study.price) <= stopping:
            return None
        return best

    def _run(
        self,
        study: PolicyContext,
        evidence: Evidence,
        belief: Belief,
        steps: Sequence[RungOption],
        plan: RunPlan,
    ) -> Decision:
        place, more = plan.legs[0]
        step = steps[place]
        look = belief.gain_forecast(study.target)
        action = Action.REPEAT if step.n else Action.PROMOTE
        gain, cost = percent(plan.value), study.price * plan.cost
        reasons = (
            measured(evidence.effects),
            likeness(evidence.change, look, beyond(evidence.ladder, evidence.effects)),
            f"{more} run{'s' if more > 1 else ''} at {step.name} promise {gain} against a price "
            f"of {percent(cost)}",
        )
        return Decision(action, step.name, reasons, look, seeds=step.n + more)

    def _stop(
        self,
        study: PolicyContext,
        evidence: Evidence,
        belief: Belief,
        steps: Sequence[RungOption],
    ) -> Decision:
        look = belief.gain_forecast(study.target)
        worth = worth_of(study, belief.at(study.target))
        last = evidence.ladder.rungs[self._top(evidence)]
        said = (
            measured(evidence.effects),
            likeness(evidence.change, look, beyond(evidence.ladder, evidence.effects)),
        )
        if worth > 0 and look.odds > self.rules.odds:
            return self._accept(study, evidence, look, said, steps)
        if worth > 0:
            plan = settling(study.prospects(belief, steps), steps)
            price = 0.0 if plan is None else plan.cost * study.unit
            hint = settle(evidence.ladder, steps, plan)
            reasons = (*said, f"odds are short of {self.rules.odds:.2f}", *([hint] if hint else []))
            return Decision(
                Action.STOP, last.name, reasons, look, outcome=Outcome.UNDECIDED, price=price
            )
        reasons = (*said, "more runs are not worth their price")
        outcome = Outcome.SCALE_BOUND if self._won_below(belief) else Outcome.REJECTED
        return Decision(Action.STOP, last.name, reasons, look, outcome=outcome)

    @staticmethod
    def _won_below(belief: Belief) -> bool:
        return belief.at(0.0).odds > WON_BELOW

    def _accept(
        self,
        study: PolicyContext,
        evidence: Evidence,
        look: GainForecast,
        said: tuple[str, ...],
        steps: Sequence[RungOption],
    ) -> Decision:
        """Take a change into the head, but no hyper-parameter edit by one rung alone."""
        ladder, place = evidence.ladder, self._top(evidence)
        name = ladder.rungs[place].name
        is_edit = evidence.change.kind is Kind.HYPERPARAMETER
        if is_edit and len(evidence.effects) < 2:
            reason = "one rung says nothing of how a hyper-parameter drifts"
            if place + 1 < len(ladder.rungs) and steps[place + 1].cost * study.unit <= study.room:
                upper, seeds = ladder.rungs[place + 1], self.rules.first_seeds
                return Decision(Action.PROMOTE, upper.name, (*said, reason), look, seeds=seeds)
            return Decision(Action.STOP, name, (*said, reason), look, outcome=Outcome.UNDECIDED)
        assumed = any(n.df == 0 for rung, n in study.view.noise.items() if rung == name)
        more = ("noise is assumed, not measured",) if assumed else ()
        reasons = (*said, f"worth {percent(look.mean)} of compute at the target", *more)
        return Decision(Action.ACCEPT, name, reasons, look, outcome=Outcome.PROVISIONAL)

    def _failed(self, study: PolicyContext, evidence: Evidence, failure: Failure) -> Decision:
        """Reject a change that crashed; above the lowest rung the crash counts as a loss there."""
        ladder = evidence.ladder
        if not evidence.effects:
            first = ladder.rungs[0].name
            reason = describe_failure(failure)
            return Decision(Action.STOP, first, (reason,), outcome=Outcome.REJECTED)
        position = ladder.position(ladder.rung(failure.rung).scale)
        belief = study.belief(evidence.arm, evidence.change, evidence.effects, crashed_at=position)
        look = replace(belief, last=position).gain_forecast(study.target)
        reasons = (measured(evidence.effects), describe_failure(failure))
        outcome = Outcome.SCALE_BOUND if self._won_below(belief) else Outcome.REJECTED
        return Decision(Action.STOP, failure.rung, reasons, look, outcome=outcome)

    # -- the study --------------------------------------------------------------------------

    def review(self, view: StudyView) -> Review:
        """Close a round: measure what it accepted as a stack, judge its members by that.

        Raises
        ------
        ValueError
            If the view carries no ladder.
        """
        if view.ladder is None:
            raise ValueError("review: the view of the study has no ladder; set StudyView.ladder")
        return close(self.read(view, view.ladder))

    def rules_of_knobs(self, view: StudyView, ladder: Ladder) -> tuple[KnobTrend, ...]:
        """Return how each edited knob should scale, as data for a proposer."""
        study = self.read(view, ladder)
        knobs = ladder.setting.knobs
        return tuple(
            rule(name, knobs[name], edits, target=study.target)
            for name, edits in study.edits.items()
        )
