"""A small policy with stacks, for tests of what carries it out."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from miniscale.setting.trial import Cause, TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import Planted
from transfer.events import Action, Outcome, VerdictReached
from transfer.failure import describe_failure
from transfer.ladder import Ladder
from transfer.policy.by_trend import TrendPolicy
from transfer.policy.protocol import ChangeView, Decision, Evidence, Review, StudyView
from transfer.study.schedule import FRESH, SEEDS_A_STUDY
from transfer.study.simulated_study import KnobTrees


@dataclass(frozen=True)
class Stacking(TrendPolicy):
    """The trend's decisions, then the stack of all accepts, then the stack without each of them.

    A member stays where the stack is better with it on the lowest rung.
    """

    reserve: float = 0.3
    name: str = "stacking"

    def decide(self, evidence: Evidence) -> Decision:
        """Climb full stacks to the top and the others to the lowest rung."""
        if not evidence.change.members:
            return super().decide(evidence)
        rungs, at = evidence.ladder.rungs, len(evidence.effects)
        if evidence.failure:
            return Decision(
                Action.STOP,
                rungs[0].name,
                (describe_failure(evidence.failure),),
                outcome=Outcome.REJECTED,
            )
        top = len(rungs) if self._is_full(evidence) else 1
        if at < top:
            return Decision(Action.PROMOTE, rungs[at].name, ("climbs",), seeds=2)
        return Decision(Action.ACCEPT, rungs[-1].name, ("there",), outcome=Outcome.PROVISIONAL)

    def _is_full(self, evidence: Evidence) -> bool:
        sizes = [
            len(s.change.members)
            for s in evidence.view.change_views.values()
            if s.base == evidence.view.base
        ]
        return len(evidence.change.members) == max(sizes)

    def review(self, view: StudyView) -> Review:
        """Ask for the stack, then for what it is without each member, then judge."""
        members = tuple(s.arm for s in view.change_views.values() if is_open(s, view))
        if len(members) < 2:
            return Review()
        known = {s.change.members: s for s in view.change_views.values() if s.base == view.base}
        if members not in known:
            return Review(stacks=(members,), is_settled=False)
        rests = {m: tuple(other for other in members if other != m) for m in members}
        if any(rest not in known for rest in rests.values()):
            return Review(stacks=tuple(rests.values()), is_settled=False)
        whole = known[members]
        return Review(
            verdicts=tuple(judged(view.change_views[m], whole, known[rests[m]]) for m in members)
        )


def is_open(change_view: ChangeView, view: StudyView) -> bool:
    """Whether a change waits for the end of this round."""
    verdict = change_view.verdict
    is_member = verdict is not None and verdict.outcome.is_accepted
    is_here = change_view.base == view.base and not (
        change_view.is_accepted or change_view.deferred
    )
    return (
        is_member
        and is_here
        and not change_view.change.members
        and not change_view.change.is_control
    )


def judged(member: ChangeView, whole: ChangeView, rest: ChangeView) -> VerdictReached:
    """Conclude on a member from its stack with and without it."""
    part = whole.effects[0].gain - rest.effects[0].gain if whole.effects and rest.effects else 0.0
    assert member.verdict is not None
    return VerdictReached(
        arm=member.arm,
        outcome=Outcome.CERTIFIED if part > 0 else Outcome.REJECTED,
        effects=member.effects,
        gain_forecast=member.verdict.gain_forecast,
        reasons=(f"is worth {part:+.4f} in the stack {whole.arm}",),
    )


@dataclass
class Additive:
    """A runner whose changes are patches that name their gain; gains of a stack add up.

    A patch may name a second gain, its true one: that of the seeds that nothing was chosen by. Two
    patches of ``clash`` together crash.
    """

    ladder: Ladder
    trees: KnobTrees
    clash: tuple[str, ...] = ()
    slots: int = 1
    queue: list[TrialSpec] = field(default_factory=list)

    def submit(self, specs: Sequence[TrialSpec]) -> None:
        """Queue trials."""
        self.queue += specs

    def poll(self, timeout_s: float) -> list[TrialResult]:
        """Return one result, so that a study may be cut between any two."""
        del timeout_s
        return [self.result(self.queue.pop(0))] if self.queue else []

    def result(self, spec: TrialSpec) -> TrialResult:
        """Run a trial."""
        patches = self.trees.content(spec.tree).patches
        rung = self.ladder.rung(spec.rung)
        if len(set(patches) & set(self.clash)) > 1:
            return TrialResult(
                spec.identity, TrialState.FAILED, cause=Cause.CRASH, reason="planted"
            )
        place = -1 if spec.seed % SEEDS_A_STUDY >= FRESH else 1
        gain = math.fsum(float(patch.split()[place]) for patch in patches)
        idea = zlib.crc32(" ".join(patches).encode())
        planted = Planted(compute=rung.scale, seed=spec.seed, gain=gain, idea=idea)
        return TrialResult(spec.identity, TrialState.COMPLETE, value=planted.loss())

    def running(self) -> list[TrialSpec]:
        """Return nothing: no trial takes time."""
        return []

    def close(self) -> None:
        """Forget what is queued."""
        self.queue.clear()
