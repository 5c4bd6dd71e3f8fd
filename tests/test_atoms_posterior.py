"""The prior and posterior over atoms: sums that must equal brute force and keep their word."""

import math
from dataclasses import replace

import numpy as np
import pytest
from atoms_scenes import effect

from miniscale.setting.setting import Kind
from transfer.belief.posterior import Hint, Model, SharedError, believe, surprise
from transfer.belief.prior import Prior, atoms, rise
from transfer.ladder_trust import Trust
from transfer.policy.voi.learn import JudgedEffects, learn

MODEL = Model()


def normal(value: float, sd: float) -> float:
    return math.exp(-0.5 * (value / sd) ** 2) / sd


def below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


@pytest.mark.parametrize("kind", list(Kind))
def test_component_shares_and_atom_weights_add_up_to_one(kind: Kind) -> None:
    prior = Prior()
    assert prior.n_components == 36
    assert prior.shares(kind).sum() == pytest.approx(1)
    assert atoms(prior).table.sum(axis=1) == pytest.approx(np.ones(36))
    assert atoms(prior).first_table.sum(axis=1) == pytest.approx(np.ones(36))


def test_the_posterior_is_the_brute_force_sum_over_a_small_grid() -> None:
    prior = replace(Prior(), magnitudes=(0.02, 0.1))
    model = replace(MODEL, prior=prior)
    seen = (effect(0, 0.06, se=0.03, shared=0.01), effect(1, 0.05, se=0.02))
    shares = prior.shares(Kind.STRUCTURAL) @ atoms(prior).table
    total = mean = win = 0.0
    for weight, a, e, bent in zip(
        shares,
        atoms(prior).level,
        atoms(prior).end,
        atoms(prior).is_saturating,
        strict=True,
    ):

        def curve(x: float, a: float = a, e: float = e, bent: bool = bent) -> float:
            phi = (1 - math.exp(-x / 3)) / (1 - math.exp(-math.log(1e3) / 3))
            return float(a + (e - a) * (phi if bent else x / math.log(1e3)))

        p = float(weight)
        for one in seen:
            g = curve(one.position)
            p *= normal(one.gain - g, math.sqrt(one.gain_se**2 + (0.2 * g) ** 2 + 0.004**2))
        last, there = curve(seen[1].position), curve(7.0)
        t = last + min(there - last, 0.5 * (there - last))
        t = min(t, 0.0) if last < 0 else t
        m = math.sqrt((0.2 * t) ** 2 + 0.004**2 + (0.004 * (7.0 - seen[1].position)) ** 2)
        total, mean, win = total + p, mean + p * t, win + p * below(t / m)
    look = believe(seen, Kind.STRUCTURAL, model=model).gain_forecast(7.0)
    # atoms of less than 1e-5 of the heaviest are dropped: 50 of them, worth .0005 at most
    assert look.mean == pytest.approx(mean / total, abs=5e-5)
    assert look.odds == pytest.approx(win / total, abs=5e-4)


def test_the_interval_is_the_mixtures_quantiles() -> None:
    belief = believe((effect(0, 0.05, se=0.03),), Kind.HYPERPARAMETER, model=MODEL)
    look = belief.gain_forecast(6.0)
    value, doubt = belief.ahead(6.0)
    rng = np.random.default_rng(0)
    drawn = rng.choice(value.size, 400_000, p=belief.weights)
    sample = rng.normal(value[drawn], doubt[drawn])
    low, high = np.quantile(sample, [0.1, 0.9])
    # sd of a sample quantile here: below .0003
    assert look.low == pytest.approx(low, abs=0.002)
    assert look.high == pytest.approx(high, abs=0.002)


def test_the_conformal_factor_widens_the_interval_around_the_mean() -> None:
    seen = (effect(0, 0.05),)
    plain = believe(seen, Kind.STRUCTURAL, model=MODEL).gain_forecast(6.0)
    trusted = Model.trusting(Trust(conformal=2.0), MODEL.prior)
    wide = believe(seen, Kind.STRUCTURAL, model=trusted).gain_forecast(6.0)
    assert wide.high - wide.mean == pytest.approx(2 * (plain.high - plain.mean))
    assert wide.mean - wide.low == pytest.approx(2 * (plain.mean - plain.low))
    assert (wide.mean, wide.odds) == (plain.mean, plain.odds)


