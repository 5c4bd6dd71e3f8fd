"""The exam: what the accepted changes bring together, against what was claimed of each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from transfer.analysis import Analysis
from transfer.events import Effect
from transfer.trend import Z80


@dataclass(frozen=True)
class Exam:
    """The newest baseline against the first one; nats of compute.

    arms
        The accepted changes that lie between them.
    effects
        Their measured gain together, by rung.
    claimed
        Rung -> sum of the gains that each of them had alone there, where all were measured.
    is_fresh
        Whether it ran on seeds that nothing was chosen by.
    """

    base: str
    arms: tuple[str, ...]
    effects: tuple[Effect, ...]
    claimed: Mapping[str, float]
    is_fresh: bool

    @property
    def top(self) -> Effect:
        """The effect on the highest rung."""
        return self.effects[-1]

    @property
    def ratio(self) -> float | None:
        """Measured over claimed on the highest rung with both; None if nothing was gained.

        Below 1 is shrinkage: changes that were chosen for their luck, or that overlap.
        """
        for effect in reversed(self.effects):
            claimed = self.claimed.get(effect.rung)
            if claimed is not None:
                return effect.gain / claimed if claimed > 0 else None
        return None

    def is_short(self, effect: Effect) -> bool:
        """Whether a rung shows less than was claimed, beyond the measurement's 80 % interval."""
        claimed = self.claimed.get(effect.rung)
        return claimed is not None and effect.gain + Z80 * effect.gain_se < claimed


def examine(analysis: Analysis) -> Exam | None:
    """Return the newest exam of a study that has a run to show; None if there is none."""
    state = analysis.state
    bases = list(state.bases)
    for place in range(len(bases) - 1, 0, -1):
        base = bases[place]
        arms = tuple(a for a in state.accepted if state.changes[a].base in bases[:place])
        exam = state.exams.get(base)
        fresh = analysis.compared(base, bases[0], exam.seeds) if exam is not None else ()
        effects = fresh or analysis.compared(base, bases[0])
        if arms and effects:
            claimed = _claimed(analysis, arms)
            return Exam(base, arms, effects, claimed, is_fresh=bool(fresh))
    return None


def _claimed(analysis: Analysis, arms: tuple[str, ...]) -> dict[str, float]:
    gains: dict[str, list[float]] = {}
    for arm in arms:
        for effect in analysis.state.verdicts[arm].effects:
            gains.setdefault(effect.rung, []).append(effect.gain)
    return {rung: math.fsum(each) for rung, each in gains.items() if len(each) == len(arms)}
