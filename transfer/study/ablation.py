"""After a short exam: each accepted change is left out in turn, on fresh seeds, and may fall.

The head with all of them and the head without one run side by side on seeds that nothing was
chosen by. What the head loses without a change updates the exam's belief of it; a change that is
not worth taking by that is rejected, and the rest is examined again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from transfer.arm import part_without
from transfer.belief.exam_ratio import Exam, beliefs_of, exam_of
from transfer.belief.stack_members import VISIBLE, Part, is_contradicted
from transfer.belief.utility import Utility
from transfer.events import AblationRequested, Outcome, VerdictReached
from transfer.ladder import Ladder
from transfer.measure.study_effects import Analysis
from transfer.units import compute_share

RUNS, FEWEST_RUNS = 8, 2
"""Runs of the head and of each part; fewer where the room is short, but no fewer than two."""


def question(
    analysis: Analysis,
    exam: Exam,
    *,
    room: float,
    seeds: Sequence[int],
    is_whole: Callable[[str, tuple[str, ...]], bool],
) -> AblationRequested | None:
    """Return the question that a short exam raises; None where there is no room for it.

    It is asked on the rung where the exam falls short first, if its room allows, else on the lowest
    rung where half of the changes are visible.

    Parameters
    ----------
    room
        What it may cost, in the ladder's unit.
    seeds
        As many as a question may take, which nothing ran on.
    is_whole
        Arm, changes -> whether they apply together; those that do not are not asked about.
    """
    ladder = analysis.ladder
    parts = {analysis.state.first_base: exam.arms[0]}
    if len(exam.arms) > 1:
        rest = {out: tuple(arm for arm in exam.arms if arm != out) for out in exam.arms}
        named = {part_without(exam.base, out): out for out in exam.arms}
        parts = {part: out for part, out in named.items() if is_whole(part, rest[out])}
    if not parts:
        return None
    each = {rung.name: (1 + len(parts)) * rung.cost for rung in ladder.rungs}
    rung = exam.claim.falls_at
    if not rung or each[rung] * RUNS > room:
        rung = _visible(analysis, exam, {name: cost * RUNS for name, cost in each.items()}, room)
    n = min(RUNS, int(room / each[rung]))
    return AblationRequested(exam.base, rung, tuple(seeds[:n]), parts) if n >= FEWEST_RUNS else None


def least_cost(ladder: Ladder, n: int) -> float:
    """Return what a question of n changes on the lowest rung costs."""
    return (1 + n) * RUNS * ladder.rungs[0].cost


def _visible(analysis: Analysis, exam: Exam, costs: Mapping[str, float], room: float) -> str:
    beliefs = beliefs_of(analysis, exam.arms, analysis.state.exams.get(exam.base))
    slopes = analysis.baseline_law(analysis.state.first_base).slopes
    for effect in exam.effects:
        gains = sorted(abs(float(b.moments([effect.position])[0][0])) for b in beliefs)
        noise = analysis.noise(effect.rung)
        own = noise.sd / slopes[effect.rung] * math.sqrt(1 - noise.rho**2)
        is_visible = gains[len(gains) // 2] > VISIBLE * own * math.sqrt(2 / RUNS)
        if is_visible and costs[effect.rung] <= room:
            return effect.rung
    return analysis.ladder.rungs[0].name


def answer(
    analysis: Analysis, asked: AblationRequested, *, utility: Utility
) -> tuple[VerdictReached, ...]:
    """Return the verdicts on the changes that fail: those the head is not better with."""
    analysis.refresh()
    parts = _parts(analysis, asked)
    exam = exam_of(analysis, asked.arm, parts)
    if exam is None:
        return ()
    beliefs = beliefs_of(analysis, exam.arms, analysis.state.exams.get(exam.base))
    by_arm = dict(zip(exam.arms, beliefs, strict=True))
    ladder = analysis.ladder
    target = ladder.position(ladder.target)
    rejected = []
    for part in parts:
        position = ladder.position(ladder.rung(part.rung).scale)
        belief = by_arm[part.arm]
        if is_contradicted(part, belief, position=position, target=target, utility=utility):
            alone = float(belief.moments([position])[0][0])
            why = _words(part, f"where alone it was believed to add {compute_share(alone)}")
        elif exam.claim.members[part.arm].worth(utility) <= 0:
            left = exam.claim.members[part.arm].mean
            why = _words(part, f"but by all rungs it brings {compute_share(left)} at the target")
        else:
            continue
        rejected.append(_rejected(analysis, exam, part, why))
    return tuple(rejected)


def _words(part: Part, rest: str) -> str:
    """Say what leaving a change out did and, where the head was not better so, what tells more."""
    error = compute_share(part.sd).removeprefix("+")
    if part.gain <= 0:
        gain = compute_share(-part.gain).removeprefix("+")
        return f"on fresh seeds the head is {gain} +- {error} better without it at {part.rung}"
    return f"on fresh seeds it adds {compute_share(part.gain)} +- {error} at {part.rung}, {rest}"


def _parts(analysis: Analysis, asked: AblationRequested) -> Sequence[Part]:
    parts = []
    for part, arm in asked.parts.items():
        for effect in analysis.compared(asked.arm, part, {asked.rung: asked.seeds}):
            own = math.sqrt(max(effect.gain_se**2 - effect.shared_se**2, 1e-18))
            parts.append(Part(arm, effect.rung, effect.gain, effect.gain_se, whole_sd=own))
    return parts


def _rejected(analysis: Analysis, exam: Exam, part: Part, why: str) -> VerdictReached:
    before = analysis.state.verdict(part.arm)
    return replace(
        before,
        outcome=Outcome.REJECTED,
        gain_forecast=exam.claim.members[part.arm].gain_forecast(),
        reasons=(f"the exam of {exam.base} fell short, and {why}",),
        price=0.0,
    )
