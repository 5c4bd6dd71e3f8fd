"""Worlds: what is planted comes out, from the seed alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from miniscale.setting.rung import Tree
from miniscale.setting.setting import Kind
from transfer.bench.score import oracle, taken
from transfer.bench.worlds.catalogue import FAMILIES, MAKERS
from transfer.bench.worlds.families import Dearer, Empty, Slots, world
from transfer.bench.worlds.families_data import Repetition
from transfer.bench.worlds.families_law import Broken, Coefficients
from transfer.bench.worlds.suites import A, Calibrated, suite_world
from transfer.bench.worlds.world import (
    CRASHED,
    SCALES,
    Held,
    Luck,
    World,
    gain_between,
    power_law,
)
from transfer.change import Change
from transfer.study.simulated_study import NOWHERE, light_spec

X = [math.log(scale) for scale in SCALES]


def losses(world: World, tree: str, rung: int, n: int, held: Held | None = None) -> list[float]:
    """Run a set on a rung with seeds 0 to n - 1."""
    size = world.ladder.rungs[rung]
    specs = [light_spec(size, arm="a", seed=s, tree=Tree(NOWHERE, tree, {})) for s in range(n)]
    values = [world.result(spec, held or Held()).value for spec in specs]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("name", MAKERS)
def test_a_world_is_its_name_and_seed(name: str) -> None:
    first, again, other = MAKERS[name](3), MAKERS[name](3), MAKERS[name](4)
    last = again.mechanism.change(40)  # drawn out of order
    changes = [first.mechanism.change(n) for n in range(41)]
    assert changes[40] == last
    held = Held()
    for change in changes:
        held = taken(held, change)
    assert first.true(held) == again.true(held) != other.true(held)
    assert losses(first, "t", 1, 3) == losses(again, "t", 1, 3) != losses(other, "t", 1, 3)


@pytest.mark.parametrize("rung", range(4))
def test_noise_and_law_are_the_planted_ones(rung: int) -> None:
    world = replace(suite_world("A", 0), luck=Luck(outliers=0.0))
    found = np.array(losses(world, "base", rung, 2000))
    sd = 0.02 * 0.45 * 0.18 * math.exp(-0.12 * X[rung])
    # of 2,000 runs the mean is within 5 sd / sqrt(2000), the sd within 5 sd / sqrt(4000)
    assert abs(found.mean() - power_law(X[rung])) < 5 * sd / math.sqrt(2000)
    assert abs(found.std() / sd - 1) < 5 / math.sqrt(4000)


def test_arms_on_one_seed_correlate_as_planted() -> None:
    world = replace(suite_world("A", 1), luck=Luck(outliers=0.0))
    pair = losses(world, "one", 0, 4000), losses(world, "two", 0, 4000)
    assert np.corrcoef(*pair)[0, 1] == pytest.approx(0.2, abs=5 / math.sqrt(4000))


def test_heavy_tails_keep_their_sd() -> None:
    luck = Luck(tail_df=3, outliers=0.0)
    drawn = np.array([luck.own("tail", n) for n in range(20_000)])
    assert np.quantile(np.abs(drawn), 0.5) < 0.5  # a normal's is .67
    assert np.abs(drawn).max() > 6


def test_ideas_come_in_the_shares_of_the_suite() -> None:
    mechanism = Calibrated(replace(A, half_life=math.inf, late=0.0), "A", 0)
    ideas = [mechanism.idea(n) for n in range(6000)]
    structural = [idea for idea in ideas if idea.kind is Kind.STRUCTURAL]
    shares = {
        "structural": (len(structural) / 6000, 0.6, 6000),
        "wrong": (sum(idea.kind is not idea.tag for idea in ideas) / 6000, 0.1, 6000),
        "crashes": (sum(idea.crashes_from < math.inf for idea in ideas) / 6000, 0.01, 6000),
    }
    gains = [idea.curve(0.0) for idea in structural]
    for name, share, sign in (("helpful", 0.12, 1), ("null", 0.35, 0), ("harmful", 0.53, -1)):
        found = sum(np.sign(g) == sign for g in gains) / len(gains)
        shares[name] = (found, share, len(gains))
    for name, (found, share, n) in shares.items():
        assert abs(found - share) < 5 * math.sqrt(share * (1 - share) / n), name
    size = np.median([g for g in gains if g > 0])
    assert size == pytest.approx(0.02, rel=5 * 1.25 / math.sqrt(0.12 * len(gains)))


def test_helpful_ideas_halve_every_five_hundred() -> None:
    def helpful(first: int) -> float:
        nature = replace(A, structural=1.0, late=0.0)
        worlds = [Calibrated(nature, "A", seed) for seed in range(20)]
        gains = [one.idea(n).curve(0.0) for one in worlds for n in range(first, first + 100)]
        return float(np.mean([gain > 0 for gain in gains]))

    early, late = helpful(0), helpful(1000)
    # 2,000 ideas each: .112 and .028, with sds of .007 and .004
    assert early == pytest.approx(0.112, abs=0.035)
    assert late == pytest.approx(0.028, abs=0.02)


def test_what_does_the_same_counts_in_full_once() -> None:
    mechanism = Calibrated(replace(A, redundant=0.5), "Redundant", 0)
    copies = [n for n in range(400) if mechanism.idea(n).repeats >= 0]
    pairs = [(mechanism.idea(n).repeats, n) for n in copies]
    gains = [
        (mechanism.alone(a, 8.0), mechanism.alone(b, 8.0), mechanism.gain(Held((a, b)), 8.0))
        for a, b in pairs
    ]
    both = [(a, b, together) for a, b, together in gains if a > 0 and b > 0]
    assert len(both) > 20
    for a, b, together in both:
        assert together == pytest.approx(max(a, b) + 0.4 * min(a, b))


def test_a_set_with_an_idea_that_crashes_leaves_no_number() -> None:
    mechanism = Calibrated(replace(A, crashes=1.0), "A", 0)
    world = replace(suite_world("A", 0), mechanism=mechanism)
    late = next(n for n in range(99) if mechanism.idea(n).crashes_from == 3.0)
    assert losses(world, "t", 1, 1, Held((late,)))
    assert not losses(world, "t", 2, 1, Held((late,)))
    assert world.true(Held((late,))) == CRASHED


@pytest.mark.parametrize("kind", [Coefficients, Broken])
def test_a_gain_is_what_the_baseline_would_need_more(kind: type[Coefficients | Broken]) -> None:
    mechanism = kind(2)
    for n in range(20):
        held = Held((n, n + 20))
        gain = mechanism.gain(held, 5.0)
        baseline = mechanism.loss(Held(), 5.0 + gain)
        assert baseline == pytest.approx(mechanism.loss(held, 5.0), abs=1e-9)


def test_a_gain_that_no_compute_brings_is_cut() -> None:
    assert gain_between(power_law, 8.0, 0.7) == 3.0
    assert gain_between(power_law, 8.0, 9.0) == -3.0


def test_of_two_ideas_in_a_slot_the_later_counts() -> None:
    mechanism = Slots(0)
    first = 0
    second = next(n for n in range(1, 99) if mechanism.slot(n) == mechanism.slot(first))
    alone = mechanism.gain(Held((second,)), 3.0)
    assert mechanism.gain(Held((first, second)), 3.0) == pytest.approx(alone - Slots.CLASH)


def test_gains_of_many_slots_saturate() -> None:
    mechanism = Slots(1)
    good = [n for n in range(400) if mechanism.alone(n, 3.0) > 0.03]
    assert mechanism.gain(Held(tuple(good)), 3.0) < Slots.CAP


def test_the_last_edit_of_a_knob_replaces_the_one_before() -> None:
    world = FAMILIES["surface"](0)
    once = taken(Held(), Change("b", knobs={"k1": 0.5}))
    both = taken(taken(Held(), Change("a", knobs={"k1": -1.5})), Change("b", knobs={"k1": 0.5}))
    assert both == once
    assert world.true(once) == world.true(both) != 0


def test_nothing_is_nothing() -> None:
    mechanism = Empty(0)
    assert np.mean([mechanism.alone(n, 2.0) == 0 for n in range(1000)]) == pytest.approx(
        0.9, abs=0.05
    )


def test_dearer_ideas_report_and_are_judged_by_their_own_compute() -> None:
    made = world("extra_cost", 0, Dearer(0))
    dear = next(n for n in range(99) if made.mechanism.extra(Held((n,))) > 0.1)
    held = Held((dear,))
    spec = light_spec(made.ladder.rungs[2], arm="a", seed=0, tree=Tree(NOWHERE, "t", {}))
    flops = made.result(spec, held).metrics["flops"]
    assert flops == pytest.approx(36 * math.exp(made.mechanism.extra(held)))
    expected = made.mechanism.gain(held, made.end) - made.mechanism.extra(held)
    assert made.true(held) == expected


def test_only_a_matched_ladder_shows_what_fights_repetition() -> None:
    end = math.log(20 * 216)
    matched, unmatched = (Repetition(0, is_matched=m, end=end) for m in (True, False))
    patient = [n for n in range(200) if matched.recipe(n).patience > 1.5]
    assert len(patient) > 5
    for n in patient:
        held = Held((n,))
        assert matched.gain(held, 0.0) == pytest.approx(matched.gain(held, end), rel=0.1)
        assert unmatched.gain(held, 0.0) <= 0 < unmatched.gain(held, end)
        assert unmatched.loss(held, end) == pytest.approx(matched.loss(held, end))


@pytest.mark.parametrize("name", [*FAMILIES, "B", "Redundant"])
def test_no_subset_tried_beats_the_oracle(name: str) -> None:
    world = MAKERS[name](1)
    plan = replace(world.plan, budget=60 * (world.plan.idea_cost + 1))
    world = replace(world, plan=plan, n_ideas=60)
    best = oracle(world).utility
    rng = np.random.default_rng(0)
    ideas = [world.mechanism.change(n) for n in range(60)]
    worth = np.array([world.utility(taken(Held(), change)) for change in ideas])
    for trial in range(150):
        # subsets of all sizes, half of them of promising ideas alone
        likely = np.where(worth > 0, 0.7, 0.1) if trial % 2 else np.full(60, rng.random())
        held = Held()
        for change, is_in in zip(ideas, rng.random(60) < likely, strict=True):
            held = taken(held, change) if is_in else held
        assert world.utility(held) <= best + 1e-9
