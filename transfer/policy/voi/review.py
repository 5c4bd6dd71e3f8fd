"""The end of a round: what it took is measured as a stack, and each member is judged by that."""

import math
from collections.abc import Sequence
from dataclasses import replace

from miniscale.setting.setting import Kind
from transfer.belief.stack_members import Claim, Part
from transfer.events import GainForecast, Outcome, VerdictReached
from transfer.failure import Failure, describe_failure
from transfer.ladder_trust import Light
from transfer.policy.protocol import ChangeView, Review
from transfer.policy.simple_policy import CERTIFIED_SPAN
from transfer.policy.voi.reasons import measured
from transfer.policy.voi.round_stacks import (
    Stacks,
    allowance,
    alone,
    belief_of,
    claim_of,
    contradicted,
    exam_seeds,
    exam_words,
    highest,
    parts_of,
    stacks_of,
)
from transfer.policy.voi.study_beliefs import PolicyContext
from transfer.units import compute_share

CERTIFIED_RUNGS = 3
MOST_MEMBERS = 12


def candidates(study: PolicyContext) -> list[str]:
    """Return the arms of this round that the head would take now, at most one a knob.

    All judged changes are scored again with what is known by now.
    """
    scored = []
    for change_view in study.tally.on_base(study.view.base):
        if not change_view.effects or change_view.failure or change_view.change.is_control:
            continue
        if change_view.verdict is None or change_view.is_accepted or change_view.deferred:
            continue
        if change_view.verdict.outcome is Outcome.SUSPICIOUS:
            continue
        if change_view.change.kind is Kind.HYPERPARAMETER and len(change_view.effects) < 2:
            continue
        gain = belief_of(study, change_view).at(study.target)
        worth = gain.worth(study.utility)
        if worth > 0 and gain.odds > study.rules.odds:
            scored.append((worth, change_view))
    remaining: list[ChangeView] = []
    for _, change_view in sorted(scored, key=lambda pair: -pair[0])[:MOST_MEMBERS]:
        if not any(
            change_view.change.knobs.keys() & other.change.knobs.keys() for other in remaining
        ):
            remaining.append(change_view)
    order = list(study.view.change_views)
    return sorted((change_view.arm for change_view in remaining), key=order.index)


def _alone(study: PolicyContext, change_view: ChangeView) -> tuple[GainForecast, float]:
    gain = belief_of(study, change_view).at(study.target)
    return gain.gain_forecast(), gain.worth(study.utility)


def close(study: PolicyContext) -> Review:
    """Return what the round's end needs next, or its members' verdicts."""
    stacks = stacks_of(study)
    if stacks.root is None:
        members = tuple(candidates(study))
        if not members or not _needs_stack(study, members):
            return Review(verdicts=conclude(study, stacks, members))
        return Review(stacks=(members,), is_settled=False)
    asked = _asked(study, stacks)
    if asked is None:
        return Review(verdicts=conclude(study, stacks, stacks.round))
    return Review(stacks=asked, is_settled=False)


def _needs_stack(study: PolicyContext, members: tuple[str, ...]) -> bool:
    """Whether a stack is worth running: more than one member, or one that may yet be certified."""
    if not exam_seeds(study, 0, allowance(study)):
        return False
    if len(members) > 1:
        return True
    effects = study.view.change_views[members[0]].effects
    top = study.ladder.rungs[highest(study)].name
    is_there = any(effect.rung == top for effect in effects)
    is_barred = study.trust.light is Light.RED or bool(_unmatched(study))
    may_certify = not is_barred and len(study.ladder.rungs) >= CERTIFIED_RUNGS
    return may_certify and not is_there


