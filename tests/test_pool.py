"""Pooled noise: right, the same in any order, and the same computed bit by bit or at once."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from oracle import oracle_job

from miniscale.setting.setting import Kind
from transfer.change import Change
from transfer.exact_sum import ExactSum
from transfer.journal.state import StudyState
from transfer.measure.effect import odd_spread
from transfer.measure.noise import Noise, Pool, share_of
from transfer.measure.study_effects import Analysis
from transfer.study.simulated_study import simulate
from transfer.study.study import Study
from transfer.study_plan import RoundRule, StudyPlan

SLOPES = {"low": 0.1, "high": 0.05}


def filled(rng: random.Random, order: list[int]) -> Pool:
    values = random.Random(0)
    runs = [{s: values.gauss(1, 0.01) for s in range(4)} for _ in order]
    pool = Pool()
    for place in order:
        losses = runs[place]
        if rng.random() < 0.5:  # some arms came in two steps
            pool.put(f"c{place}", "low", share_of({0: losses[0]}, runs[0]), Kind.STRUCTURAL)
        pool.put(f"c{place}", "low", share_of(losses, runs[0]), Kind.STRUCTURAL)
    return pool


def test_an_exact_sum_is_the_rounded_sum_whatever_was_taken_out_again() -> None:
    rng = random.Random(1)
    terms = [rng.gauss(0, 1) * 10 ** rng.randint(-12, 12) for _ in range(300)]
    total = ExactSum()
    for term in terms:
        total.add(term)
    for term in terms[::3]:
        total.add(-term)
    assert total.value == math.fsum(term for n, term in enumerate(terms) if n % 3)


def test_the_order_of_arrival_does_not_change_a_digit() -> None:
    found = set()
    for seed in range(20):
        rng = random.Random(seed)
        order = rng.sample(range(30), 30)
        found.add(filled(rng, order).noise(SLOPES, {}, ["low"])["low"])
    assert len(found) == 1


def test_a_rung_is_at_least_a_quarter_as_noisy_as_the_one_beside_it() -> None:
    pool = Pool()
    rng = np.random.default_rng(0)
    for n in range(200):
        for rung, sd in (("low", 0.02 * 0.1), ("high", 0.0002 * 0.05)):
            losses = dict(enumerate(rng.normal(1, sd, 2).tolist()))
            pool.put(f"c{n}", rung, share_of(losses, None), None)
    noise = pool.noise(SLOPES, {}, ["low", "high"])
    assert noise["low"].sd == pytest.approx(0.002, rel=0.1)
    assert noise["high"].sd / 0.05 == pytest.approx(noise["low"].sd / 0.1 / 4)


@pytest.mark.level1
def test_correlation_is_pooled_by_kind_of_change() -> None:
    pool, rng = Pool(), np.random.default_rng(3)
    planted = {Kind.STRUCTURAL: 0.2, Kind.HYPERPARAMETER: 0.9}
    for n in range(600):
        kind = (Kind.STRUCTURAL, Kind.HYPERPARAMETER)[n % 2]
        shared, own = rng.normal(size=(2, 4))
        rho = planted[kind]
        base = dict(enumerate(shared.tolist()))
        change = dict(enumerate((rho * shared + math.sqrt(1 - rho**2) * own).tolist()))
        pool.put(f"c{n}", "low", share_of(change, base), kind)
    for kind, rho in planted.items():
        assert pool.rho("low", kind)[0] == pytest.approx(rho, abs=0.1)


@pytest.mark.level1
@pytest.mark.parametrize("n", [2, 4])
def test_honest_replicates_are_called_odd_once_in_a_hundred(n: int) -> None:
    rng = np.random.default_rng(5)
    odd = 0
    for _ in range(10_000):
        losses = dict(enumerate(rng.normal(size=n).tolist()))
        pooled = math.sqrt(rng.chisquare(64) / 64)  # the pool is itself estimated
        odd += odd_spread(share_of(losses, None), Noise(pooled, 60, 0.5, 9)) is not None
    # nominal 100; sd of the count 10
    assert 50 <= odd <= 150


def test_replicates_that_spread_ten_times_too_far_speak_for_themselves() -> None:
    share = share_of({0: 0.0, 1: 14.14}, None)
    assert odd_spread(share, Noise(1.0, 50, 0.5, 9)) == pytest.approx(10, rel=0.01)


def topped(n: int) -> Study:
    job = oracle_job()
    changes = [Change(title=f"i{k}", knobs={"idea": k, "gain": -0.3}) for k in range(1, n + 1)]
    plan = StudyPlan(budget=1e6, round=RoundRule(999, 999, 99), tops_up=True)
    return simulate(job.ladder, changes, policy=job.policy, plan=plan)


def test_a_baseline_has_as_many_seeds_as_the_root_of_the_changes_measured() -> None:
    state = topped(30).state
    assert len(state.trials.requests["b0", "small"]) == 6  # ceil(sqrt(30)); the ladder's least is 4
    assert len(topped(9).state.trials.requests["b0", "small"]) == 4


def test_effects_computed_as_runs_arrive_are_those_computed_at_once() -> None:
    study = topped(12)
    state, rng = StudyState(), random.Random(2)
    growing = Analysis(study.ladder, state)
    checked: Counter[str] = Counter()
    for event in study.events:
        state.apply(event)
        if rng.random() < 0.3:
            growing.refresh()
            fresh = Analysis(study.ladder, state)
            for record in state.changes.values():
                effects = fresh.effects(record.proposed)
                assert growing.effects(record.proposed) == effects
                checked["effects"] += len(effects)
    assert checked["effects"] > 20
