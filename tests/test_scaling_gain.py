"""Gains: a planted compute multiplier comes back from the losses it makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling import PowerLaw, fit_power_law, local_slope, log_multiplier

LAW = PowerLaw.through(1e12, 1.7, E=0.9, alpha=0.15)


@given(multiplier=st.floats(0.5, 2.0), compute=st.floats(1e10, 1e16))
def test_a_planted_multiplier_comes_back(multiplier: float, compute: float) -> None:
    gain = LAW(compute) - LAW(compute * multiplier)
    g = log_multiplier([LAW], baseline_loss=LAW(compute), gain_loss=gain)
    assert g == pytest.approx(np.log(multiplier), abs=1e-9)


@pytest.mark.parametrize("n_scales", [2, 3, 4])
def test_a_planted_multiplier_comes_back_through_a_fitted_ensemble(n_scales: int) -> None:
    compute = 1e11 * 6.0 ** np.arange(n_scales)
    laws = fit_power_law(compute, LAW(compute)).ensemble
    top = compute[-1]
    g = log_multiplier(laws, baseline_loss=LAW(top), gain_loss=LAW(top) - LAW(1.1 * top))
    assert g == pytest.approx(np.log(1.1), rel=0.15 if n_scales == 2 else 0.03)


@given(gain=st.floats(-1.0, 3.0))
def test_a_larger_gain_is_worth_more_even_below_the_floor(gain: float) -> None:
    values = [log_multiplier([LAW], baseline_loss=1.7, gain_loss=d) for d in (gain, gain + 0.01)]
    assert np.isfinite(values).all()
    assert values[1] > values[0]


def test_small_gains_are_the_gain_over_the_local_slope() -> None:
    compute = 1e11 * 6.0 ** np.arange(3)
    laws = fit_power_law(compute, LAW(compute)).ensemble
    g = log_multiplier(laws, baseline_loss=LAW(1e12), gain_loss=1e-7)
    slope = local_slope(laws, baseline_loss=LAW(1e12))
    assert g == pytest.approx(1e-7 / slope, rel=1e-5)
    assert slope == pytest.approx(LAW.slope(1e12), rel=0.03)


def test_a_floor_above_the_loss_falls_back_to_the_measured_slope() -> None:
    high = PowerLaw(E=2.0, A=1.0, alpha=0.1)
    alone = log_multiplier([high], baseline_loss=1.7, gain_loss=0.01, slope=0.1)
    assert alone == pytest.approx(0.1)
    assert local_slope([high], baseline_loss=1.7, slope=0.1) == 0.1
    both = log_multiplier([high, LAW], baseline_loss=1.7, gain_loss=0.01, slope=0.1)
    alone = log_multiplier([LAW], baseline_loss=1.7, gain_loss=0.01)
    assert both == pytest.approx((0.1 + alone) / 2)


def test_no_slope_and_no_law_is_refused_with_the_next_step() -> None:
    with pytest.raises(ValueError, match="give slope="):
        log_multiplier([PowerLaw(E=2.0, A=1.0, alpha=0.1)], baseline_loss=1.7, gain_loss=0.01)


def test_the_slope_is_the_derivative() -> None:
    step = 1e-6
    numeric = (LAW(1e12 * np.exp(-step)) - LAW(1e12 * np.exp(step))) / (2 * step)
    assert LAW.slope(1e12) == pytest.approx(numeric, rel=1e-6)
