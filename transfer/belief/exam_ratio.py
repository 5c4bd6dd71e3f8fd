"""The share of a claimed gain that an exam found: computation alone, no trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transfer.belief.posterior import Belief, believe, model_for
from transfer.belief.stack_members import Claim, Part, examine
from transfer.events import Effect, GainForecast
from transfer.journal.state import ExamRecord
from transfer.ladder_trust import Trust
from transfer.measure.study_effects import Analysis
from transfer.measure.trend import Z80


@dataclass(frozen=True)
class Exam:
    """The newest baseline against the first one; nats of compute.

    arms
        The accepted changes that lie between them.
    effects
        Their measured gain together, by rung.
    is_fresh
        Whether it ran on seeds that nothing was chosen by.
    claim
        The forecast by rung, the gain at the target before and after these effects.
    """

    base: str
    arms: tuple[str, ...]
    effects: tuple[Effect, ...]
    is_fresh: bool
    claim: Claim

    @property
    def top(self) -> Effect:
        """The effect on the highest rung."""
        return self.effects[-1]

    @property
    def claimed(self) -> Mapping[str, GainForecast]:
        """Rung -> what was forecast of the accepted changes together there."""
        return self.claim.predicted

    @property
    def before(self) -> GainForecast:
        """Their gain at the target as claimed before the exam."""
        return self.claim.before

    @property
    def total(self) -> GainForecast:
        """Their gain at the target with what the exam showed."""
        return self.claim.gain_forecast

    @property
    def ratio(self) -> float | None:
        """Measured over forecast gain, rungs weighted by precision; None if no gain was forecast.

        Below 1 is shrinkage: changes that were chosen for their luck, or that overlap.
        """
        is_known = math.isfinite(self.claim.ratio) and self.before.mean > 0
        return self.claim.ratio if is_known else None

    @property
    def kept(self) -> float | None:
        """Share of the claim at the target that the exam left; None if no gain was claimed."""
        return self.total.mean / self.before.mean if self.before.mean > 0 else None

    @property
    def is_doubtful(self) -> bool:
        """Whether less than .7 of the forecast came, or less by more than 2 sd on a rung."""
        return self.claim.is_doubtful

    def is_short(self, effect: Effect) -> bool:
        """Whether a rung shows less than forecast, beyond the 80 % interval of the difference."""
        claimed = self.claimed[effect.rung]
        return claimed.mean - effect.gain > Z80 * math.hypot(claimed.sd, effect.gain_se)


def examined(analysis: Analysis) -> Exam | None:
    """Return the newest exam of a study that has a run to show; None if there is none."""
    bases = list(analysis.state.bases)
    for place in range(len(bases) - 1, 0, -1):
        found = exam_of(analysis, bases[place])
        if found is not None:
            return found
    return None


def exam_of(analysis: Analysis, base: str, parts: Sequence[Part] = ()) -> Exam | None:
    """Return a baseline's exam against the first one; None without a run or a change to show.

    The forecast adds up what is believed of each change by its own rungs, with the stacks that
    were measured on the way, where the exam has seeds of its own. Its effects then update it.

    Parameters
    ----------
    parts
        What leaving single members out did, on seeds of its own again.
    """
    state = analysis.state
    bases = list(state.bases)
    exam = state.exams.get(base)
    asked = exam.request if exam is not None else None
    earlier_bases = bases[: bases.index(base)]
    arms = tuple(a for a in state.changes.accepted if state.changes[a].base in earlier_bases)
    arms = (asked.arms if asked is not None else ()) or arms
    fresh = analysis.compared(base, bases[0], asked.seeds) if asked is not None else ()
    effects = fresh or analysis.compared(base, bases[0])
    if not arms or not effects:
        return None
    ladder = analysis.ladder
    claim = examine(
        arms,
        beliefs_of(analysis, arms, exam),
        measured=effects,
        parts=parts,
        positions={rung.name: ladder.position(rung.scale) for rung in ladder.rungs},
        target=ladder.position(ladder.target),
        earlier=_stacks(analysis, arms) if fresh else (),
    )
    return Exam(base, arms, effects, bool(fresh), claim)


def beliefs_of(analysis: Analysis, arms: Sequence[str], exam: ExamRecord | None) -> list[Belief]:
    """Return what is believed of changes by the rungs that each was judged on."""
    model = model_for(Trust() if exam is None else exam.request.trust)
    state = analysis.state
    return [
        believe(state.verdict(a).effects, state.changes[a].change.kind, model=model) for a in arms
    ]


def _stacks(
    analysis: Analysis, arms: Sequence[str]
) -> list[tuple[tuple[str, ...], tuple[Effect, ...]]]:
    """Return the largest stack of each baseline that holds examined changes only."""
    state, largest = analysis.state, dict[str, tuple[str, ...]]()
    for base, members in state.changes.stacks:
        is_ours = set(members) <= set(arms) and len(members) > len(largest.get(base, ()))
        verdict = state.changes[state.changes.stacks[base, members]].verdict
        if is_ours and len(members) > 1 and verdict is not None and verdict.effects:
            largest[base] = members
    return [
        (members, state.verdict(state.changes.stacks[base, members]).effects)
        for base, members in largest.items()
    ]
