"""Which stacks a round trains, which changes each holds, its next rung, and how it is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transfer.belief.posterior import Belief
from transfer.belief.stack_members import VISIBLE, Claim, Part, examine, is_contradicted
from transfer.events import Action, Effect, GainForecast, Outcome
from transfer.failure import describe_failure
from transfer.policy.protocol import ChangeView, Decision, Evidence
from transfer.policy.voi.reasons import measured
from transfer.policy.voi.study_beliefs import PolicyContext
from transfer.units import compute_share

FALLS_SHORT = 3.0
"""Sd below its forecast from which a stack is not climbed further."""


@dataclass(frozen=True)
class Stacks:
    """The stacks of this round by their roles.

    root
        The set under examination; the newest where members were dropped.
    parts
        Arm left out -> the root without it.
    round
        The members that the round's first stack had.
    """

    root: ChangeView | None
    parts: Mapping[str, ChangeView]
    round: tuple[str, ...]


def stacks_of(study: PolicyContext) -> Stacks:
    """Tell the round's stacks apart: a set less one of the root is a part of it.

    No change enters while a round closes, so a stack with changes after it is of an earlier one
    that accepted nothing and left the baseline as it was.
    """
    root: ChangeView | None = None
    parts: dict[str, ChangeView] = {}
    round: tuple[str, ...] = ()
    for change_view in study.view.change_views.values():
        members = change_view.change.members
        if change_view.base != study.view.base:
            continue
        if not members:
            root, parts, round = None, {}, ()
            continue
        missing = set(root.change.members) - set(members) if root is not None else set()
        if root is not None and len(missing) == 1 and set(members) < set(root.change.members):
            parts[missing.pop()] = change_view
            continue
        round = round or members
        root, parts = change_view, {}
    return Stacks(root, parts, round)


# -- money ----------------------------------------------------------------------------------


def allowance(study: PolicyContext) -> float:
    """Return what stacks may still take, in the ladder's unit."""
    left = study.rules.closing_share * study.view.budget - study.view.spent_closing
    return min(left, study.view.budget - study.view.spent)


def exam_seeds(study: PolicyContext, rung_index: int, room: float, *, n_baseline: int = 0) -> int:
    """Return how often a stack is run on a rung: fewer where the room is short, 0 for not at all.

    The baseline runs as often; ``n_baseline`` of its runs are there.
    """
    rung = study.ladder.rungs[rung_index]
    wanted = study.rules.exam_seeds[min(rung_index, len(study.rules.exam_seeds) - 1)]
    if study.ladder.rungs[rung_index].name in study.view.copied:
        wanted = 1
    for seeds in range(wanted, 0, -1):
        missing = max(max(seeds, rung.baseline_seeds) - n_baseline, 0)
        if (seeds + missing) * rung.cost <= room:
            return seeds
    return 0


def _n_baseline(study: PolicyContext, rung_index: int) -> int:
    """Return how many runs this round's baseline has on a rung, as far as effects show."""
    name, base = study.ladder.rungs[rung_index].name, study.view.base
    return max(
        (
            effect.n_baseline
            for change_view in study.view.change_views.values()
            if change_view.base == base
            for effect in change_view.effects
            if effect.rung == name
        ),
        default=0,
    )


def highest(study: PolicyContext) -> int:
    """Return the place of the highest rung that a study of this budget affords a stack on."""
    room = study.rules.closing_share * study.view.budget
    every_rung = range(len(study.ladder.rungs))
    return max(
        (rung_index for rung_index in every_rung if exam_seeds(study, rung_index, room)), default=0
    )


# -- one stack ------------------------------------------------------------------------------


def decide_stack(study: PolicyContext, evidence: Evidence) -> Decision:
    """Return a stack's next step: the root climbs, a part is seen on one rung only."""
    stacks = stacks_of(study)
    first = study.ladder.rungs[0].name
    if evidence.failure:
        last = evidence.effects[-1].rung if evidence.effects else first
        reasons = ("the stack fails", describe_failure(evidence.failure))
        return Decision(Action.STOP, last, reasons, outcome=Outcome.REJECTED)
    left_out = next((arm for arm, part in stacks.parts.items() if part.arm == evidence.arm), "")
    if left_out:
        return _decide_part(study, evidence, stacks, left_out)
    return _schedule(study, evidence)