def _asked(study: PolicyContext, stacks: Stacks) -> tuple[tuple[str, ...], ...] | None:
    """Return the stacks that are still wanted; empty while some are on their way, None if done."""
    root = stacks.root
    assert root is not None
    running = [part for part in (root, *stacks.parts.values()) if part.verdict is None]
    if running:
        return ()
    members = root.change.members
    is_first = members == stacks.round
    wanted = [tuple(arm for arm in members if arm != out) for out in members]
    if (
        is_first
        and len(members) >= 3
        and not stacks.parts
        and exam_seeds(study, 0, allowance(study))
    ):
        return tuple(wanted)
    against = set(contradicted(study, stacks))
    rest = tuple(arm for arm in members if arm not in against)
    if is_first and len(against) > 1 and len(rest) > 1 and exam_seeds(study, 0, allowance(study)):
        return (rest,)
    return None


def conclude(
    study: PolicyContext, stacks: Stacks, members: Sequence[str]
) -> tuple[VerdictReached, ...]:
    """Return the verdicts of a round's members, and of those it accepted but does not keep."""
    dropped, final, parts = _stack_view(study, stacks)
    remaining = [arm for arm in members if arm not in dropped]
    verdicts = []
    if (
        final is not None
        and final.effects
        and set(final.change.members) >= set(remaining)
        and remaining
    ):
        inside = [arm for arm in final.change.members if arm in remaining]
        claim = claim_of(study, final.change.members, final, parts)
        verdicts += [_judge_member(study, arm, claim, final) for arm in inside]
    else:
        verdicts += [_judge_alone(study, arm) for arm in remaining]
    verdicts += [_drop(study, arm, reason) for arm, reason in dropped.items() if arm in members]
    for change_view in study.tally.on_base(study.view.base):
        verdict = change_view.verdict
        was_taken = verdict is not None and verdict.outcome.is_accepted
        is_done = (
            change_view.arm in members or change_view.is_accepted or change_view.change.is_control
        )
        if was_taken and not is_done and not change_view.deferred:
            verdicts.append(_drop(study, change_view.arm, _why_left(study, change_view, members)))
    return tuple(verdicts)


def _stack_view(
    study: PolicyContext, stacks: Stacks
) -> tuple[dict[str, str], ChangeView | None, list[Part]]:
    """Return who is dropped and why, the stack that stands, and the parts that speak of it."""
    root = stacks.root
    if root is None:
        return {}, None, []
    if root.change.members != stacks.round:  # members were dropped once already
        left = [arm for arm in stacks.round if arm not in root.change.members]
        reason = "the stack is better without it"
        return dict.fromkeys(left, reason), root, []
    against = contradicted(study, stacks)
    if root.failure:
        return _after_crash(study, stacks, root.failure, against)
    parts = parts_of(study, stacks)
    by_arm = {part.arm: part for part in parts}
    dropped = {arm: _against_words(by_arm.get(arm)) for arm in against}
    if len(against) == 1 and len(stacks.parts[against[0]].effects) > 1:
        return dropped, stacks.parts[against[0]], []
    return dropped, root, parts


def _after_crash(
    study: PolicyContext, stacks: Stacks, failure: Failure, culprits: Sequence[str]
) -> tuple[dict[str, str], ChangeView | None, list[Part]]:
    """Drop who makes the stack crash; where that is not known keep the best member alone."""
    assert stacks.root is not None
    if len(culprits) == 1:
        reason = f"the stack fails with it and not without: {describe_failure(failure)}"
        return {culprits[0]: reason}, stacks.parts[culprits[0]], []
    members = stacks.root.change.members
    best = max(members, key=lambda arm: _alone(study, study.view.change_views[arm])[1])
    reason = f"fails together with others: {describe_failure(failure)}"
    return {arm: reason for arm in members if arm != best}, None, []


def _against_words(part: Part | None) -> str:
    if part is None:
        return "the measured stack leaves nothing for it"
    gain, error = compute_share(abs(part.gain)), compute_share(part.sd)
    if part.gain <= 0:
        return f"the stack is {gain} +- {error} better without it at {part.rung}"
    return f"the stack gains no more than {gain} +- {error} by it at {part.rung}"


def _why_left(study: PolicyContext, change_view: ChangeView, members: Sequence[str]) -> str:
    for arm in members:
        shared = change_view.change.knobs.keys() & study.view.change_views[arm].change.knobs.keys()
        if shared:
            return f"{arm} sets the knob {sorted(shared)[0]} better: one accept a knob"
    return "scored again at the round's end it is not worth taking"