def test_one_rung_costs_no_more_than_the_levels_and_says_the_same() -> None:
    here = believe((effect(0, 0.05),), Kind.STRUCTURAL, model=MODEL)
    nearly = believe((replace(effect(0, 0.05), position=1e-9),), Kind.STRUCTURAL, model=MODEL)
    assert here.gain_forecast(6.0).mean == pytest.approx(nearly.gain_forecast(6.0).mean, abs=1e-9)


def test_effects_may_come_in_any_order() -> None:
    seen = (effect(0, 0.03), effect(1, 0.05), effect(3, 0.01))
    forward = believe(seen, Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)
    backward = believe(seen[::-1], Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)
    assert forward.mean == pytest.approx(backward.mean, abs=1e-12)


def test_the_losss_unit_does_not_matter() -> None:
    seen = (effect(0, 0.03), effect(1, 0.05))
    scaled = tuple(replace(e, loss_gain=1e3 * e.loss_gain, loss_se=1e3 * e.loss_se) for e in seen)
    plain = believe(seen, Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)
    assert plain == believe(scaled, Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)


def test_the_effect_scale_scales_everything() -> None:
    small = Model(misfit_share=0.2, misfit=0.004, drift=0.004)
    large = Model(scale=3.0, misfit_share=0.2, misfit=0.012, drift=0.012)
    one = believe((effect(0, 0.05, se=0.01),), Kind.STRUCTURAL, model=small).gain_forecast(6.0)
    three = believe((effect(0, 0.15, se=0.03),), Kind.STRUCTURAL, model=large).gain_forecast(6.0)
    assert three.mean == pytest.approx(3 * one.mean)
    assert three.odds == pytest.approx(one.odds)


def test_one_outlier_cannot_decide() -> None:
    steady = tuple(effect(place, 0.05) for place in range(3))
    outlier = (*steady, effect(3, -2.0))
    look = believe(outlier, Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)
    normal_reading = (*steady, effect(3, 0.0, se=0.005))
    moved = believe(normal_reading, Kind.STRUCTURAL, model=MODEL).gain_forecast(7.6)
    assert look.odds > moved.odds
    assert look.mean > 0.02


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("gain", [-3.5, 3.5])
def test_an_effect_beyond_the_grid_counts_as_its_edge(kind: Kind, gain: float) -> None:
    far, edge = (believe([effect(0, x)], kind, model=MODEL) for x in (gain, gain / 3.5))
    assert far.gain_forecast(6.9) == edge.gain_forecast(6.9)
    odds = far.gain_forecast(6.9).odds
    assert odds > 0.6 if gain > 0 else odds < 0.1


def test_the_square_is_kept_up_to_four_sd_and_grows_by_its_logarithm_beyond() -> None:
    residual, one = np.array([1.0, 3.9, 4.0, 40.0]), np.ones(4)
    assert surprise(residual, one)[:3] == pytest.approx([1.0, 3.9**2, 16.0])
    assert surprise(residual, one)[3] == pytest.approx(16 + math.log(1 + 1600 - 16))


def test_a_fall_is_believed_in_full_and_a_rise_by_half() -> None:
    belief = believe((effect(1, 0.05),), Kind.STRUCTURAL, model=MODEL)
    last, there = belief.curve(belief.last), belief.curve(7.0)
    value, _ = belief.ahead(7.0)
    falls = there < last
    assert value[falls & (last >= 0)] == pytest.approx(there[falls & (last >= 0)])
    rises = ~falls & (last >= 0)
    assert value[rises] == pytest.approx((last + 0.5 * (there - last))[rises])
    assert (value[last < 0] <= 0).all()