def _schedule(study: PolicyContext, evidence: Evidence) -> Decision:
    """Take a stack one rung up, until the highest, its room or its forecast ends it."""
    rungs = study.ladder.rungs
    measured_places = [study.ladder.index(effect.rung) for effect in evidence.effects]
    rung_index = max(measured_places, default=-1) + 1
    forecast: GainForecast | None = None
    words = "stack of " + ", ".join(evidence.change.members)
    if len(evidence.change.members) == 1 and evidence.effects:
        change_view = study.view.change_views[evidence.change.members[0]]
        further = replace(change_view, effects=alone(change_view, evidence))
        forecast = belief_of(study, further).gain_forecast(study.target)
        words = f"climbs alone: {measured(evidence.effects)}; P(gain) {forecast.odds:.2f}"
        if forecast.odds < 1 - study.rules.odds:
            return _measured(evidence, forecast, (words, "not worth climbing further"))
    elif evidence.effects:
        claim = claim_of(study, evidence.change.members, evidence)
        forecast, words = claim.gain_forecast, exam_words(claim, evidence)
        if claim.short > FALLS_SHORT:
            return _measured(evidence, forecast, (words, "far short of its forecast"))
    if rung_index > highest(study) or rung_index >= len(rungs):
        return _measured(evidence, forecast, (words, "on the highest rung that the study affords"))
    n_there = _n_baseline(study, rung_index)
    seeds = exam_seeds(study, rung_index, allowance(study), n_baseline=n_there)
    if not seeds:
        return _measured(evidence, forecast, (words, f"no room for {rungs[rung_index].name}"))
    return Decision(Action.PROMOTE, rungs[rung_index].name, (words,), forecast, seeds=seeds)


def _measured(
    evidence: Evidence, forecast: GainForecast | None, reasons: tuple[str, ...]
) -> Decision:
    """End a stack's climb; a stack itself is never accepted, its members are."""
    first = evidence.ladder.rungs[0].name
    last = evidence.effects[-1].rung if evidence.effects else first
    return Decision(Action.STOP, last, reasons, forecast, outcome=Outcome.UNDECIDED)


def _decide_part(
    study: PolicyContext, evidence: Evidence, stacks: Stacks, left_out: str
) -> Decision:
    """Measure a part once; it climbs on where it alone is better than the whole."""
    if not evidence.effects:
        rung_index, seeds = _part_runs(study, stacks)
        rung = study.ladder.rungs[rung_index].name
        return Decision(Action.PROMOTE, rung, (f"stack without {left_out}",), seeds=seeds)
    against = contradicted(study, stacks)
    is_seen = all(part.effects or part.failure for part in stacks.parts.values())
    n_above = 0 if stacks.root is None else len(stacks.root.effects) - len(evidence.effects)
    if is_seen and against == [left_out] and n_above > 0:
        return _schedule(study, evidence)
    part = part_of(study, stacks, left_out)
    worth = "" if part is None else f"{left_out} adds {compute_share(part.gain)} at {part.rung}"
    return _measured(evidence, None, (f"stack without {left_out}", worth))


