"""The parts of a brief that say what was learned of changes so far, one line each."""

from collections import Counter

from autoresearch.brief.history import traceback
from autoresearch.brief.section import Section
from miniscale.process.logs import as_data
from miniscale.setting.trial import Scalar
from scaling import compute_multiple
from transfer.events import Effect, Outcome, Proposed, VerdictReached
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.report.proposer_accounts import calibration_words
from transfer.study.commit_message import multiplier

NEAR_ODDS = 0.5
"""assumption: odds from which a change that was not accepted is a near-miss."""


def sections(ladder: Ladder, state: StudyState, proposer: str) -> list[Section]:
    """Return what was learned, newest first in each section."""
    groups: dict[str, list[str]] = {name: [] for name in ("in", "scale", "near", "no", "crash")}
    for record in reversed(state.changes.values()):
        proposed, verdict = record.proposed, record.verdict
        if verdict is None or proposed.change.members or proposed.change.is_control:
            continue
        groups[_group(state, proposed, verdict)].append(change_line(state, proposed, verdict))
    flying = [p for p in state.in_flight() if not p.change.members and not p.change.is_control]
    refused = [
        f"- {one.title}: {' '.join(one.reason.split())[:200]}" for one in reversed(state.refused)
    ]
    scores = calibration_words(ladder, state, proposer)
    return [
        Section("Accepted", tuple(groups["in"]), 3),
        Section("In flight", tuple(f"- {p.arm} {_named(p)}" for p in flying)),
        Section(
            "Win at small sizes and not at the target; do not come back to these",
            tuple(groups["scale"]),
            2,
        ),
        Section(
            "Near misses against an older baseline; worth another try in a new form",
            tuple(groups["near"]),
            2,
        ),
        Section("Did not help", tuple(groups["no"]), 3),
        Section("Crashed", tuple(groups["crash"]), 1),
        Section("Refused without a run", tuple(refused[:40]), 1),
        Section("Categories tried", tuple(category_lines(state))),
        Section("Your expectations against what came", tuple(scores)),
    ]


def _group(state: StudyState, proposed: Proposed, verdict: VerdictReached) -> str:
    if proposed.arm in state.trials.broken:
        return "crash"
    if verdict.outcome.is_accepted:
        return "in"
    if verdict.outcome is Outcome.SCALE_BOUND:
        return "scale"
    odds = verdict.gain_forecast.odds if verdict.gain_forecast is not None else 0.0
    is_near = odds >= NEAR_ODDS and proposed.base != state.base
    return "near" if is_near else "no"


def _named(proposed: Proposed) -> str:
    change = proposed.change
    knobs = ", ".join(f"{name}={_plain(value)}" for name, value in change.knobs.items())
    what = f" {{{knobs}}}" if knobs else ""
    return f"{change.title[:80]}{what[:120]} [{change.category or 'no category'}]"


def _plain(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def change_line(state: StudyState, proposed: Proposed, verdict: VerdictReached) -> str:
    """Say one change, what it did on each rung and what that means at the target."""
    head = f"- {proposed.arm} {_named(proposed)}"
    if proposed.arm in state.trials.broken:
        last_line = (traceback(state, proposed.arm).strip().splitlines() or ["no reason given"])[-1]
        return f"{head}: {last_line[:160]}"
    effects = ", ".join(effect_text(effect) for effect in verdict.effects)
    forecast = verdict.gain_forecast
    if forecast is None:
        return f"{head}: {effects or verdict.reasons[0][:160]}"
    trend = f", {trend_text(forecast.slope)}" if len(verdict.effects) > 1 else ""
    return (
        f"{head}: {effects}{trend}; at the target {multiplier(forecast)}, odds {forecast.odds:.2f}"
    )


def effect_text(effect: Effect) -> str:
    """Write an effect in percent of compute: ``d2 +3.1 ± 1.2 %``."""
    gain = 100 * (compute_multiple(effect.gain) - 1)
    return f"{effect.rung} {gain:+.1f} ± {100 * effect.gain_se:.1f} %"


def trend_text(slope: float) -> str:
    """Say how a gain moves as compute grows by e."""
    if abs(slope) < 0.003:
        return "holds over scale"
    return f"{'grows' if slope > 0 else 'falls'} by {100 * abs(slope):.1f} points per e-fold"


def category_lines(state: StudyState) -> list[str]:
    """Say how often each category was tried and what it brought."""
    tried: Counter[str] = Counter()
    brought: Counter[str] = Counter()
    for record in state.changes.values():
        verdict = record.verdict
        if verdict is None or record.change.members or record.change.is_control:
            continue
        name = record.change.category or "no category"
        tried[name] += 1
        brought[name] += verdict.outcome.is_accepted
    ranked = sorted(tried, key=lambda name: (-tried[name], name))[:20]
    return [f"- {name}: {brought[name]} accepted of {tried[name]}" for name in ranked]


def crash_lines(state: StudyState, arm: str) -> list[str]:
    """Tell a crash in full: the edit, and what the trial printed last."""
    change = state.changes[arm].change
    lines = [f"{arm} '{change.title}' crashed. Hypothesis: {change.hypothesis[:300]}"]
    if change.knobs:
        lines.append(f"Knobs: {dict(change.knobs)}")
    if change.patch:
        lines += ["Its edit:", "```", *change.patch[:6_000].splitlines(), "```"]
    return [*lines, *as_data(traceback(state, arm), source="the trial's last words").split("\n")]
