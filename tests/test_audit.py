"""An audit recovers what was planted, and its light is the right one."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_panel import GAINS, holds, ladder, planted

from miniscale.setting.records import decode_record, encode_record
from miniscale.setting.setting import Kind
from transfer.audit import agreement
from transfer.audit.archive import store, stored_audit, trust_of
from transfer.audit.audit_result import Audit
from transfer.audit.audit_text import lines
from transfer.audit.judge_panel import audit, measure
from transfer.belief.panel_prior import conformal_factor
from transfer.ladder_trust import Light, Trust


@pytest.mark.level1
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 0.95])
def test_pairs_of_normals_agree_as_sheppard_says(rho: float) -> None:
    rng = np.random.default_rng(1)
    drawn = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=3000)
    # the standard error of Kendall's tau from 3,000 pairs is below .012
    found = agreement.accuracy(drawn[:, 0], drawn[:, 1])
    assert found == pytest.approx(agreement.accuracy_of(rho), abs=0.03)


@pytest.mark.level1
@pytest.mark.parametrize(
    ("rho", "noise"),
    [
        (0.5, 0.8),
        (0.95, 0.4),
        *(
            pytest.param(*pair, marks=pytest.mark.nightly)
            for pair in ((0.5, 0.4), (0.8, 0.4), (0.8, 0.8), (0.95, 0.8))
        ),
    ],
)
def test_removing_noise_recovers_the_accuracy_of_noiseless_rungs(rho: float, noise: float) -> None:
    rng = np.random.default_rng(2)
    true = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=1500)
    seen = true + noise * rng.normal(size=true.shape)
    raw = agreement.accuracy(seen[:, 0], seen[:, 1])
    variances = np.full(1500, noise**2)
    kept = [agreement.reliability(seen[:, i], variances, rng) for i in (0, 1)]
    clean = agreement.without_noise(raw, kept)
    assert clean is not None
    assert clean == pytest.approx(agreement.accuracy_of(rho), abs=0.05)
    assert raw < clean - 0.02


def test_a_rung_of_noise_alone_has_no_accuracy_without_noise() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=40)
    assert agreement.reliability(noise, np.full(40, np.var(noise, ddof=1)), rng) == 0.0
    assert agreement.without_noise(0.5, [0.0, 0.9]) is None


@pytest.mark.level1
@pytest.mark.parametrize("slope", [0.5, 1.0, -0.3])
def test_persistence_is_recovered_although_the_lower_rung_is_noisy(slope: float) -> None:
    rng = np.random.default_rng(4)
    true = rng.normal(size=4000)
    lower, upper = true + 0.8 * rng.normal(size=4000), slope * true + 0.1 * rng.normal(size=4000)
    found = agreement.persistence(lower, upper, np.full(4000, 0.64))
    plain = float(np.cov(lower, upper)[0, 1] / np.var(lower, ddof=1))
    assert found == pytest.approx(slope, abs=0.12)
    assert abs(plain) < 0.75 * abs(slope)


@pytest.mark.level1
def test_the_conformal_factor_covers_held_out_changes_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(4000):
        scores = np.abs(rng.standard_t(3, size=17)) / 0.6  # intervals that are much too narrow
        factor = conformal_factor([float(score) for score in scores[:16]])
        assert factor is not None
        covered.append(scores[16] <= factor)
    # ceil(.8 * 17) / 17 = .82; the standard error of 4,000 draws is .006
    assert np.mean(covered) == pytest.approx(14 / 17, abs=0.03)


def rules_fail(gain: float, x: float, kind: Kind) -> float:
    """Return gains on a ladder whose rates are not scaled: steps away from them cost ever less."""
    return gain + 0.06 * x if kind is Kind.HYPERPARAMETER and gain < 0 else gain


def reverses(gain: float, x: float, kind: Kind) -> float:
    """Return gains that have turned round at the top."""
    return gain * (1 - 0.4 * x)


def test_a_ladder_that_decides_as_its_top_does_is_green() -> None:
    found = audit(ladder(), planted(ladder()))
    assert found.light is Light.GREEN
    assert found.start == "small"
    assert found.rungs[0].accuracy == pytest.approx(1.0, abs=0.06)
    assert found.trust.certified_harm == 4.0


@pytest.mark.parametrize("seed", range(3))
def test_a_ladder_whose_rules_do_not_scale_is_red_and_says_which(seed: int) -> None:
    on = replace(ladder(), matches=("rules for the learning rate",))
    found = audit(on, planted(on, rules_fail, seed=seed))
    assert found.light is Light.RED
    assert any("a rule of this ladder does not hold" in reason for reason in found.reasons)
    assert any("scale the rate" in advice for advice in found.advice)
    assert audit(on, planted(on, seed=seed)).light is Light.GREEN


def test_a_ladder_whose_gains_reverse_is_red() -> None:
    found = audit(ladder(), planted(ladder(), reverses))
    assert found.light is Light.RED
    assert found.rungs[0].won_then_lost + found.rungs[0].lost_then_won > 3
    assert found.start != "small"


def test_noise_beyond_use_is_red_although_everything_transfers() -> None:
    found = audit(ladder(), planted(ladder(), noise=0.2))
    assert found.light is Light.RED
    assert any("standard error" in reason for reason in found.reasons)


@pytest.mark.level1
def test_misfit_is_recovered_and_large_misfit_is_red() -> None:
    found = [audit(ladder(), planted(ladder(), misfit=0.03, seed=s)) for s in range(4)]
    assert float(np.mean([one.misfit for one in found])) == pytest.approx(0.03, rel=0.4)
    assert {one.light for one in found} == {Light.RED}
    calm = [audit(ladder(), planted(ladder(), seed=s)).misfit for s in range(4)]
    assert max(calm) < 0.005


@pytest.mark.level1
def test_drift_of_the_planted_size_is_found() -> None:
    rng = np.random.default_rng(6)
    slopes = {gain: 0.03 * rng.normal() for gain in GAINS}

    def drifts(gain: float, x: float, kind: Kind) -> float:
        return gain + slopes[gain] * x

    still, moved = (audit(ladder(), planted(ladder(), c)).drift for c in (holds, drifts))
    assert moved > 0.008 > 2 * still


def test_gains_come_out_as_planted() -> None:
    on = ladder()
    measured = measure(on, planted(on, noise=0.002))
    for (arm, effects), gain in zip(measured.effects.items(), GAINS, strict=True):
        for effect in effects:
            assert effect.gain == pytest.approx(gain, abs=0.012), (arm, effect.rung)


def test_an_audit_comes_back_from_its_file_and_is_stale_for_another_ladder(tmp_path: Path) -> None:
    on = ladder()
    found = audit(on, planted(on))
    assert decode_record(Audit, json.loads(json.dumps(encode_record(found)))) == found
    store(tmp_path, on, found)
    trust, words = trust_of(tmp_path, on)
    assert trust == found.trust
    assert trust.light is Light.GREEN
    assert words == "green by 16 known changes up to top"
    changed = replace(on, target=4000.0)
    trust, words = trust_of(tmp_path, changed)
    assert trust == Trust()
    assert words.startswith("stale, so amber: target was 2000")
    assert trust_of(tmp_path / "elsewhere", on)[1].startswith("none: amber until")


def test_audits_on_other_rungs_of_a_ladder_lie_side_by_side_and_the_newest_is_read(
    tmp_path: Path,
) -> None:
    on = ladder()
    whole = audit(on, planted(on))
    lower = replace(whole, rungs=whole.rungs[:-1], target=whole.rungs[-2].rung, light=Light.AMBER)
    for number, found in enumerate((whole, lower, whole)):
        path = store(tmp_path, on, found)
        os.utime(path, (number, number))
        assert stored_audit(tmp_path, on)[0] == found
    assert len(list(path.parent.glob("*.json"))) == 2


def test_an_audit_of_the_earlier_file_name_is_still_read(tmp_path: Path) -> None:
    on = ladder()
    found = audit(on, planted(on))
    path = store(tmp_path, on, found)
    path.rename(path.with_name(f"{on.name}-{on.digest}.json"))
    assert stored_audit(tmp_path, on)[0] == found


def test_the_words_say_light_reasons_and_every_rung() -> None:
    on = ladder()
    said = "\n".join(lines(audit(on, planted(on, rules_fail))))
    for word in ("RED", "because", "mend", "small", "medium", "large", "plays the target", "start"):
        assert word in said


def test_the_same_runs_give_the_same_audit() -> None:
    assert audit(ladder(), planted(ladder())) == audit(ladder(), planted(ladder()))