def _part_runs(study: PolicyContext, stacks: Stacks) -> tuple[int, int]:
    """Return the lowest rung on which members are visible within the parts' room, and the runs.

    Where the stack falls short, that is the rung on which it does first. Twice as many runs where
    the exam is doubtful.
    """
    root = stacks.root
    if root is None or not root.effects:
        return 0, study.rules.part_seeds
    claim = claim_of(study, root.change.members, root)
    n = study.rules.part_seeds * (2 if claim.is_doubtful else 1)
    room = min(study.rules.parts_share * study.view.budget, allowance(study))
    if claim.falls_at:
        rung_index = study.ladder.index(claim.falls_at)
        each = len(root.change.members) * study.ladder.rungs[rung_index].cost
        if each <= room:
            return rung_index, min(n, int(room / each))
    beliefs = [belief_of(study, study.view.change_views[arm]) for arm in root.change.members]
    steps = study.steps(())
    for effect in root.effects:
        rung_index = study.ladder.index(effect.rung)
        gains = sorted(abs(float(b.moments([effect.position])[0][0])) for b in beliefs)
        visible = VISIBLE * steps[rung_index].own_sd * math.sqrt(2 / n)
        cost = n * len(beliefs) * study.ladder.rungs[rung_index].cost
        if gains[len(gains) // 2] > visible and cost <= room:
            return rung_index, n
    return 0, n


def part_of(study: PolicyContext, stacks: Stacks, arm: str) -> Part | None:
    """Return what a member adds to the root, if both were measured on a rung.

    Arms on the same seeds share noise beyond what the baseline took off: 2 sd^2 (1 - rho) / n.
    """
    if stacks.root is None or arm not in stacks.parts:
        return None
    whole = {effect.rung: effect for effect in stacks.root.effects}
    for effect in stacks.parts[arm].effects:
        if effect.rung in whole:
            other = whole[effect.rung]
            noise = study.view.noise.get(effect.rung)
            rho = 0.0 if noise is None else noise.rho
            own = [max(e.gain_se**2 - e.shared_se**2, 1e-12) for e in (effect, other)]
            sd = math.sqrt(sum(own) / (1 + rho))
            return Part(arm, effect.rung, other.gain - effect.gain, sd)
    return None


def parts_of(study: PolicyContext, stacks: Stacks) -> list[Part]:
    """Return what each member adds to the root, as far as it was measured."""
    parts = (part_of(study, stacks, arm) for arm in stacks.parts)
    return [part for part in parts if part is not None]


def contradicted(study: PolicyContext, stacks: Stacks) -> list[str]:
    """Return the members that the root is better without."""
    root = stacks.root
    if root is None:
        return []
    if root.failure:
        return [arm for arm, part in stacks.parts.items() if part.effects and not part.failure]
    parts = parts_of(study, stacks)
    claim = claim_of(study, root.change.members, root, parts)
    clear = {part.arm for part in parts if _falls_short(study, part)}
    return [
        arm
        for arm in root.change.members
        if arm in clear or (parts and claim.members[arm].worth(study.utility) <= 0)
    ]


def _falls_short(study: PolicyContext, part: Part) -> bool:
    return is_contradicted(
        part,
        belief_of(study, study.view.change_views[part.arm]),
        position=study.ladder.position(study.ladder.rung(part.rung).scale),
        target=study.target,
        utility=study.utility,
    )


# -- beliefs --------------------------------------------------------------------------------


def belief_of(study: PolicyContext, change_view: ChangeView) -> Belief:
    """Return what is believed of a change by its own rungs."""
    return study.belief(
        change_view.arm, change_view.change, change_view.effects, base=change_view.base
    )


def alone(change_view: ChangeView, stack: ChangeView | Evidence) -> tuple[Effect, ...]:
    """Return a change's effects with those of the stack of it alone, which holds its own runs."""
    by_rung = {effect.rung: effect for effect in change_view.effects}
    for effect in stack.effects:
        if effect.rung not in by_rung or effect.n > by_rung[effect.rung].n:
            by_rung[effect.rung] = effect
    return tuple(sorted(by_rung.values(), key=lambda effect: effect.position))


def claim_of(
    study: PolicyContext,
    members: Sequence[str],
    stack: ChangeView | Evidence,
    parts: Sequence[Part] = (),
) -> Claim:
    """Return what a stack's effects and its parts say of its members and of their sum."""
    change_views = [study.view.change_views[arm] for arm in members]
    return examine(
        members,
        [belief_of(study, change_view) for change_view in change_views],
        measured=stack.effects,
        parts=[part for part in parts if part.arm in members],
        positions={r.name: study.ladder.position(r.scale) for r in study.ladder.rungs},
        target=study.target,
    )


def exam_words(claim: Claim, stack: ChangeView | Evidence) -> str:
    """Say how a stack's forecast did: measured, share of the forecast, what is claimed."""
    last = stack.effects[-1]
    ratio = "" if math.isnan(claim.ratio) else f", {claim.ratio:.2f} of the forecast"
    forecast = claim.gain_forecast
    low, mean, high = map(compute_share, (forecast.low, forecast.mean, forecast.high))
    gain = compute_share(last.gain)
    return (
        f"stack of {len(claim.members)} {gain} at {last.rung}{ratio}; at the target "
        f"{mean} [{low}, {high}]"
    )
