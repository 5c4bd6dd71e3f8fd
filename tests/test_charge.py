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
from transfer.study.study import price_trial


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


@pytest.mark.parametrize("told", [1.7e308, 1e60, -1e30, 0.0])
def test_compute_that_cannot_be_is_not_believed(told: float) -> None:
    found = analysis(12.0)
    for one in list(found.state.trials.results.values()):
        if one.identity.startswith("c1"):
            one.metrics["flops"] = told  # type: ignore[index]
            assert one.flops is None
    proposed = found.state.changes["c1"].proposed
    assert found.effects(proposed)[0].extra_cost == 0.0


@pytest.mark.parametrize(
    ("told", "times"), [(1.7e308, 1), (-1e30, 1), (1e59, 10), (1e-9, 0.1), (1.3, 1.3)]
)
def test_a_trial_cannot_refund_or_end_the_budget(told: float, times: float) -> None:
    rung = oracle_job().ladder.rungs[0]
    flops = told * rung.cost if 0 < told < 1e50 else told
    one = replace(result("r", 1.0), metrics={"flops": flops})
    assert price_trial(one, rung, "FLOPs") == pytest.approx(times * rung.cost)
    assert price_trial(one, rung, "steps") == rung.cost


def test_too_much_told_is_charged_as_if_nothing_were() -> None:
    arm = replace(result("r", 18.0), metrics={"flops": 1.7e308, "trainer_cpu_seconds": 18.0})
    assert overuse([arm], [result("b", 10.0)], on_device=False) == pytest.approx(1.8)


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
