"""What is too good or too equal to be believed before a person has looked at it."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np

from scaling import MOST_GAIN, is_off_scale
from transfer.events import Effect, Proposed, VerdictReached
from transfer.journal.state import StudyState
from transfer.measure.study_effects import Analysis
from transfer.units import OFF_SCALE

CLEAR = 3.0
"""Standard errors from which an effect is no luck of a few runs."""
# assumption: a thousandth by chance, and a person only has to look
CHANCE = 1e-3
"""Odds below which equal numbers are no rounding of different ones."""
MOST_PARTS = 100_000
"""Parts of a whole, such as the rows of a test set, that shares are looked for in."""
MOST_LAWS = 0.9
"""Share of a fit's laws that must rule a loss out."""

Values = Mapping[int, float]
"""Seed -> what a trial printed."""


def suspicion(analysis: Analysis, proposed: Proposed) -> str:
    """Say why a change's numbers want a person's look; empty if they do not.

    Only of single changes that look better somewhere and that nobody has confirmed.
    """
    record = analysis.state.changes[proposed.arm]
    if record.is_confirmed or proposed.change.members or proposed.change.is_control:
        return ""
    effects = analysis.effects(proposed)
    if not any(effect.gain > 0 for effect in effects):
        return ""
    return next(_suspicions(analysis, proposed, effects), "")


def uncertain(analysis: Analysis, verdict: VerdictReached) -> str:
    """Say why no certificate is given, whatever a policy makes of the numbers; empty if none.

    A gain off the ladder's scale has no law to be read by, and without a difference between seeds
    nothing says what the numbers' own error is, unless the setting declares that there is none.
    """
    forecast = verdict.gain_forecast
    gains = [effect.gain for effect in verdict.effects]
    if any(is_off_scale(gain) for gain in (*gains, forecast.mean if forecast else 0.0)):
        return f"{OFF_SCALE}"
    if not analysis.baseline_law(analysis.state.first_base).is_in_compute:
        return "the baseline does not get better with compute: no law leads to the target"
    is_declared = analysis.ladder.setting.deterministic
    arms = (verdict.arm, analysis.state.changes[verdict.arm].base)
    rungs = [effect.rung for effect in verdict.effects]
    printed = [values_of(analysis.state, arm, rung) for arm in arms for rung in rungs]
    is_heard = any(len(set(values.values())) > 1 for values in printed)
    if not is_declared and not is_heard:
        return (
            "no two seeds gave different numbers; pass {seed} to the program, "
            "or say deterministic: true in the setting"
        )
    return ""


def _suspicions(
    analysis: Analysis, proposed: Proposed, effects: tuple[Effect, ...]
) -> Iterator[str]:
    for effect in effects:
        arms = [values_of(analysis.state, a, effect.rung) for a in (proposed.arm, proposed.base)]
        yield from _at_bound(analysis, effect, *arms)
        yield from _equal_seeds(analysis, effect, proposed.arm, *arms)
        yield from _beyond(analysis, effect, proposed)
    yield from _equal_rungs(analysis, proposed, effects)


def values_of(state: StudyState, arm: str, rung: str) -> dict[int, float]:
    """Return what an arm's complete trials on a rung printed, by seed."""
    ended = state.trials.ended.get((arm, rung), {})
    return {seed: r.value for seed, r in sorted(ended.items()) if r.value is not None}


def _at_bound(
    analysis: Analysis, effect: Effect, values: Values, baseline: Values
) -> Iterator[str]:
    """Find a value at the best that the metric can be, where the baseline is not."""
    objective = analysis.ladder.setting.objective
    best = 1.0 if objective.best is None else objective.best
    is_share = all(0 <= value < 1 for value in baseline.values())
    is_inside = is_share if best else all(value > 0 for value in baseline.values())
    if not is_inside or effect.gain <= 0:
        return
    if best in values.values():
        yield f"exactly {best:g} at {effect.rung}, the best that there is"
    elif objective.bounds and not all(0 <= value <= 1 for value in values.values()):
        yield f"beyond {best:g} at {effect.rung}, the best that there is"


def _equal_seeds(
    analysis: Analysis, effect: Effect, arm: str, values: Values, baseline: Values
) -> Iterator[str]:
    """Find seeds that give one number where the baseline's differ."""
    if len(values) < 2 or len(set(values.values())) > 1 or len(set(baseline.values())) < 2:
        return
    others = _others(analysis, arm, effect.rung)
    if any(len(set(other.values())) < len(other) for other in others):
        return  # the metric is coarse: seeds of other arms agree too
    grain = _grain([*values.values(), *(v for other in others for v in other.values())])
    step = _in_loss(analysis, grain, next(iter(values.values())))
    chance = min(1.0, step / (2 * math.sqrt(math.pi) * analysis.noise(effect.rung).sd))
    if chance ** (len(values) - 1) < CHANCE:
        yield f"{len(values)} seeds at {effect.rung} give the same number to the last digit"


