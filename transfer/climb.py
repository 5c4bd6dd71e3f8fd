"""The climb: what each change in flight needs next, as a pure function of the state."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from miniscale.rung import Rung
from transfer.events import Action, Decided, Effect, Forecast, Judged, Outcome, Proposed
from transfer.ladder import Ladder
from transfer.measure import Losses, Noise, Yardstick, effect, pooled_noise, yardstick
from transfer.policy import Decision, Evidence, Policy
from transfer.state import State

SEEDS_A_STUDY = 1000
SALT = 500
"""Twins run on seeds that no baseline has."""


@dataclass(frozen=True)
class Step:
    """What was decided for one change: an event, and a verdict or a forecast with it."""

    decided: Decided
    verdict: Judged | None = None
    forecast: Forecast | None = None


class Analysis:
    """Effects and noise of a state, each computed once; valid until a trial ends."""

    def __init__(self, ladder: Ladder, state: State) -> None:
        self._ladder = ladder
        self._state = state
        self._noise: dict[str, Noise] = {}
        self._rulers: dict[str, Yardstick] = {}

    @cached_property
    def _losses(self) -> dict[tuple[str, str], dict[int, float]]:
        loss = self._ladder.setting.objective.loss
        return {
            key: {
                seed: loss(result.value)
                for seed, result in self._state.losses(*key).items()
                if result.value is not None
            }
            for key in self._state.requests
        }

    def losses(self, arm: str, rung: str) -> Losses:
        """Return an arm's losses on a rung by seed."""
        return self._losses.get((arm, rung), {})

    def ruler(self, base: str) -> Yardstick:
        """Return the law of a baseline; rungs not yet run on a newer one are lent by the oldest."""
        if base not in self._rulers:
            started = self._state.started
            is_first = started is not None and started.method == 1
            noise = {rung.name: self.noise(rung.name) for rung in self._ladder.rungs}
            runs = self._baseline(base)
            self._rulers[base] = yardstick(self._ladder, runs, None if is_first else noise)
        return self._rulers[base]

    def _baseline(self, base: str) -> dict[str, Losses]:
        oldest = next(iter(self._state.bases))
        return {
            rung.name: self.losses(base, rung.name) or self.losses(oldest, rung.name)
            for rung in self._ladder.rungs
        }

    @cached_property
    def _rough_slopes(self) -> Mapping[str, float]:
        """Slopes by the first baseline's own seeds: what noise is expected before replicates."""
        return yardstick(self._ladder, self._baseline(next(iter(self._state.bases)))).slopes

    def noise(self, rung: str) -> Noise:
        """Return the pooled noise of a rung."""
        if rung not in self._noise:
            groups = [group for (_, name), group in self._losses.items() if name == rung]
            pairs = [
                (self.losses(change.base, rung), self.losses(arm, rung))
                for arm, change in self._state.changes.items()
            ]
            slope = self._rough_slopes.get(rung, 0.0)
            self._noise[rung] = pooled_noise(groups, pairs, slope=slope)
        return self._noise[rung]

    def effects(self, proposed: Proposed) -> tuple[Effect, ...]:
        """Return a change's effects on all rungs where both arms have a run."""
        found = []
        for rung in self._ladder.rungs:
            baseline = self.losses(proposed.base, rung.name)
            change = self.losses(proposed.arm, rung.name)
            if baseline and change:
                found.append(
                    effect(
                        self._ladder,
                        rung.name,
                        baseline=baseline,
                        change=change,
                        noise=self.noise(rung.name),
                        ruler=self.ruler(proposed.base),
                    )
                )
        return tuple(found)

    def evidence(self, proposed: Proposed) -> Evidence:
        """Return what a policy may know of a change."""
        return Evidence(
            ladder=self._ladder,
            change=proposed.change,
            effects=self.effects(proposed),
            failure=failure(self._ladder, self._state, proposed.arm),
        )


def failure(ladder: Ladder, state: State, arm: str) -> str:
    """Say why an arm has a trial without a number; empty if it has none."""
    for rung in ladder.rungs:
        for seed, result in state.losses(arm, rung.name).items():
            if not result.is_complete:
                what = f"{result.state} {result.cause}".strip()
                said = (result.reason.strip().splitlines() or ["no reason given"])[-1]
                return f"{what} on {rung.name}, seed {seed}: {said.strip()[:300]}"
    return ""