def test_doubt_grows_with_distance_from_the_highest_rung() -> None:
    belief = believe((effect(0, 0.05),), Kind.STRUCTURAL, model=MODEL)
    flat = belief.level == belief.end
    assert (belief.ahead(7.0)[1] > belief.ahead(7.0, last=5.0)[1])[flat].all()


def test_hyperparameter_edits_are_trusted_less_than_structural_changes() -> None:
    seen = (effect(0, 0.06), effect(1, 0.06))
    looks = {kind: believe(seen, kind, model=MODEL).gain_forecast(7.6) for kind in Kind}
    assert looks[Kind.STRUCTURAL].odds > looks[Kind.HYPERPARAMETER].odds


def test_a_large_gain_is_inside_the_grid() -> None:
    look = believe((effect(0, 0.6), effect(1, 0.6)), Kind.STRUCTURAL, model=MODEL).gain_forecast(
        7.6
    )
    assert look.high > 0.5


def test_the_pools_word_on_the_baseline_moves_a_change_by_it() -> None:
    seen = (effect(0, 0.05, se=0.02, shared=0.015),)
    pool = {"r0": SharedError(0.03, 0.003)}
    told = believe(seen, Kind.STRUCTURAL, model=MODEL, pool=pool).gain_forecast(6.0)
    alone = believe(seen, Kind.STRUCTURAL, model=MODEL).gain_forecast(6.0)
    assert told.mean < alone.mean


def test_a_crash_above_counts_as_a_loss_there() -> None:
    seen = (effect(0, 0.1),)
    belief = believe(seen, Kind.STRUCTURAL, model=MODEL, crashed_at=5.4)
    assert belief.gain_forecast(5.4).mean < -0.15


def test_a_hint_from_other_edits_moves_the_forecast_toward_it() -> None:
    seen = (effect(0, 0.05),)
    hint = Hint((0.0, 7.6), np.array([0.04, -0.05]), np.diag([0.02**2, 0.02**2]))
    told = believe(seen, Kind.HYPERPARAMETER, model=MODEL, hint=hint).gain_forecast(7.6)
    assert (
        told.mean < believe(seen, Kind.HYPERPARAMETER, model=MODEL).gain_forecast(7.6).mean - 0.02
    )


def test_moments_hold_the_doubt_of_drift_in_common() -> None:
    belief = believe((effect(0, 0.05),), Kind.STRUCTURAL, model=replace(MODEL, drift=1.0))
    _, covariance = belief.moments([0.0, 2.0, 4.0])
    assert covariance[1, 2] == pytest.approx(8.0, rel=0.05)
    assert np.linalg.eigvalsh(covariance).min() > 0


@pytest.mark.parametrize(("gain", "se"), [(math.nan, 0.01), (0.1, 0.0), (math.inf, 0.01)])
def test_an_effect_that_is_no_measurement_is_refused(gain: float, se: float) -> None:
    with pytest.raises(ValueError, match="must be finite with a positive error"):
        believe((replace(effect(0, 0.0), gain=gain, gain_se=se),), Kind.STRUCTURAL, model=MODEL)


def test_a_prior_whose_grid_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive and rise"):
        replace(Prior(), magnitudes=(0.1, 0.1))
    with pytest.raises(ValueError, match="must be 36 shares"):
        replace(Prior(), weights={"structural": (1.0,)})


def drawn(n: int, *, seed: int, kind: Kind, rungs: int) -> list[tuple[float, float, bool]]:
    """Draw changes from the prior; return (odds, target's gain, whether the interval covers)."""
    rng = np.random.default_rng(seed)
    grid, weights = atoms(MODEL.prior), MODEL.prior.shares(kind) @ atoms(MODEL.prior).table
    found = []
    for k in rng.choice(grid.level.size, n, p=weights / weights.sum()):
        seen = []
        for place in range(rungs):
            x = effect(place, 0.0).position
            g = grid.level[k] + (grid.end[k] - grid.level[k]) * rise(x, grid.is_saturating[k])
            sd = math.sqrt(0.02**2 + (0.2 * g) ** 2 + 0.004**2)
            seen.append(effect(place, float(g + rng.normal(0, sd)), se=0.02))
        belief = believe(seen, kind, model=MODEL)
        only = replace(
            belief,
            weights=np.ones(1),
            level=grid.level[[k]],
            end=grid.end[[k]],
            is_saturating=grid.is_saturating[[k]],
        )
        value, doubt = only.ahead(7.6)
        truth = float(rng.normal(value[0], doubt[0]))
        look = belief.gain_forecast(7.6)
        found.append((look.odds, truth, look.low <= truth <= look.high))
    return found


