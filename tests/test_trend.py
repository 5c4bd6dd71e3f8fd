"""The forecast at the target: honest about distance, sceptical of rises."""

import numpy as np
import pytest

from transfer.events import Effect
from transfer.measure.trend import TrendPrior, gain_forecast


def effects(gains: list[float], se: float = 0.01) -> list[Effect]:
    return [
        Effect(f"r{n}", 1.7 * n, 2, 2, 2, 0.1 * gain, 0.1 * se, gain, se)
        for n, gain in enumerate(gains)
    ]


def test_a_steady_gain_is_expected_to_hold() -> None:
    look = gain_forecast(effects([0.1, 0.1, 0.1]), 5.0, prior=TrendPrior())
    assert look.mean == pytest.approx(0.1, abs=0.01)
    assert look.odds > 0.95


def test_a_fall_is_believed_in_full_and_a_rise_by_half() -> None:
    fall = gain_forecast(effects([0.2, 0.15, 0.1]), 6.8, prior=TrendPrior())
    rise = gain_forecast(effects([0.1, 0.15, 0.2]), 6.8, prior=TrendPrior())
    last_fall = fall.mean - fall.slope * (6.8 - 3.4)
    last_rise = rise.mean - rise.slope * (6.8 - 3.4) / 2
    assert last_fall == pytest.approx(0.1, abs=0.015)
    assert last_rise == pytest.approx(0.2, abs=0.015)


def test_a_loss_that_vanishes_does_not_become_a_win() -> None:
    look = gain_forecast(effects([-0.3, -0.2, -0.1]), 9.0, prior=TrendPrior())
    assert look.mean <= 0


def test_doubt_grows_with_distance() -> None:
    near = gain_forecast(effects([0.1, 0.1, 0.1]), 4.0, prior=TrendPrior())
    far = gain_forecast(effects([0.1, 0.1, 0.1]), 9.0, prior=TrendPrior())
    assert far.sd > 1.5 * near.sd


def test_one_rung_alone_settles_little() -> None:
    look = gain_forecast(effects([-0.05]), 5.0, prior=TrendPrior())
    assert 0.25 < look.odds < 0.5


@pytest.mark.level1
def test_intervals_cover_under_their_own_prior() -> None:
    rng = np.random.default_rng(0)
    prior = TrendPrior(misfit_share=0.0, drift=0.001, slope_share=0.0)
    x = np.array([0.0, 1.7, 3.4])
    covered = 0
    for _ in range(2000):
        level, slope = rng.normal(0, prior.level_sd), -abs(rng.normal(0, prior.slope_sd))
        truth = level + slope * (5.0 - 3.4)
        if level < 0:
            truth = min(truth, 0.0)
        noise = rng.normal(0, np.hypot(0.01, prior.misfit), 3)
        gains = level + slope * (x - 3.4) + noise
        look = gain_forecast(effects(list(gains)), 5.0, prior=prior)
        covered += look.low <= truth + rng.normal(0, prior.misfit) <= look.high
    # nominal .80; falling slopes only, which the rule believes in full: sd of the share .009
    assert 0.75 <= covered / 2000 <= 0.90