def steps(ladder: Ladder, state: State, policy: Policy, *, budget: float) -> list[Step]:
    """Decide for every change in flight that was not decided on since the last tick.

    Changes are taken in the order proposed. What each step will run is set aside from the budget;
    a change whose step does not fit any more is undecided, with the price of going on.
    """
    analysis = Analysis(ladder, state)
    now = len(state.ticks)
    done = {decided.arm for decided in state.decisions if decided.tick == now}
    room = budget - state.spent
    planned: set[tuple[str, str, int]] = set()
    found: list[Step] = []
    for proposed in state.in_flight():
        evidence = analysis.evidence(proposed)
        decision = policy.decide(evidence)
        trials = new_trials(ladder, state, proposed, decision) - planned
        cost = math.fsum(ladder.rung(rung).cost for _, rung, _ in trials)
        if cost > room and proposed.arm not in done:
            decision = _unaffordable(decision, evidence, cost)
        if proposed.arm not in done:
            found.append(_step(policy, proposed, evidence, decision, now))
        if not decision.is_verdict:
            planned |= trials
            room -= cost
    return found


def _unaffordable(decision: Decision, evidence: Evidence, cost: float) -> Decision:
    return replace(
        decision,
        action=Action.STOP,
        reasons=(*decision.reasons, f"the budget ends before {decision.rung}"),
        outcome=Outcome.UNDECIDED,
        price=cost,
    )


def _step(
    policy: Policy, proposed: Proposed, evidence: Evidence, decision: Decision, now: int
) -> Step:
    decided = Decided(
        arm=proposed.arm,
        tick=now,
        rung=decision.rung,
        action=decision.action,
        effects=evidence.effects,
        outlook=decision.outlook,
        seeds=decision.seeds,
        reason="; ".join(decision.reasons),
    )
    if decision.outcome is not None:
        verdict = Judged(
            arm=proposed.arm,
            outcome=decision.outcome,
            effects=evidence.effects,
            outlook=decision.outlook,
            reasons=decision.reasons,
            price=decision.price,
        )
        return Step(decided, verdict=verdict)
    foreseen = policy.foresee(evidence, decision.rung)
    if decision.action is not Action.PROMOTE or foreseen is None:
        return Step(decided)
    forecast = Forecast(proposed.arm, decision.rung, foreseen.mean, foreseen.low, foreseen.high)
    return Step(decided, forecast=forecast)


def seeds_of(study_seed: int, n: int, *, is_twin: bool) -> list[int]:
    """Return the seeds of an arm's first n trials on a rung."""
    start = study_seed * SEEDS_A_STUDY + (SALT if is_twin else 0)
    return list(range(start, start + n))


def wanted(
    ladder: Ladder, proposed: Proposed, rung: Rung, n: int, *, study_seed: int
) -> list[tuple[str, str, int]]:
    """Return (arm, rung, seed) of all trials that n runs of a change on a rung need.

    The baseline runs on the same seeds, and once on every rung of the ladder, for its law.
    """
    twin = proposed.change.is_twin
    asked = [(proposed.arm, rung.name, s) for s in seeds_of(study_seed, n, is_twin=twin)]
    shared = max(n, rung.baseline_seeds)
    asked += [(proposed.base, rung.name, s) for s in seeds_of(study_seed, shared, is_twin=False)]
    first = seeds_of(study_seed, 1, is_twin=False)[0]
    asked += [(proposed.base, other.name, first) for other in ladder.rungs]
    return asked


def new_trials(
    ladder: Ladder, state: State, proposed: Proposed, decision: Decision
) -> set[tuple[str, str, int]]:
    """Return (arm, rung, seed) of the trials that a decision asks for the first time."""
    if decision.is_verdict:
        return set()
    rung = ladder.rung(decision.rung)
    seed = state.started.seed if state.started is not None else 0
    return {
        (arm, name, s)
        for arm, name, s in wanted(ladder, proposed, rung, decision.seeds, study_seed=seed)
        if s not in state.requests.get((arm, name), {})
    }


def unique(asked: Iterable[tuple[str, str, int]]) -> Sequence[tuple[str, str, int]]:
    """Drop repeated trials, keeping the order."""
    return list(dict.fromkeys(asked))