def _others(analysis: Analysis, arm: str, rung: str) -> list[Values]:
    """Return what other arms printed on a rung, changes of the same make left out."""
    state = analysis.state
    arms = [other for other, name in state.trials.ended if name == rung and other != arm]
    judged = state.changes.judged
    plain = [a for a in arms if a in state.bases or (a in judged and judged[a].commit)]
    return [values_of(state, other, rung) for other in plain]


def _grain(values: list[float]) -> float:
    """Return the least difference between numbers of this kind.

    The step in which they are printed, .01 for 0.93 and 0.94; where they are shares of a whole, as
    140 right answers of 150 printed to the last digit, one part of that whole.
    """
    shares = [Fraction(value).limit_denominator(MOST_PARTS) for value in values]
    parts = math.lcm(*(share.denominator for share in shares))
    # a number that is no such share lies some 1e-10 from the nearest one
    are_shares = all(
        abs(v - float(s)) <= 1e-14 * abs(v) for v, s in zip(values, shares, strict=True)
    )
    exponents = [Decimal(repr(value)).as_tuple().exponent for value in values]
    printed = float(10.0 ** max(min(e for e in exponents if isinstance(e, int)), -300))
    return max(printed, 1 / parts) if are_shares and parts <= MOST_PARTS else printed


def _in_loss(analysis: Analysis, grain: float, value: float) -> float:
    """Return what a difference in the metric is in its loss, at a value."""
    loss = analysis.ladder.setting.objective.loss
    return max(abs(loss(value + grain) - loss(value)), abs(loss(value - grain) - loss(value)))


def _beyond(analysis: Analysis, effect: Effect, proposed: Proposed) -> Iterator[str]:
    """Find an effect that neither the law nor a change that a person vouched for allows."""
    if effect.gain <= 0 or effect.loss_gain < CLEAR * effect.loss_se:
        return
    law = analysis.baseline_law(proposed.base)
    level = analysis.mean_loss(proposed.base, effect.rung)
    floors, exponents = law.table[:, 0], law.table[:, 1]
    above = level - floors
    allowed = above * -np.expm1(-MOST_GAIN * exponents)
    is_ruled_out = effect.loss_gain >= allowed[above > 0]
    is_beyond = bool(len(is_ruled_out)) and float(is_ruled_out.mean()) >= MOST_LAWS
    if not (is_beyond or is_off_scale(effect.gain)) or _is_vouched_for(analysis, effect):
        return
    yield f"{OFF_SCALE} at {effect.rung}: no arm so far makes it believable"


def _is_vouched_for(analysis: Analysis, effect: Effect) -> bool:
    """Whether a change that was confirmed gains half as much on the rung."""
    for record in analysis.state.changes.values():
        if record.is_confirmed and record.proposed.change.members == ():
            found = analysis.effects(record.proposed)
            if any(e.rung == effect.rung and 2 * e.loss_gain >= effect.loss_gain for e in found):
                return True
    return False


def _equal_rungs(
    analysis: Analysis, proposed: Proposed, effects: tuple[Effect, ...]
) -> Iterator[str]:
    """Find a number that two rungs share where the baseline's do not come near each other."""
    state, seen = analysis.state, dict[float, str]()
    for effect in effects:
        for value in set(values_of(state, proposed.arm, effect.rung).values()):
            below = seen.setdefault(value, effect.rung)
            if below != effect.rung and not _may_meet(
                analysis, proposed, below, effect.rung, value
            ):
                yield f"{below} and {effect.rung} give the same number to the last digit"


def _may_meet(analysis: Analysis, proposed: Proposed, low: str, high: str, value: float) -> bool:
    """Whether runs of two rungs may give one value by chance, or the baseline's come near."""
    pair = [values_of(analysis.state, proposed.base, rung) for rung in (low, high)]
    grain = _grain([*(v for values in pair for v in values.values()), value])
    means = [math.fsum(values.values()) / len(values) for values in pair]
    n_pairs = math.prod(len(values_of(analysis.state, proposed.arm, rung)) for rung in (low, high))
    spread = math.hypot(*(analysis.noise(rung).sd for rung in (low, high)))
    chance = n_pairs * _in_loss(analysis, grain, value) / (math.sqrt(2 * math.pi) * spread)
    return abs(means[0] - means[1]) <= 20 * grain or chance >= CHANCE


def copies_words(state: StudyState, arm: str, rung: str) -> str:
    """Say that an arm's second trial on a rung is a copy of its first; empty if it is none."""
    values = values_of(state, arm, rung)
    if len(values) != 2 or len(set(values.values())) > 1:
        return ""
    seeds = " and ".join(str(seed) for seed in values)
    return (
        f"{arm} at {rung}: seeds {seeds} gave the same number to the last digit; while no seeds "
        "differ, all runs of an arm count as one and nothing is certified: pass {seed} to the "
        "program, or say deterministic: true in the setting"
    )