@pytest.mark.level1
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("rungs", [1, 3])
def test_odds_and_intervals_keep_their_word_under_their_own_prior(kind: Kind, rungs: int) -> None:
    n = 3000
    found = drawn(n, seed=1, kind=kind, rungs=rungs)
    # a millionth of such tests leaves 4.9 sd
    covered = sum(inside for _, _, inside in found) / n
    assert abs(covered - 0.8) < 4.9 * math.sqrt(0.8 * 0.2 / n)
    stated = np.array([odds for odds, _, _ in found])
    wins = np.array([truth > 0 for _, truth, _ in found])
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.01)):
        inside = (stated >= low) & (stated < high)
        sd = math.sqrt((stated[inside] * (1 - stated[inside])).sum())
        assert abs(wins[inside].sum() - stated[inside].sum()) < 4.9 * sd + 1


def rows(n: int, gain: float, *, se: float = 0.01, seed: int = 0) -> list[JudgedEffects]:
    rng = np.random.default_rng(seed)
    return [
        JudgedEffects(
            Kind.STRUCTURAL,
            (effect(0, float(gain * rng.standard_t(3) + rng.normal(0, se)), se=se),),
        )
        for _ in range(n)
    ]


def test_a_short_study_teaches_nothing() -> None:
    assert learn(rows(59, 0.1), MODEL) is MODEL


def test_a_study_of_large_effects_learns_a_large_scale_and_one_of_small_a_small() -> None:
    assert learn(rows(180, 0.3), MODEL).scale == pytest.approx(3.0)
    assert learn(rows(180, 0.003, se=0.002), MODEL).scale == pytest.approx(1 / 3)


def test_learning_is_weak_and_its_weights_add_up_to_one() -> None:
    nulls = [JudgedEffects(Kind.STRUCTURAL, (effect(0, 0.0, se=0.002),)) for _ in range(60)]
    model = learn(nulls, MODEL)
    before, after = MODEL.prior.shares(Kind.STRUCTURAL), model.prior.shares(Kind.STRUCTURAL)
    is_null = np.arange(36) < 12
    # all 60 can at most lift .38 to (.38 40 + 60) / 100 = .752
    assert before[is_null].sum() < after[is_null].sum() <= 0.7521
    # within a size 60 changes against 300 say little: no class gains a fifth
    inside_before, inside = (w[is_null] / w[is_null].sum() for w in (before, after))
    assert np.abs(inside - inside_before).max() < 0.2
    assert after.sum() == pytest.approx(1)
    assert model.prior.shares(Kind.HYPERPARAMETER) == pytest.approx(
        MODEL.prior.shares(Kind.HYPERPARAMETER)
    )


def test_an_audited_misfit_stays() -> None:
    # up and down again, which no curve of the prior does
    up = [(-1) ** n * 0.015 for n in range(60)]
    rough = [
        JudgedEffects(
            Kind.STRUCTURAL, tuple(effect(at, g, se=0.001) for at, g in enumerate((0.0, x, -x)))
        )
        for x in up
    ]
    assert learn(rough, MODEL).misfit == pytest.approx(0.012)
    assert learn(rough, MODEL, is_audited=True).misfit == MODEL.misfit


def test_learning_is_deterministic() -> None:
    first, second = learn(rows(120, 0.05), MODEL), learn(rows(120, 0.05), MODEL)
    assert first.prior == second.prior
