"""Bad panels and tables: one clear line each, and the safe path."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from planted_panel import GAINS, ladder, planted

from miniscale.setting.decode import InputError
from miniscale.setting.records import decode_record, encode_record
from miniscale.setting.trial import TrialResult, TrialState
from transfer.arm_table import BASELINE
from transfer.audit.calibrate import Calibration, calibrate, lines
from transfer.audit.judge_panel import audit
from transfer.audit.load_panel_runs import Run, Runs, named_panel, read_runs
from transfer.ladder_trust import Light, Trust


def without(runs: Runs, *, arms: tuple[str, ...] = (), rungs: tuple[str, ...] = ()) -> Runs:
    """Return runs in which some arms failed on some rungs."""
    return replace(
        runs,
        runs=tuple(
            replace(run, value=None, reason="RuntimeError: planted")
            if (not arms or run.arm in arms) and run.rung in rungs
            else run
            for run in runs.runs
        ),
    )


def test_fewer_than_eight_changes_are_amber_with_the_defaults() -> None:
    found = audit(ladder(), planted(ladder(), gains=GAINS[::3]))
    assert found.n == 6
    assert found.light is Light.AMBER
    assert "fewer than 8 decide nothing" in found.reasons[0]
    assert replace(found.trust, source="") == Trust()


def test_one_rung_says_that_transfer_cannot_be_seen() -> None:
    found = audit(ladder(1), planted(ladder(1)))
    assert found.light is Light.AMBER
    assert any("one rung" in reason for reason in found.reasons)
    assert found.scores == ()


def test_two_rungs_are_compared_and_stay_amber() -> None:
    found = audit(ladder(2), planted(ladder(2)))
    assert found.light is Light.AMBER
    assert any("two rungs" in reason for reason in found.reasons)
    assert found.rungs[0].accuracy is not None


def test_a_rung_on_which_everything_crashed_is_left_out_with_a_word() -> None:
    runs = planted(ladder())
    arms = tuple(runs.changes)
    found = audit(ladder(), without(runs, arms=arms, rungs=("large",)))
    assert [rung.rung for rung in found.rungs] == ["small", "medium", "top"]
    assert "large: no change left a number; the rung is left out" in found.notes
    assert found.light is Light.GREEN


def test_a_top_on_which_the_baseline_crashed_leaves_the_next_rung_as_the_target() -> None:
    found = audit(ladder(), without(planted(ladder()), arms=(BASELINE,), rungs=("top",)))
    assert found.target == "large"
    assert "top: the baseline left no number; the rung is left out" in found.notes


def test_crashes_everywhere_are_an_error() -> None:
    runs = without(planted(ladder()), rungs=("small", "medium", "large", "top"))
    with pytest.raises(InputError, match="no rung has runs of both"):
        audit(ladder(), runs)


def test_a_change_that_crashes_at_the_top_is_named() -> None:
    found = audit(ladder(), without(planted(ladder()), arms=("a3",), rungs=("top",)))
    assert any("a3 failed there" in note for note in found.notes)
    assert found.n == 15


def test_a_constant_metric_is_said_by_calibration_and_never_divides_by_zero() -> None:
    on = ladder()
    runs = [Run(BASELINE, rung.name, seed, 1.0) for rung in on.rungs for seed in range(3)]
    results = [TrialResult(f"{i}", TrialState.COMPLETE, value=1.0) for i in range(len(runs))]
    found = calibrate(on, runs, results, machine="here")
    said = {check.name: check for check in found.checks}
    assert "equal to the last digit" in said["seeds"].found
    assert "the size is not heard" in said["sizes"].found
    assert said["seeds"].standing == said["sizes"].standing == "NO"
    assert not re.search(r"\d{8}", " ".join(lines(found, "units")))
    flat = replace(planted(on), runs=tuple(replace(r, value=1.0) for r in planted(on).runs))
    assert audit(on, flat).light is not Light.GREEN


@pytest.mark.parametrize("seed", range(2))
def test_a_metric_to_maximise_gives_the_same_audit_as_its_negative(seed: int) -> None:
    on = ladder()
    objective = replace(on.setting.objective, is_minimized=False)
    up = replace(on, setting=replace(on.setting, objective=objective))
    found = audit(up, planted(up, seed=seed, sign=-1.0))
    plain = audit(on, planted(on, seed=seed))
    assert found.light is Light.GREEN
    assert [r.accuracy for r in found.rungs] == [r.accuracy for r in plain.rungs]


def test_an_accuracy_like_metric_is_ordered_rightly_by_local_slopes() -> None:
    """A negative loss has no law with a floor above zero; gains are local then, and still gains."""
    on = ladder()
    objective = replace(on.setting.objective, name="accuracy", is_minimized=False)
    on = replace(on, setting=replace(on.setting, objective=objective), prior=None)
    runs = planted(on)
    shares = tuple(replace(r, value=1.5 - r.value) for r in runs.runs if r.value is not None)
    found = audit(on, replace(runs, runs=shares))
    assert found.rungs[0].accuracy == pytest.approx(1.0, abs=0.06)
    assert found.rungs[0].won_then_lost == found.rungs[0].lost_then_won == 0


def test_a_baseline_that_follows_no_law_still_gives_an_audit() -> None:
    on = ladder()
    bump = {"small": 0.0, "medium": 0.4, "large": 0.1, "top": 0.5}
    runs = planted(on)
    bent = tuple(replace(r, value=r.value + bump[r.rung]) for r in runs.runs if r.value is not None)
    found = audit(on, replace(runs, runs=bent))
    assert found.rungs[0].accuracy == pytest.approx(1.0, abs=0.06)


HEAD = "arm,rung,seed,loss\n"
BASE = "baseline,small,0,1.25\nbaseline,top,0,0.97\n"
TABLES = {
    "empty": ("", "empty"),
    "no seed column": ("arm,rung,loss\nbaseline,small,1.2\n", "no column for the seed"),
    "missing seed": (HEAD + BASE + "good,small,,1.2\n", "has no seed"),
    "no baseline": (HEAD + "a gain that holds,small,0,1.2\n", "no run of the baseline"),
    "repeated": (HEAD + BASE + "baseline,small,0,1.26\n", "there twice"),
    "other rungs": (HEAD + "baseline,huge,0,1.2\n", "no run on small"),
    "mixed digests": (
        "arm,rung,seed,loss,data\nbaseline,small,0,1.2,aa\nbaseline,small,1,1.2,bb\n",
        "2 digests",
    ),
    "no file": (None, "no such file"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_bad_table_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, words = TABLES[case]
    path = tmp_path / "runs.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_runs(path, ladder(), named_panel(ladder()))
    assert "\n" not in str(caught.value)


def test_an_arm_that_the_panel_lacks_is_noted_and_a_missing_number_is_a_failure(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(HEAD + BASE + "mystery,small,0,1.2\na gain that holds,small,0,\n")
    runs = read_runs(path, ladder(), named_panel(ladder()))
    assert "mystery" in runs.notes[0]
    assert [run.value for run in runs.runs if run.arm != BASELINE] == [None]


def calibration(noise: float) -> Calibration:
    on = ladder()
    runs = [run for run in planted(on, noise=noise).runs if run.arm == BASELINE]
    results = [
        TrialResult(f"{i}", TrialState.COMPLETE, value=run.value, seconds=2.0)
        for i, run in enumerate(runs)
    ]
    return calibrate(on, runs, results, machine="here")


def test_calibration_finds_large_gains_and_less_where_there_is_more_noise() -> None:
    quiet, loud = calibration(0.01), calibration(0.2)
    assert quiet.power(0.10) > 0.99
    assert quiet.power(0.01) < quiet.power(0.03) < quiet.power(0.10)
    assert loud.power(0.03) < 0.5 < quiet.power(0.03)
    assert quiet.rungs[0].resolves(8) < quiet.rungs[0].resolves(1)
    assert quiet.rungs[0].throughput == 0.5
    assert decode_record(Calibration, encode_record(quiet)) == quiet


def test_a_baseline_that_always_crashes_says_why() -> None:
    on = ladder()
    runs = [Run(BASELINE, "small", 0, None, reason="ModuleNotFoundError: nope")]
    with pytest.raises(InputError, match="ModuleNotFoundError"):
        calibrate(on, runs, [TrialResult("x", TrialState.FAILED)], machine="here")
