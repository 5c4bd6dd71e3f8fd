"""The default policy: atoms for belief, value of information for spending, stacks for proof."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from miniscale.setting.setting import Kind
from transfer.belief.posterior import Belief
from transfer.belief.utility import Utility
from transfer.events import Action, GainForecast, Outcome
from transfer.failure import Failure, describe_failure
from transfer.policy.protocol import Decision, Evidence, Review, StudyView
from transfer.policy.voi.reasons import beyond, likeness, measured, settle
from transfer.policy.voi.review import close
from transfer.policy.voi.round_stacks import decide_stack
from transfer.policy.voi.study_beliefs import PolicyContext, VoiRules, read_study
from transfer.policy.voi.value import Prospects, RungOption, RunPlan, plans, settling
from transfer.units import compute_share

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
    """

    rules: VoiRules = field(default_factory=VoiRules)
    name: str = "atoms"

    @property
    def utility(self) -> Utility:
        """What accepting a change is worth."""
        return self.rules.utility

    @property
    def reserve(self) -> float:
        """Share of the budget kept for closing rounds."""
        return self.rules.reserve

    def expecting(self, n_changes: int) -> "AtomsPolicy":
        """Return the policy that knows how many changes will come."""
        return replace(self, rules=replace(self.rules, ideas=n_changes))

    # -- one change -------------------------------------------------------------------------

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Predict the gain on a rung before it is run."""
        if not evidence.effects or evidence.change.members:
            return None
        study = read_study(evidence.view, evidence.ladder, self.rules)
        position = evidence.ladder.position(evidence.ladder.rung(rung).scale)
        return self._belief(study, evidence).gain_forecast(position)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change or a stack, with the prior that it rests on."""
        study = read_study(evidence.view, evidence.ladder, self.rules)
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
        affordable_plans = [
            plan
            for plan in plans(prospects, steps, replicates=self.rules.replicates)
            if plan.legs[0][1] * steps[plan.legs[0][0]].cost <= room
        ]
        best = max(affordable_plans, key=lambda plan: plan.net(study.price), default=None)
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
        rung_index, more = plan.legs[0]
        step = steps[rung_index]
        forecast = belief.gain_forecast(study.target)
        action = Action.REPEAT if step.n else Action.PROMOTE
        gain, cost = compute_share(plan.value), study.price * plan.cost
        reasons = (
            measured(evidence.effects),
            likeness(evidence.change, forecast, beyond(evidence.ladder, evidence.effects)),
            f"{more} run{'s' if more > 1 else ''} at {step.name} promise {gain} against a price "
            f"of {compute_share(cost)}",
        )
        return Decision(action, step.name, reasons, forecast, seeds=step.n + more)

    def _stop(
        self,
        study: PolicyContext,
        evidence: Evidence,
        belief: Belief,
        steps: Sequence[RungOption],
    ) -> Decision:
        forecast = belief.gain_forecast(study.target)
        worth = belief.at(study.target).worth(study.utility)
        last = evidence.ladder.rungs[self._top(evidence)]
        evidence_words = (
            measured(evidence.effects),
            likeness(evidence.change, forecast, beyond(evidence.ladder, evidence.effects)),
        )
        if worth > 0 and forecast.odds > self.rules.odds:
            return self._accept(study, evidence, forecast, evidence_words, steps)
        if worth > 0:
            plan = settling(study.prospects(belief, steps), steps)
            price = 0.0 if plan is None else plan.cost * study.unit
            hint = settle(evidence.ladder, steps, plan)
            reasons = (
                *evidence_words,
                f"odds are short of {self.rules.odds:.2f}",
                *([hint] if hint else []),
            )
            return Decision(
                Action.STOP, last.name, reasons, forecast, outcome=Outcome.UNDECIDED, price=price
            )
        reasons = (*evidence_words, "more runs are not worth their price")
        outcome = Outcome.SCALE_BOUND if self._won_below(belief) else Outcome.REJECTED
        return Decision(Action.STOP, last.name, reasons, forecast, outcome=outcome)

    @staticmethod
    def _won_below(belief: Belief) -> bool:
        return belief.at(0.0).odds > WON_BELOW

    def _accept(
        self,
        study: PolicyContext,
        evidence: Evidence,
        forecast: GainForecast,
        evidence_words: tuple[str, ...],
        steps: Sequence[RungOption],
    ) -> Decision:
        """Take a change into the head, but no hyper-parameter edit by one rung alone."""
        ladder, rung_index = evidence.ladder, self._top(evidence)
        name = ladder.rungs[rung_index].name
        is_edit = evidence.change.kind is Kind.HYPERPARAMETER
        if is_edit and len(evidence.effects) < 2:
            reason = "one rung says nothing of how a hyper-parameter drifts"
            if (
                rung_index + 1 < len(ladder.rungs)
                and steps[rung_index + 1].cost * study.unit <= study.room
            ):
                upper, seeds = ladder.rungs[rung_index + 1], self.rules.first_seeds
                return Decision(
                    Action.PROMOTE, upper.name, (*evidence_words, reason), forecast, seeds=seeds
                )
            return Decision(
                Action.STOP, name, (*evidence_words, reason), forecast, outcome=Outcome.UNDECIDED
            )
        assumed = any(n.df == 0 for rung, n in study.view.noise.items() if rung == name)
        more = ("noise is assumed, not measured",) if assumed else ()
        reasons = (
            *evidence_words,
            f"worth {compute_share(forecast.mean)} of compute at the target",
            *more,
        )
        return Decision(Action.ACCEPT, name, reasons, forecast, outcome=Outcome.PROVISIONAL)

    def _failed(self, study: PolicyContext, evidence: Evidence, failure: Failure) -> Decision:
        """Reject a change that crashed; above the lowest rung the crash counts as a loss there."""
        ladder = evidence.ladder
        if not evidence.effects:
            first = ladder.rungs[0].name
            reason = describe_failure(failure)
            return Decision(Action.STOP, first, (reason,), outcome=Outcome.REJECTED)
        if failure.breaks:
            forecast = self._belief(study, evidence).gain_forecast(study.target)
            reasons = (describe_failure(failure), measured(evidence.effects))
            return Decision(Action.STOP, failure.rung, reasons, forecast, outcome=Outcome.REJECTED)
        position = ladder.position(ladder.rung(failure.rung).scale)
        belief = study.belief(evidence.arm, evidence.change, evidence.effects, crashed_at=position)
        forecast = replace(belief, last=position).gain_forecast(study.target)
        reasons = (measured(evidence.effects), describe_failure(failure))
        outcome = Outcome.SCALE_BOUND if self._won_below(belief) else Outcome.REJECTED
        return Decision(Action.STOP, failure.rung, reasons, forecast, outcome=outcome)

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
        return close(read_study(view, view.ladder, self.rules))
