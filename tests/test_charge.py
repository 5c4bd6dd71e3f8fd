"""Processor time beyond the band is compute that was spent, whatever a trainer says it spent."""

import math
from dataclasses import replace

import pytest
from oracle import oracle_job

from miniscale.setting.trial import TrialResult, TrialState
from transfer.change import Change
from transfer.events import (
    BaselineSet,
    Effect,
    Proposed,
    Request,
    Started,
    TrialFinished,
    TrialsRequested,
)
from transfer.failure import describe_failure
from transfer.journal.state import replay
from transfer.measure.extra_time import overuse
from transfer.measure.study_effects import Analysis


def result(name: str, seconds: float | None, value: float = 1.0) -> TrialResult:
    told = {} if seconds is None else {"trainer_cpu_seconds": seconds}
    return TrialResult(name, TrialState.COMPLETE, value, metrics={"flops": 1e9, **told})


@pytest.mark.parametrize(
    ("arm", "baseline", "times"),
    [
        ([10.0], [10.0, 10.0], 1.0),
        ([13.9], [10.0], 1.0),
        ([15.0, 15.0], [10.0], 1.5),
        ([9.0, 40.0, 15.0], [10.0], 1.5),
        ([3.0], [1.1], 1.0),
        ([4.0], [1.0], 4.0),
        ([None], [10.0], 1.0),
        ([50.0], [None, 10.0], 1.0),
        ([], [10.0], 1.0),
        ([50.0], [], 1.0),
    ],
)
def test_the_ratio_of_medians_counts_beyond_the_band(
    arm: list[float | None], baseline: list[float | None], times: float
) -> None:
    here, there = ([result("r", s) for s in seconds] for seconds in (arm, baseline))
    assert overuse(here, there, on_device=False) == pytest.approx(times)
    assert overuse(here, there, on_device=True) == 1.0


@pytest.mark.parametrize(
    ("flops", "seconds", "times"),
    [(1e8, 10.0, 10.0), (5e8, 5.0, 1.0), (2e9, 20.0, 1.0), (0.0, 10.0, math.inf)],
)
def test_who_tells_fewer_flops_is_due_fewer_seconds(
    flops: float, seconds: float, times: float
) -> None:
    arm = replace(result("r", seconds), metrics={"flops": flops, "trainer_cpu_seconds": seconds})
    assert overuse([arm], [result("b", 10.0)], on_device=False) == pytest.approx(times)


def analysis(seconds: float | None) -> Analysis:
    """Analyse a change that is better by the same loss, and took so many CPU-seconds."""
    ladder = replace(oracle_job().ladder, unit="FLOPs")
    rung = ladder.rungs[0].name
    asked = [Request(arm, rung, seed, f"{arm} {seed}") for arm in ("b0", "c1") for seed in (0, 1)]
    state = replay(
        [
            Started("s", "", 0, "p", {}),
            BaselineSet("b0", "abc"),
            Proposed("c1", "b0", Change("one", patch="p")),
            TrialsRequested(0, tuple(asked)),
        ]
    )
    for one in asked:
        took, value = (10.0, 3.0) if one.arm == "b0" else (seconds, 2.9)
        state.apply(TrialFinished(result(one.identity, took, value + 0.01 * one.seed), 1.0))
    return Analysis(ladder, state)


def effect_of(seconds: float | None) -> Effect:
    found = analysis(seconds)
    return found.effects(found.state.changes["c1"].proposed)[0]


def test_a_gain_is_less_what_its_hidden_compute_is_worth() -> None:
    free, within, charged = (effect_of(s) for s in (None, 12.0, 18.0))
    assert within == free
    assert charged.gain == pytest.approx(free.gain - math.log(1.8))
    assert charged.extra_cost == pytest.approx(math.log(1.8))
    assert not analysis(18.0).failure("c1")


def test_more_than_twice_the_baselines_time_is_over_budget() -> None:
    failure = analysis(25.0).failure("c1")
    assert failure is not None
    words = describe_failure(failure)
    assert words.startswith("over_budget on small, seed 0: took 2.5 times the baseline's processor")
    assert not analysis(19.9).failure("c1")
