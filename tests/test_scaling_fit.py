"""The fit: planted laws come back, doubt covers what it should, units do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling import Fit, FitStatus, PowerLaw, fit_power_law, forecast_band, forecast_loss

laws = st.builds(
    lambda share, alpha, loss: PowerLaw.through(1e13, loss, E=share * loss, alpha=alpha),
    share=st.floats(0.05, 0.85),
    alpha=st.floats(0.05, 0.5),
    loss=st.floats(0.01, 100.0),
)
seeds = st.integers(0, 2**32 - 1)


def noisy_runs(seed: int, n_scales: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    compute = np.repeat(1e11 * 6.0 ** np.arange(n_scales), [4, 3, 2, 1][:n_scales])
    law = PowerLaw.through(1e12, 1.7, E=rng.uniform(0.2, 1.1), alpha=rng.uniform(0.1, 0.3))
    return compute, law(compute) * np.exp(0.003 * rng.standard_normal(len(compute)))


def parameters(fit: Fit) -> np.ndarray:
    return np.array([(law.E, law.alpha) for law in (fit.law, *fit.ensemble)])


@settings(max_examples=60, deadline=None)
@given(law=laws)
def test_a_planted_law_comes_back_from_noiseless_runs(law: PowerLaw) -> None:
    compute = 1e11 * 12.0 ** np.arange(5)
    fit = fit_power_law(compute, law(compute))
    floor = fit.law.E
    assert floor == pytest.approx(law.E, rel=1e-3, abs=1e-3 * law(1e15))
    assert fit.law.alpha == pytest.approx(law.alpha, rel=1e-3)
    assert fit.law(1e17) == pytest.approx(law(1e17), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, unit=st.sampled_from([1e-18, 1e-6, 3600.0, 1e15]), size=st.floats(1e-3, 1e3))
def test_units_of_compute_and_loss_do_not_matter(seed: int, unit: float, size: float) -> None:
    compute, loss = noisy_runs(seed)
    plain, scaled = fit_power_law(compute, loss), fit_power_law(compute * unit, loss * size)
    assert scaled.status == plain.status
    expected = parameters(plain) * [size, 1]
    np.testing.assert_allclose(parameters(scaled), expected, rtol=1e-4, atol=1e-4)
    ahead = [forecast_loss(plain, 1e15).high * size, forecast_loss(scaled, 1e15 * unit).high]
    assert ahead[1] == pytest.approx(ahead[0], rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    compute, loss = noisy_runs(seed)
    order = np.random.default_rng(seed).permutation(len(loss))
    shuffled = fit_power_law(compute[order], loss[order])
    np.testing.assert_allclose(
        parameters(shuffled), parameters(fit_power_law(compute, loss)), rtol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(seed=seeds, times=st.integers(2, 5))
def test_a_weight_is_a_number_of_equal_rows(seed: int, times: int) -> None:
    compute, loss = noisy_runs(seed, n_scales=3)
    weight = np.ones(len(loss))
    weight[1] = times
    repeated = np.repeat(np.arange(len(loss)), weight.astype(int))
    weighted = fit_power_law(compute, loss, weight=weight)
    rows = fit_power_law(compute[repeated], loss[repeated])
    np.testing.assert_allclose(parameters(weighted), parameters(rows), rtol=1e-5)
    assert weighted.n_runs == rows.n_runs == len(repeated)


def test_more_seeds_narrow_the_forecast_but_never_below_the_laws_own_misfit() -> None:
    compute = 1e11 * 6.0 ** np.arange(4)
    law = PowerLaw.through(1e12, 1.7, E=0.9, alpha=0.15)
    widths = []
    for n in (1, 4, 16, 64, 10_000):
        fit = fit_power_law(compute, law(compute), weight=n, noise_sd=0.005)
        forecast = forecast_loss(fit, 6.0 * compute[-1])
        widths.append(forecast.high - forecast.low)
    assert all(np.diff(widths) < 0)
    assert widths[-1] > 2 * 1.28 * 0.004 * law.slope(6.0 * compute[-1])


@pytest.mark.parametrize(
    ("compute", "loss", "status"),
    [
        ([1, 10, 100, 1000, 10_000], [4, 3, 2.5, 2.25, 2.125], FitStatus.CONVERGED),
        ([1, 10, 100], [4, 3, 2.5], FitStatus.FREE_FLOOR),
        ([1, 10], [4, 3], FitStatus.TOO_FEW_SCALES),
        ([1, 1, 1], [4, 3, 3.5], FitStatus.TOO_FEW_SCALES),
        ([1, 10, 100, 1000], [2, 2.1, 2.3, 2.2], FitStatus.NOT_DECREASING),
        ([1, 2, 4, 8], [8, 4, 2, 1], FitStatus.AT_BOUND),
    ],
)
def test_a_fit_says_what_it_is_worth(
    compute: list[float], loss: list[float], status: FitStatus
) -> None:
    fit = fit_power_law(compute, loss)
    assert fit.status is status
    assert fit.status.advice
    assert len(fit.ensemble) == 100
    assert all(np.isfinite(law(1e6)) for law in fit.ensemble)


def test_three_scales_leave_the_floor_to_an_ensemble_of_floors() -> None:
    compute = np.array([2.5e11, 1.3e12, 5.2e12])
    law = PowerLaw.through(1.3e12, 1.68, E=0.92, alpha=0.152)
    floors = [member.E for member in fit_power_law(compute, law(compute)).ensemble]
    assert np.ptp(floors) > 0.3
    assert min(floors) < law.E < max(floors)


def test_a_rung_off_the_law_is_named_by_its_misfit() -> None:
    compute = np.repeat(1e11 * 6.0 ** np.arange(5), 3)
    rng = np.random.default_rng(1)
    loss = PowerLaw.through(1e12, 1.7, E=0.9, alpha=0.15)(compute)
    loss += 0.001 * rng.standard_normal(len(loss)) + 0.04 * (compute == compute[6])
    misfits = np.abs([scale.misfit for scale in fit_power_law(compute, loss).scales])
    assert np.argmax(misfits) == 2
    assert misfits[2] > 3


def test_negative_losses_are_fitted_too() -> None:
    compute = 10.0 ** np.arange(5)
    loss = -10 + 4 * compute**-0.3
    fit = fit_power_law(compute, loss)
    assert fit.law(1e6) == pytest.approx(-10 + 4 * 1e6**-0.3, abs=0.01)


@pytest.mark.parametrize(
    ("compute", "loss"), [([], []), ([1, 2], [1]), ([0, 1], [2, 1]), ([1, 2], [np.nan, 1])]
)
def test_numbers_that_are_no_runs_are_refused(compute: list[float], loss: list[float]) -> None:
    with pytest.raises(ValueError, match=r"give one of each|leave out"):
        fit_power_law(compute, loss)


def test_the_band_is_the_forecast_at_every_compute() -> None:
    fit = fit_power_law(*noisy_runs(3))
    low, high = forecast_band(fit, np.array([1e13, 1e15]), noise_sd=0.01, confidence=0.9)
    at = forecast_loss(fit, 1e15, noise_sd=0.01, confidence=0.9)
    assert (low[1], high[1]) == pytest.approx((at.low, at.high))