def _drop(study: PolicyContext, arm: str, reason: str) -> VerdictReached:
    change_view = study.view.change_views[arm]
    forecast, _ = _alone(study, change_view)
    reasons = (measured(change_view.effects), reason)
    return VerdictReached(
        arm, Outcome.REJECTED, change_view.effects, forecast, reasons, prior=study.prior_digest
    )


def _judge_alone(
    study: PolicyContext, arm: str, *, further: ChangeView | None = None
) -> VerdictReached:
    """Judge a member by its own rungs, and by those it climbed alone at the round's end."""
    change_view = study.view.change_views[arm]
    if further is not None:
        change_view = replace(
            change_view, effects=alone(change_view, further), failure=further.failure
        )
    forecast, worth = _alone(study, change_view)
    gain = belief_of(study, change_view).at(study.target)
    severe = gain.worth(study.certified_utility)
    short = _short_of_certified(study, (change_view,), severe)
    return _verdict(study, change_view, forecast, worth, short, ())


def _judge_member(
    study: PolicyContext, arm: str, claim: Claim, stack: ChangeView
) -> VerdictReached:
    """Judge a member by what its stack left for it."""
    change_view = study.view.change_views[arm]
    if len(stack.change.members) == 1:
        return _judge_alone(study, arm, further=stack)
    gain = claim.members[arm]
    forecast = gain.gain_forecast()
    short = _short_of_certified(study, (change_view, stack), gain.worth(study.certified_utility))
    if not short and claim.is_doubtful:
        short = "the stack falls short of its forecast"
    words = exam_words(claim, stack)
    return _verdict(study, change_view, forecast, gain.worth(study.utility), short, (words,))


def _verdict(
    study: PolicyContext,
    change_view: ChangeView,
    forecast: GainForecast,
    worth: float,
    short: str,
    words: tuple[str, ...],
) -> VerdictReached:
    odds = f"P(gain) {forecast.odds:.2f}, {compute_share(forecast.mean)} of compute at the target"
    reasons = (measured(change_view.effects), *words, odds)
    if worth <= 0 or forecast.odds <= study.rules.odds:
        outcome, why = Outcome.REJECTED, "not worth taking by what the stack showed"
    elif short:
        outcome, why = Outcome.PROVISIONAL, f"not certified: {short}"
    else:
        outcome, why = Outcome.CERTIFIED, "measured to the highest rung that the study affords"
    return VerdictReached(
        change_view.arm,
        outcome,
        change_view.effects,
        forecast,
        (*reasons, why),
        prior=study.prior_digest,
    )


def _unmatched(study: PolicyContext) -> str:
    """Say what of the data the ladder leaves unmatched while no audit was made."""
    return "" if study.trust.source else study.ladder.unmatched_data


def _short_of_certified(
    study: PolicyContext, measured_in: Sequence[ChangeView], worth: float
) -> str:
    """Say what a certified accept lacks; empty if nothing.

    It wants an audit that is not red (any at all where the ladder leaves data unmatched), utility
    with harm counted in full, and one measurement, alone or in a stack, on three rungs over 15x of
    compute up to the highest affordable.
    """
    if study.trust.light is Light.RED:
        return "the ladder's audit is red"
    if unmatched := _unmatched(study):
        return f"the ladder does not match the target in {unmatched}, and no audit vouches for it"
    if worth <= 0:
        return f"harm counted {study.trust.certified_harm:g} times outweighs the gain"
    top = study.ladder.rungs[highest(study)].name
    why = ""
    for change_view in measured_in:
        names = [effect.rung for effect in change_view.effects]
        span = math.exp(change_view.effects[-1].position - change_view.effects[0].position)
        if change_view.failure:
            why = "it fails on a rung"
        elif top not in names:
            why = f"not measured at {top}"
        elif len(names) < CERTIFIED_RUNGS or span < CERTIFIED_SPAN * 0.999:
            why = f"measured on {len(names)} rung(s) over {span:.0f}x of compute only"
        else:
            return ""
    return why
