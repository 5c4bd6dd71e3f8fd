"""Effects are what the formulas say: right on average, with the spread they state."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from oracle import oracle_job

from miniscale.setting.setting import Kind
from scaling import PowerLaw, forecast_loss
from transfer.ladder import Ladder
from transfer.measure.effect import effect, fit_baseline_law
from transfer.measure.noise import Noise, Pool, share_of


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return oracle_job().ladder


LAW = PowerLaw(E=0.8, A=0.45, alpha=0.18)


def runs(
    rng: np.random.Generator, mean: float, shared: np.ndarray, seeds: list[int], rho: float
) -> dict[int, float]:
    own = rng.normal(size=len(shared))
    mixed = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    return {seed: mean + 0.01 * mixed[seed] for seed in seeds}


@pytest.mark.level1
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    ("base_seeds", "change_seeds"), [([0, 1, 2, 3], [0, 1]), ([0, 1], [0, 1]), ([0, 1, 2], [5, 6])]
)
def test_the_stated_spread_of_an_effect_is_its_real_one(
    ladder: Ladder, rho: float, base_seeds: list[int], change_seeds: list[int]
) -> None:
    rng = np.random.default_rng(1)
    baseline_law = fit_baseline_law(
        ladder, {r.name: {0: float(LAW(r.scale))} for r in ladder.rungs}
    )
    noise = Noise(sd=0.01, df=100, rho=rho, n_pairs=100)
    found = []
    for _ in range(4000):
        shared = rng.normal(size=8)
        # the model of the formulas: two arms on one seed correlate by rho
        b = {s: 1.25 + 0.01 * shared[s] for s in base_seeds}
        own = rng.normal(size=8)
        y = {s: 1.2 + 0.01 * (rho * shared[s] + np.sqrt(1 - rho**2) * own[s]) for s in change_seeds}
        found.append(
            effect(
                ladder, "small", baseline=b, change=y, noise=noise, baseline_law=baseline_law
            ).loss_gain
        )
    stated = effect(ladder, "small", baseline=b, change=y, noise=noise, baseline_law=baseline_law)
    assert np.mean(found) == pytest.approx(0.05, abs=5 * stated.loss_se / np.sqrt(4000))
    # the sd of 4,000 draws has a relative error of 1.1 %
    assert np.std(found) == pytest.approx(stated.loss_se, rel=0.06)


def test_a_gain_is_the_compute_that_the_baseline_would_need(ladder: Ladder) -> None:
    baseline_law = fit_baseline_law(
        ladder, {r.name: {0: float(LAW(r.scale))} for r in ladder.rungs}
    )
    noise = Noise(sd=0.001, df=10, rho=0.5, n_pairs=10)
    for rung in ladder.rungs:
        better = {0: float(LAW(rung.scale * np.exp(0.1)))}
        found = effect(
            ladder,
            rung.name,
            baseline={0: float(LAW(rung.scale))},
            change=better,
            noise=noise,
            baseline_law=baseline_law,
        )
        assert found.gain == pytest.approx(0.1, rel=0.02)


def test_a_shift_of_all_seeds_cancels_and_units_do_not_matter(ladder: Ladder) -> None:
    def measure(scale: float) -> float:
        base = {r.name: {0: scale * float(LAW(r.scale))} for r in ladder.rungs}
        baseline_law = fit_baseline_law(ladder, base)
        noise = Noise(sd=0.01 * scale, df=10, rho=0.5, n_pairs=10)
        return effect(
            ladder,
            "small",
            baseline={0: 1.25 * scale},
            change={0: 1.2 * scale},
            noise=noise,
            baseline_law=baseline_law,
        ).gain

    assert measure(1000.0) == pytest.approx(measure(1.0), rel=1e-6)


@pytest.mark.level1
def test_pooled_noise_and_correlation_recover_what_was_planted() -> None:
    rng = np.random.default_rng(2)
    rho, pool = 0.7, Pool()
    for n in range(400):
        shared = rng.normal(size=4)
        b = runs(rng, 1.0, shared, [0, 1, 2, 3], rho)
        y = runs(rng, 0.9, shared, [0, 1, 2, 3], rho)
        pool.put(f"b{n}", "small", share_of(b, None), None)
        pool.put(f"c{n}", "small", share_of(y, b), Kind.STRUCTURAL)
    noise = pool.noise({"small": 0.08}, {"small": 1.0}, ["small"])["small"]
    assert noise.sd == pytest.approx(0.01, rel=0.08)
    assert noise.rho == pytest.approx(rho, abs=0.08)


def test_without_replicates_noise_is_assumed_and_marked_so() -> None:
    pool = Pool()
    pool.put("b0", "small", share_of({0: 1.0}, None), None)
    noise = pool.noise({"small": 0.1}, {"small": 1.0}, ["small"])["small"]
    assert noise.df == 0
    assert noise.sd == pytest.approx(0.002)


def losses() -> Iterator[tuple[str, dict[str, dict[int, float]]]]:
    yield "accuracy to maximise", {"small": {0: -0.5}, "medium": {0: -0.6}, "large": {0: -0.7}}
    yield "no law", {"small": {0: 1.0}, "medium": {0: 1.1}, "large": {0: 1.05}, "top": {0: 1.2}}
    yield "one rung", {"small": {0: 1.0}}
    yield "two rungs", {"small": {0: 1.0}, "medium": {0: 0.9}}


@pytest.mark.parametrize(("case", "baseline"), losses())
def test_effects_have_the_right_sign_without_a_law(
    ladder: Ladder, case: str, baseline: dict[str, dict[int, float]]
) -> None:
    baseline_law = fit_baseline_law(ladder, baseline)
    noise = Noise(sd=0.01, df=10, rho=0.5, n_pairs=10)
    found = effect(
        ladder,
        "small",
        baseline=baseline["small"],
        change={0: baseline["small"][0] - 0.02},
        noise=noise,
        baseline_law=baseline_law,
    )
    assert found.gain > 0
    assert np.isfinite(found.gain_se)


def test_the_law_takes_the_noise_that_all_replicates_of_a_rung_say(ladder: Ladder) -> None:
    baseline = {r.name: {0: float(LAW(r.scale))} for r in ladder.rungs}
    noise = {r.name: Noise(sd=0.004, df=20, rho=0.5, n_pairs=9) for r in ladder.rungs}
    baseline_law = fit_baseline_law(ladder, baseline, noise)
    assert [scale.noise_sd for scale in baseline_law.fit.scales] == pytest.approx(
        [0.004] * len(baseline)
    )
    at = ladder.target
    told, rough = (
        forecast_loss(fit, at) for fit in (baseline_law.fit, fit_baseline_law(ladder, baseline).fit)
    )
    quiet = {name: replace(known, sd=0.0004) for name, known in noise.items()}
    less = forecast_loss(fit_baseline_law(ladder, baseline, quiet).fit, at)
    assert less.high - less.low < told.high - told.low != rough.high - rough.low
