"""Forecasts, gains, frontiers and designs: planted truths come back, intervals hold them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_scaling_surface import LOSS, D, N

from scaling.compare_arms import Arm, compare
from scaling.design import PlannedRung, design, gain_sd
from scaling.fit.bootstrap import paired_runs, resample
from scaling.fit.form_fit import fit_form
from scaling.isoflop import flops_rule, parabola_frontier, surface_frontier
from scaling.law.law_catalogue import HOFFMANN, POWER, SURFACE_NO_OFFSET, TIED
from scaling.table.split import distance_beyond, inner_splits, rung_orders
from scaling.weighted_forecast import extrapolate

COMPUTE = 6 * N * D
CUTS = (3e19, 1e20, 3e20, 1e21)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.level1
def test_forecasts_above_the_four_chinchilla_cuts_are_right_as_often_as_stated() -> None:
    hits, widths = [], []
    for cut in CUTS:
        below = cut > COMPUTE
        found = extrapolate(N[below], D[below], loss=LOSS[below], rng=generator())
        ahead = found.forecast(N[~below], D[~below])
        hits.append([f.contains(v) for f, v in zip(ahead, LOSS[~below], strict=True)])
        widths.append(np.mean([np.log(f.high / f.low) for f in ahead]))
    assert 0.92 <= np.mean(np.concatenate(hits)) <= 0.98
    assert min(np.mean(h) for h in hits) >= 0.83
    assert np.mean(widths) <= 0.06


@pytest.mark.level1
def test_intervals_hold_planted_laws_as_often_as_stated() -> None:
    hits, n = 0, 30
    for seed in range(n):
        rng = generator(seed)
        compute, ahead = np.geomspace(1e15, 1e18, 30), 6e18
        floor, alpha = rng.uniform(1.4, 2), rng.uniform(0.1, 0.25)
        loss = (floor + 1.5 * (compute / 1e15) ** -alpha) * np.exp(0.003 * rng.normal(size=30))
        truth = (floor + 1.5 * (ahead / 1e15) ** -alpha) * np.exp(0.003 * rng.normal())
        found = extrapolate(compute, loss=loss, rng=rng, n=100, forms=((POWER, 1.0),))
        hits += found.forecast(ahead)[0].contains(truth)
    error = 4.9 * np.sqrt(0.95 * 0.05 / n)
    assert 0.93 - error < hits / n < 0.97 + error


def test_forms_are_weighed_by_held_out_rungs_not_by_their_fit() -> None:
    free = fit_form(HOFFMANN, N, D, loss=LOSS).objective
    truth = np.exp(TIED.log_loss(fit_form(TIED, N, D, loss=LOSS).theta[None],
                                 fit_form(TIED, N, D, loss=LOSS).problem.x)[0])  # fmt: skip
    noisy = truth * np.exp(0.004 * generator(3).standard_normal(240))
    found = extrapolate(N, D, loss=noisy, rng=generator(),
                        forms=((TIED, 1.0), (SURFACE_NO_OFFSET, 1.0)))  # fmt: skip
    assert found.best.form is TIED
    assert fit_form(TIED, N, D, loss=LOSS).objective > free


def test_a_forecast_further_away_is_wider_and_the_laws_own_is_narrower() -> None:
    found = extrapolate(N, D, loss=LOSS, rng=generator())
    near, far = found.forecast([1e10, 1e11], [2e11, 2e12])
    assert np.log(far.high / far.low) > 1.3 * np.log(near.high / near.low)
    law = found.forecast(1e10, 2e11, n_seeds=0)[0]
    assert law.high - law.low < near.high - near.low


def test_surprise_counts_standard_deviations_and_better_is_positive() -> None:
    found = extrapolate(N, D, loss=LOSS, rng=generator())
    mean = found.forecast(1e10, 2e11)[0].mean
    assert found.surprise(mean, 1e10, 2e11) == pytest.approx(0, abs=1e-9)
    assert found.surprise(mean * 0.9, 1e10, 2e11) > 3


def test_checkpoints_of_a_run_are_not_taken_as_independent() -> None:
    rng = generator(5)
    run = np.repeat(np.arange(15), 6)
    compute = np.geomspace(1e15, 1e18, 90)
    loss = (1.7 + (compute / 1e15) ** -0.2) * np.exp(0.01 * rng.standard_normal(15)[run])
    found = [
        extrapolate(compute, loss=loss, run=names, rng=generator(), forms=((POWER, 1.0),))
        for names in (run, None)
    ]
    spread = [np.std(f.members[0].ensemble.predict(1e20)) for f in found]
    assert spread[0] > 1.3 * spread[1]
    assert found[0].df < found[1].df


def test_rungs_are_model_sizes_where_they_are_few_and_both_where_they_repeat() -> None:
    size = np.log(np.repeat([1e7, 1e8, 1e9, 1e10], 5))
    tokens = np.log(np.tile([1e9, 2e9, 4e9, 8e9, 16e9], 4))
    (few,) = rung_orders(np.stack([size, tokens]))
    assert few.tolist() == np.repeat(np.arange(4), 5).tolist()
    assert [[m.sum() for m in d] for d in inner_splits(np.stack([size, tokens]), 5)] == [[15]]
    by_size, by_compute = rung_orders(np.log(np.stack([N, D])))
    assert (np.diff(N[np.argsort(by_size, kind="stable")]) > -0.1 * N.max()).all()
    cut = [COMPUTE[m].max() <= COMPUTE[~m].min() for m in inner_splits(np.log([N, D]), 5)[1]]
    assert all(cut)
    assert by_compute.max() > by_size.max()


def test_distance_is_counted_in_nats_beyond_the_largest_run() -> None:
    x = np.log(np.array([[1e8, 1e9], [1e10, 2e10]]))
    target = np.log(np.array([[1e8, 1e10], [1e10, 2e11]]))
    assert distance_beyond(x, target) == pytest.approx([0, 2 * np.log(10)])


@settings(max_examples=10, deadline=None)
@given(multiplier=st.floats(0.7, 1.8), seed=st.integers(0, 99))
def test_a_planted_multiplier_comes_back_on_a_surface(multiplier: float, seed: int) -> None:
    n = np.repeat([1e7, 3e7, 1e8, 3e8, 1e9], 4)
    d = n * np.tile([10.0, 20, 40, 80], 5)
    law = fit_form(HOFFMANN, N, D, loss=LOSS)
    names = np.array([f"cell {i}" for i in range(20)])
    noise = np.exp(2e-4 * generator(seed).standard_normal(20))
    grown = np.sqrt(multiplier)
    arms = [Arm(np.stack([n, d]), law(n * g, d * g) * noise, names) for g in (1.0, grown)]
    found = compare(*arms, form=HOFFMANN, target=(3e9, 6e10), rng=generator(), n=100)
    assert found.target.multiplier == pytest.approx(multiplier, rel=0.03)
    assert found.target.low <= found.target.mean <= found.target.high
    assert len(found.by_scale) >= 5


def test_pairing_the_arms_narrows_the_gain() -> None:
    rng = generator(11)
    compute = np.repeat(np.geomspace(1e15, 1e18, 6), 4)
    shared = np.exp(0.004 * rng.standard_normal(24))
    base = (1.7 + (compute / 1e15) ** -0.2) * shared
    change = (1.7 + (1.1 * compute / 1e15) ** -0.2) * shared
    names = np.array([f"{i}" for i in range(24)])
    widths = []
    for ours, theirs in ((names, names), (names, np.char.add("x", names))):
        arms = Arm(compute[None], base, ours), Arm(compute[None], change, theirs)
        found = compare(*arms, form=POWER, target=(1e18,), rng=generator(), n=300)
        widths.append(found.target.high - found.target.low)
        assert found.target.low < np.log(1.1) + 0.03
    assert widths[0] < 0.6 * widths[1]


def test_runs_that_share_a_pair_share_a_name() -> None:
    assert paired_runs(["a", "b", "c"], ["s1", "", "s1"]).tolist() == ["pair s1", "b", "pair s1"]


def test_the_frontier_of_hoffmanns_form_is_its_closed_form() -> None:
    fit = fit_form(HOFFMANN, N, D, loss=LOSS)
    ensemble = resample(fit, 200, generator())
    found = surface_frontier(ensemble, np.array([1e20, 1e22, 5.76e23]))
    p = fit.parameters
    a = p["beta"] / (p["alpha"] + p["beta"])
    g = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    for optimum in found.optima:
        best = g * (optimum.flops / 6) ** a
        assert optimum.parameters[0] == pytest.approx(best, rel=1e-3)
        assert optimum.tokens[0] == pytest.approx(optimum.flops / 6 / best, rel=1e-3)
    assert found.a[0] == pytest.approx(a, rel=1e-3)
    assert found.a[1] < 0.514 < found.a[2]
    assert found.a[0] + found.b[0] == pytest.approx(1)


def test_the_frontier_follows_flops_by_size() -> None:
    """Small models spend more FLOPs a parameter: the optimum under that is found by brute force."""
    n = np.geomspace(1e7, 1e10, 13)
    factor = 6 * (1 + 20 * n**-0.2)
    size, per = np.repeat(n, 8), np.repeat(factor, 8)
    tokens = size * np.tile(np.geomspace(5, 80, 8), 13)
    loss = 1.7 + 400 * size**-0.34 + 900 * tokens**-0.34
    found = surface_frontier(
        resample(fit_form(HOFFMANN, size, tokens, loss=loss), 20, generator()),
        np.array([1e18, 1e20]),
        rule=flops_rule(size, tokens, per * size * tokens),
    )
    fine = np.geomspace(1e7, 1e10, 20001)
    for optimum in found.optima:
        data = optimum.flops / (6 * (1 + 20 * fine**-0.2) * fine)
        best = fine[np.argmin(1.7 + 400 * fine**-0.34 + 900 * data**-0.34)]
        assert optimum.parameters[0] == pytest.approx(best, rel=0.08)
        one_factor = (optimum.flops / float(np.median(per))) ** 0.5
        assert abs(np.log(one_factor / best)) > 0.1


def test_parabolas_find_planted_optima() -> None:
    budgets = np.repeat([1e18, 1e19, 1e20, 1e21], 7)
    best = 1e8 * (budgets / 1e18) ** 0.5
    n = best * np.tile(np.exp(np.linspace(-1.5, 1.5, 7)), 4)
    loss = 2 + (budgets / 1e18) ** -0.1 + 0.03 * np.log(n / best) ** 2
    names = np.array([f"{i}" for i in range(28)])
    found = parabola_frontier((n, budgets / (6 * n)), loss, budgets, names, generator())
    assert found.a[0] == pytest.approx(0.5, abs=1e-3)
    assert [o.parameters[0] for o in found.optima] == pytest.approx(best[::7].tolist(), rel=1e-3)
    with pytest.raises(ValueError, match="the surface stands alone"):
        parabola_frontier((n[:2], n[:2]), loss[:2], budgets[:2], names[:2], generator())


RUNGS = tuple(PlannedRung(1e18 * 6.0**i, 0.05, 0.002 * 0.8**i, 6.0**i) for i in range(4))


@given(seeds=st.tuples(*[st.integers(0, 8)] * 4), rung=st.integers(0, 3))
def test_more_seeds_never_widen_a_design(seeds: tuple[int, ...], rung: int) -> None:
    more = tuple(n + (i == rung) for i, n in enumerate(seeds))
    before, after = (gain_sd(RUNGS, s, target=1e21, gain=0.05, rho=0.5) for s in (seeds, more))
    assert after <= before * (1 + 1e-9)


def test_a_plan_reaches_its_power_and_a_smaller_gain_costs_more() -> None:
    plans = {g: design(RUNGS, target=1e21, gain=np.log(g)) for g in (1.05, 1.1)}
    assert all(p.power >= 0.8 for held in plans.values() for p in held)
    assert plans[1.05][0].cost > plans[1.1][0].cost
    assert [p.cost for p in plans[1.05]] == sorted(p.cost for p in plans[1.05])


def test_a_designs_power_is_what_simulation_gives() -> None:
    plan = design(RUNGS, target=1e21, gain=0.08)[0]
    rng = generator(2)
    kept = [(r, n) for r, n in zip(RUNGS, plan.seeds, strict=True) if n]
    ahead = np.log([r.compute for r, _ in kept]) - np.log(1e21)
    slope = 0.08 / 18 * rng.standard_normal(20_000)
    v = np.array([(r.noise_sd / r.slope) ** 2 / n + (0.2 * 0.08) ** 2 + 0.004**2 for r, n in kept])
    seen = 0.08 + slope[:, None] * ahead + np.sqrt(v) * rng.standard_normal((20_000, len(kept)))
    matrix = np.diag(v) + (0.08 / 18) ** 2 * np.outer(ahead, ahead)
    weight = np.linalg.solve(matrix, np.ones(len(kept)))
    estimate = seen @ weight / weight.sum()
    assert (estimate / plan.gain_sd > 1.2816).mean() == pytest.approx(plan.power, abs=0.02)


def test_a_ladder_whose_loss_does_not_fall_has_no_design() -> None:
    with pytest.raises(ValueError, match="loss does not fall at every rung"):
        design((PlannedRung(1e18, 0.0, 0.002, 1.0),), target=1e20, gain=0.05)


def test_a_gain_is_doubted_by_an_eighteenth_of_it_per_nat_to_the_target() -> None:
    exact = PlannedRung(1e18, 0.05, 0.0, 1.0)
    near, far = (
        gain_sd((exact,), (1,), target=1e18 * np.exp(nats), gain=0.1, rho=0.5) for nats in (0, 9)
    )
    assert np.sqrt(far**2 - near**2) == pytest.approx(0.1 * 9 / 18)
