"""Reasons in words, made from the numbers of a decision."""

import math
from collections.abc import Sequence

from miniscale.setting.setting import Kind
from transfer.change import Change
from transfer.events import Effect, GainForecast
from transfer.ladder import Ladder
from transfer.policy.voi.value import RungOption, RunPlan
from transfer.units import compute_share

WORDS = {Kind.STRUCTURAL: "structural change", Kind.HYPERPARAMETER: "hyper-parameter edit"}


def measured(effects: Sequence[Effect]) -> str:
    """Say what a change does on its rungs: ``wins 1.8 % at d2, loses 0.4 % at d3``."""
    clauses = []
    for effect in effects:
        verb = "wins" if effect.gain > 0 else "loses"
        size = compute_share(abs(effect.gain)).removeprefix("+")
        clauses.append(f"{verb} {size} of compute at {effect.rung} (n {effect.n})")
    return ", ".join(clauses) or "not measured"


def beyond(ladder: Ladder, effects: Sequence[Effect]) -> str:
    """Say how far the target is from the highest rung measured: ``10x``."""
    last = max((effect.position for effect in effects), default=0.0)
    ratio = math.exp(ladder.position(ladder.target) - last)
    if ratio >= 1000:
        return f"{ratio:.1e} times the compute"
    return f"{ratio:.0f}x" if ratio >= 3 else f"{ratio:.1f}x"


def likeness(change: Change, forecast: GainForecast, distance: str) -> str:
    """Say what becomes of changes of this kind with such effects."""
    lost = 1 - forecast.odds
    share = "half" if 0.45 <= lost <= 0.55 else f"{100 * lost:.0f} %"
    name = WORDS[change.kind]
    return f"of {name}s like it {share} lose at {distance}; P(gain) {forecast.odds:.2f}"


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def settle(ladder: Ladder, steps: Sequence[RungOption], plan: RunPlan | None) -> str:
    """Say what runs would settle a change and what they take; empty if nothing would."""
    if plan is None:
        return ""
    rung_index, n = plan.legs[0]
    rung = ladder.rung(steps[rung_index].name)
    price = f"{n * rung.cost:.3g} {ladder.unit}"
    if rung.seconds > 0:
        price += f", {duration(n * rung.seconds)}"
    more = "more " if steps[rung_index].n else ""
    return f"{n} {more}run{'s' if n > 1 else ''} at {rung.name}, {price}, would settle it"
