"""The commands a person types after, before and beside a study."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from oracle import ROOT, oracle_job
from planted_panel import ladder as planted_ladder
from planted_panel import planted

from autoresearch.doctor import main as doctor
from autoresearch.dry_run import calibration_lines, rung_line, show
from miniscale.setting.rung import Rung
from transfer.__main__ import main
from transfer.audit.calibrate import Calibration, RungCalibration, power_line
from transfer.audit.judge_panel import audit
from transfer.audit.resolution import known_noise, resolve_rung

FEW = ["+ladder=oracle", "tracker=none", "budget.changes=2"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a short study that was run as a person does."""
    root = tmp_path_factory.mktemp("commands")
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", *FEW, f"study.root={root}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ACCEPTED, CERTIFIED" in done.stdout
    return root / "oracle"


@pytest.mark.level2
def test_status_says_where_a_study_stands(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(study)]) == 0
    said = capsys.readouterr().out
    assert "1 accepted, certified" in said
    assert "a gain that holds" in said


@pytest.mark.level2
def test_status_and_report_say_the_smallest_gain_that_is_seen(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(study)]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"sees     gains in compute of \d\.\d% and more, on \w+; noise of one run", said
    )
    page = (study / "report" / "index.html").read_text()
    assert "this ladder sees gains in compute of" in page


def test_show_tells_a_change_in_full(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "c1", str(study)]) == 0
    said = capsys.readouterr().out
    for word in ("hypothesis", '"gain": 0.2', "forecast", "effect", "at target", "commit"):
        assert word in said


@pytest.mark.level2
def test_rejudge_gives_every_verdict_again_and_names_what_another_policy_would_change(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rejudge", str(study)]) == 0
    again = capsys.readouterr().out.splitlines()
    assert len(again) == 1
    n_same, _, n_stored = again[0].split()[:3]
    assert n_same == n_stored > "0"
    assert main(["rejudge", str(study), "--policy", "greedy"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 1


@pytest.mark.level2
def test_export_says_what_each_accepted_change_was(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(study), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "no file of yours holds these: --gain=0.2" in said
    assert "git am" not in said  # no commit of files: a diff of our own file helps nobody
    table = pl.read_csv(tmp_path / "out" / "changes.csv")
    assert table["flags"].to_list() == ["--gain=0.2"]
    assert table["odds"][0] > 0.5


@pytest.mark.level2
def test_the_study_leaves_tables_that_read_back(study: Path) -> None:
    effects = pl.read_parquet(study / "report" / "effects.parquet")
    assert set(effects["rung"]) == {"small", "medium", "large", "top"}
    results = pl.read_csv(study / "results.tsv", separator="\t")
    assert results.columns == ["commit", "loss", "memory_gb", "status", "description"]
    assert set(results["status"]) == {"keep", "discard"}


@pytest.mark.level2
def test_the_report_can_be_made_again(study: Path) -> None:
    page = study / "report" / "index.html"
    before = page.read_text()
    page.unlink()
    assert main(["report", str(study)]) == 0
    assert page.read_text() == before


@pytest.mark.parametrize("verb", ["status", "report", "export"])
def test_a_folder_without_a_study_is_one_clear_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(tmp_path)]) == 2
    assert "no study here" in capsys.readouterr().err


@pytest.mark.level2
def test_a_dry_run_spends_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show(oracle_job("dry_run=true")) == 0
    said = capsys.readouterr().out
    assert "nothing is spent" in said
    assert "bill" in said
    assert list(tmp_path.iterdir()) == []


def test_more_seeds_resolve_smaller_gains() -> None:
    few = resolve_rung(Rung("r", 1.0, 1.0, seeds=2, baseline_seeds=2, noise=0.05))
    many = resolve_rung(Rung("r", 1.0, 1.0, seeds=8, max_seeds=8, baseline_seeds=8, noise=0.05))
    assert many.gain == pytest.approx(few.gain / 2)


def test_doctor_says_a_line_for_each_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor() == 0
    said = capsys.readouterr().out
    for word in ("python", "torch", "git", "wandb", "disk", "cores", "box", "agents"):
        assert word in said


def test_the_dry_run_takes_noise_from_where_most_was_measured() -> None:
    on = planted_ladder()
    audited = audit(on, planted(on))
    lowest = audited.rungs[0]
    here = RungCalibration(
        lowest.rung, 4, 1.0, 0.9, 3, 0.5, 1.0, None, None, seeds=2, baseline_seeds=2
    )
    calibration = Calibration(on.name, on.digest, "m", "", (here,), 100.0)
    assert known_noise(lowest.rung, None, None) is None
    assert known_noise(lowest.rung, calibration, None) == here
    assert known_noise(lowest.rung, calibration, audited) == lowest
    more = replace(calibration, rungs=(replace(here, noise_df=999),))
    assert known_noise(lowest.rung, more, audited) == more.rungs[0]
    said = rung_line(on.rungs[0], 1.0, lowest)
    assert f"{lowest.noise:.1%}" in said
    assert f"{on.rungs[0].noise or 0.02:.1%}" not in said


def test_power_is_told_by_the_noise_that_is_shown() -> None:
    on = planted_ladder()
    audited = audit(on, planted(on))
    rungs = tuple(
        RungCalibration(r.rung, 4, 1.0, 0.9, 3, 0.5, 1.0, None, None, seeds=2, baseline_seeds=2)
        for r in audited.rungs
    )
    calibration = Calibration(on.name, on.digest, "m", "", rungs, 100.0)
    shares = [
        float(calibration_lines(calibration, one, "units")[0].split("10%: ")[1].rstrip("%"))
        for one in (audited, None)
    ]
    # a tenth shows in the audit's noise of .8 % and is lost in the calibration's of 90 %
    assert shares[0] > 95
    assert shares[1] < 20
    assert calibration_lines(calibration, None, "units") == [power_line(calibration, "units")]


@pytest.mark.level2
def test_every_job_of_a_sweep_is_a_study_of_its_own(tmp_path: Path) -> None:
    swept = ["--multirun", "policy=greedy,ttest", "study.seed=0,1"]
    few = ["+ladder=oracle", "tracker=none", "budget.changes=1", "budget.compute=300"]
    argv = [sys.executable, "-m", "autoresearch", *few, *swept, f"study.root={tmp_path}"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    studies = {path.parent.name for path in tmp_path.glob("*/study.json")}
    assert studies == {
        f"oracle-{policy}-seed{seed}" for policy in ("greedy", "ttest") for seed in (0, 1)
    }
    for name in studies:
        assert main(["status", str(tmp_path / name)]) == 0
