"""What is said of a setting before money is spent on it."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from oracle import oracle_job

from autoresearch.build_study import StudyJob
from autoresearch.console import Console
from autoresearch.preflight import calibrate_command, first_trials, fly_first_runs
from miniscale.preflight.check import PreflightCheck, Standing, table_lines
from miniscale.preflight.measured_checks import BaselineRun, check_measured, left_files
from miniscale.preflight.written_checks import check_written, missing_files
from miniscale.run.runner.in_process import InProcessRunner
from miniscale.run.runner.protocol import Runner
from miniscale.setting.rung import Folders, Rung
from miniscale.setting.setting import Knob, Seeding, Setting
from miniscale.setting.trial import MetricSource, Objective, TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import result_of
from transfer.audit.calibrate import MOST, stored_calibration
from transfer.audit.resolution import (
    Resolution,
    check_sight,
    resolve_rung,
    resolve_study,
    sight_lines,
)
from transfer.commands.audit import machine
from transfer.events import TrialFinished, TrialsRequested
from transfer.study.simulated_study import NOWHERE, QUIET, KnobTrees, MemoryLedger
from transfer.study.study import Study

KNOB = Knob("step", 0.1, low=0.01, high=1.0)
GOOD = ("python3", "fit.py", "--points={points}", "--seed={seed}", "--step={step}")
RUNGS = tuple(
    Rung(name, scale, params={"points": int(scale)}, memory_gb=0.1)
    for name, scale in (("small", 1e3), ("medium", 1e4), ("large", 1e5))
)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Return a setting that is as it should be."""
    (tmp_path / "fit.py").write_text("print('error 0.1')\n")
    objective = Objective("error", True, MetricSource(line="error (.*)"))
    return Setting("mine", tmp_path, GOOD, objective, editable=("fit.py",), knobs={"step": KNOB})


def written(setting: Setting, rungs: Sequence[Rung] = RUNGS) -> Mapping[str, PreflightCheck]:
    return {check.name: check for check in check_written(setting, rungs)}


def run(
    rung: str, value: float | None, *, seed: int = 0, seconds: float = 1.0, memory: float = 0.01
) -> BaselineRun:
    state = TrialState.COMPLETE if value is not None else TrialState.FAILED
    metrics = {"peak_memory_gb": memory, "peak_disk_gb": 0.0}
    result = TrialResult(
        f"{rung}-{seed}", state, value=value, seconds=seconds, metrics=metrics, reason="no module x"
    )
    return BaselineRun(rung, seed, result)


def measured(setting: Setting, runs: Sequence[BaselineRun]) -> Mapping[str, PreflightCheck]:
    return {check.name: check for check in check_measured(setting, RUNGS, runs)}


def values(
    small: Sequence[float], medium: Sequence[float], large: Sequence[float]
) -> list[BaselineRun]:
    by_rung = {"small": small, "medium": medium, "large": large}
    return [run(rung, v, seed=s) for rung, each in by_rung.items() for s, v in enumerate(each)]


# -- what is written -----------------------------------------------------------------------


def test_a_good_setting_is_green_and_its_command_is_shown(setting: Setting) -> None:
    checks = written(setting)
    assert {check.standing for check in checks.values()} == {Standing.GOOD}
    assert checks["command"].found == "python3 fit.py --points=1000 --seed=0 --step=0.1"
    assert table_lines(list(checks.values()))[0] == "preflight  green"


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        (("python3", "fit.py", "--seed={seed}", "{knobs}"), "params", "points: set by the rungs"),
        (("python3", "fit.py", "{points}", "{seed}"), "knobs", "step: nothing uses it"),
        (("python3", "fit.py", "{points}", "{knobs}"), "seed", "nothing uses {seed}"),
        (("python3", "train.py", *GOOD[2:]), "command", "train.py: not there"),
        (("no-such-program", *GOOD[1:]), "command", "no-such-program: not there"),
        (("python3", "-m", "scripts.fit", *GOOD[2:]), "command", "module scripts.fit: not there"),
        (("bash", "run/fit.sh", *GOOD[2:]), "command", "run/fit.sh: not there"),
    ],
)
def test_what_nothing_uses_or_is_not_there_is_named_with_the_line_to_change(
    setting: Setting, command: tuple[str, ...], name: str, words: str
) -> None:
    checks = written(replace(setting, command=command))
    assert words in checks[name].found
    assert checks[name].remedy.startswith("setting.command")
    assert [each for each, check in checks.items() if check.standing is not Standing.GOOD] == [name]


def test_programs_in_a_row_are_each_looked_for(setting: Setting) -> None:
    row = ("python3", "lay.py", "&&", *GOOD)
    checks = written(replace(setting, command=row))
    assert checks["command"].found.startswith("lay.py: not there")
    (setting.source / "lay.py").touch()
    assert written(replace(setting, command=row))["command"].standing is Standing.GOOD


def test_a_seed_set_by_us_or_by_a_constant_is_passed_on(setting: Setting) -> None:
    bare = replace(setting, command=("python3", "fit.py", "{points}", "{knobs}"))
    assert written(bare)["seed"].standing is Standing.BAD
    assert written(replace(bare, seeding=Seeding.AUTO))["seed"].standing is Standing.GOOD
    set_there = replace(bare, constants={"fit.py": {"random.seed()": "{seed}"}})
    assert written(set_there)["seed"].standing is Standing.GOOD


def test_a_placeholder_in_the_environment_counts_as_used(setting: Setting) -> None:
    command = ("python3", "fit.py", "{points}", "{knobs}")
    assert (
        written(replace(setting, command=command, env={"SEED": "{seed}"}))["seed"].standing == "ok"
    )


def test_a_program_that_reads_its_knobs_from_their_file_uses_them(setting: Setting) -> None:
    (setting.source / "fit.py").write_text("import json\nknobs = json.load(open('knobs.json'))\n")
    checks = written(replace(setting, command=GOOD[:-1]))
    assert checks["knobs"].standing is Standing.GOOD


def test_rungs_that_run_the_same_are_named(setting: Setting) -> None:
    alike = tuple(replace(rung, params={"points": 5}) for rung in RUNGS)
    assert "small and medium" in written(setting, alike)["params"].found


def test_a_rung_may_set_a_knob_that_the_command_lists_with_the_others(setting: Setting) -> None:
    rungs = tuple(replace(rung, params={**rung.params, "step": 0.5}) for rung in RUNGS)
    checks = written(replace(setting, command=(*GOOD[:-1], "{knobs}")), rungs)
    assert checks["params"].standing is Standing.GOOD
    assert checks["knobs"].standing is Standing.DOUBTFUL
    assert "win over a change" in checks["knobs"].found


def test_a_cap_above_what_the_machine_has_is_said(setting: Setting) -> None:
    large = replace(RUNGS[-1], memory_gb=1e6)
    assert "memory_gb=1e+06" in written(setting, (*RUNGS[:2], large))["caps"].found


def test_files_named_with_their_whole_path_and_packages_are_found(tmp_path: Path) -> None:
    program = tmp_path / "fit.py"
    program.touch()
    assert not missing_files(["python3", str(program)], Path("/"))
    assert not missing_files(["python3", "-m", "json.tool"], tmp_path)


# -- what runs showed ----------------------------------------------------------------------


def test_runs_as_they_should_be_are_green(setting: Setting) -> None:
    checks = measured(setting, values([0.65, 0.66], [0.43, 0.435], [0.31, 0.312]))
    assert {check.standing for check in checks.values()} == {Standing.GOOD}
    assert "gets better with size" in checks["law"].found


def test_seeds_that_agree_to_the_last_digit_are_said_with_what_to_write(setting: Setting) -> None:
    checks = measured(setting, values([0.65, 0.65], [0.43, 0.43], [0.31, 0.31]))
    assert checks["seeds"].standing is Standing.BAD
    assert "2 seeds give 0.65, equal to the last digit" in checks["seeds"].found
    assert "does not use it" in checks["seeds"].remedy
    assert "deterministic: true" in checks["seeds"].remedy
    unheard = replace(setting, command=("python3", "fit.py", "{points}", "{step}"))
    checks = measured(unheard, values([0.65, 0.65], [0.43, 0.43], [0.31, 0.31]))
    assert 'add "--seed={seed}"' in checks["seeds"].remedy


def test_two_equal_values_of_a_coarse_metric_are_no_deaf_seed(setting: Setting) -> None:
    checks = measured(setting, values([0.65, 0.65], [0.43, 0.44], [0.31, 0.312]))
    assert checks["seeds"].standing is Standing.GOOD
    assert checks["seeds"].found.startswith("medium")
    checks = measured(setting, values([0.65, 0.65, 0.65], [0.43, 0.44], [0.31, 0.312]))
    assert checks["seeds"].standing is Standing.BAD


def test_a_setting_that_says_it_is_deterministic_is_taken_at_its_word(setting: Setting) -> None:
    stated = replace(setting, deterministic=True, command=("python3", "fit.py", "{points}"))
    assert written(stated)["seed"].standing is Standing.GOOD
    copies = measured(stated, values([0.65, 0.65], [0.43, 0.43], [0.31, 0.31]))
    assert copies["seeds"].standing is Standing.GOOD
    differ = measured(stated, values([0.65, 0.66], [0.43, 0.43], [0.31, 0.31]))
    assert differ["seeds"].remedy == "setting: drop 'deterministic: true'"
    unmeasured = [resolve_rung(rung) for rung in RUNGS]
    assert check_sight(unmeasured, is_deterministic=True).standing is Standing.GOOD


def test_rungs_that_agree_to_the_last_digit_are_said(setting: Setting) -> None:
    checks = measured(setting, values([0.65, 0.66], [0.65, 0.66], [0.31, 0.312]))
    assert "small and medium both give" in checks["sizes"].found
    assert checks["sizes"].standing is Standing.BAD


@pytest.mark.parametrize(
    ("is_minimized", "runs", "words"),
    [
        (True, values([0.50, 0.52], [0.51, 0.49], [0.505, 0.50]), "the law is flat"),
        (True, values([0.30, 0.31], [0.40, 0.41], [0.50, 0.51]), "gets no better with size"),
        (False, values([0.65, 0.66], [0.43, 0.44], [0.31, 0.32]), "gets no better with size"),
        (False, values([0.30, 0.31], [0.40, 0.41], [0.50, 0.51]), "gets better with size"),
    ],
)
def test_a_law_that_is_flat_or_goes_the_wrong_way_is_said(
    setting: Setting, is_minimized: bool, runs: Sequence[BaselineRun], words: str
) -> None:
    objective = replace(setting.objective, is_minimized=is_minimized)
    law = measured(replace(setting, objective=objective), runs)["law"]
    assert words in law.found
    assert (law.standing is Standing.GOOD) == words.startswith("gets better")


def test_a_run_near_a_cap_is_said_with_a_better_one(setting: Setting) -> None:
    checks = measured(setting, [run("small", 0.6), run("large", 0.3, seconds=3000.0, memory=0.09)])
    assert checks["time"].remedy == "ladder.rungs.large.timeout_s: 9000"
    assert checks["memory"].remedy == "ladder.rungs.large.memory_gb: 0.27"


def test_a_run_that_failed_is_first_with_its_last_words(setting: Setting) -> None:
    checks = check_measured(setting, RUNGS, [run("small", None), run("medium", 0.3)])
    assert checks[0].name == "runs"
    assert "small, seed 0: failed: no module x" in checks[0].found


def test_checkpoints_left_behind_are_weighed(setting: Setting, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "ckpt.pt").write_bytes(b"x" * 12_000_000)
    (folder / "log.txt").write_bytes(b"x" * 12_000_000)
    (folder / "link.pt").symlink_to("/etc/hosts")
    assert left_files(folder) == {"model/ckpt.pt": 12_000_000}
    one = replace(run("small", 0.6), folder=folder)
    files = check_measured(setting, RUNGS, [one], n_trials=100)[-1]
    assert "model/ckpt.pt 12 MB" in files.found
    assert "1.2 GB by some 100" in files.found


# -- what the ladder sees ------------------------------------------------------------------


def test_noise_that_was_never_measured_is_marked_as_assumed() -> None:
    check = check_sight([resolve_rung(rung) for rung in RUNGS])
    assert check.standing is Standing.UNKNOWN
    assert "2.0%?" in check.found


@pytest.mark.parametrize(
    ("gain", "standing", "words"),
    [
        (0.02, Standing.GOOD, "2.0% and more"),
        (0.12, Standing.DOUBTFUL, "short-sighted"),
        (0.40, Standing.BAD, "this ladder is blind"),
        (MOST, Standing.BAD, "cannot be told in compute"),
    ],
)
def test_a_blind_ladder_is_said_to_be_blind(gain: float, standing: Standing, words: str) -> None:
    rungs = [
        Resolution("small", gain, False, gain, 2),
        Resolution("large", gain, False, gain + 0.01, 2),
    ]
    check = check_sight([replace(each, gain=min(each.gain, MOST)) for each in rungs])
    assert check.standing is standing
    assert words in check.found


def test_more_seeds_are_advised_where_a_few_would_do() -> None:
    assert "seeds: 13," in check_sight([Resolution("small", 0.1, False, 0.12, 2)]).remedy
    assert "seeds:" not in check_sight([Resolution("small", 0.1, False, 1.2, 2)]).remedy


# -- a study's first runs ------------------------------------------------------------------


def test_the_command_that_calibrates_names_the_folder_and_the_ladder() -> None:
    argv = ["--config-dir", "lab", "+ladder=mine", "dry_run=true", "agent=openai"]
    assert calibrate_command(argv) == "python -m transfer calibrate --config-dir lab +ladder=mine"


def unknown_job(root: Path) -> StudyJob:
    """Return the oracle study on a ladder whose noise nobody stated."""
    job = oracle_job(f"study.root={root}")
    rungs = tuple(replace(rung, noise=0.0) for rung in job.ladder.rungs)
    return replace(job, ladder=replace(job.ladder, rungs=rungs))


def begun(job: StudyJob, ledger: MemoryLedger) -> Study:
    study = Study(
        job.ladder,
        policy=job.policy,
        plan=job.plan,
        ledger=ledger,
        trees=KnobTrees(job.ladder.setting.defaults()),
        folders=Folders(NOWHERE, NOWHERE),
        data={},
    )
    study.start("first", {})
    return study


def fly(job: StudyJob, study: Study, runner: Runner) -> str:
    said = io.StringIO()
    console = Console(said, limits=job.limits)
    fly_first_runs(job, study, runner, session=QUIET, observers=[], console=console)
    return said.getvalue()


def test_a_ladder_nobody_knows_is_calibrated_by_the_studys_own_baseline(tmp_path: Path) -> None:
    job, ledger = unknown_job(tmp_path), MemoryLedger()
    study = begun(job, ledger)
    said = fly(job, study, InProcessRunner(result_of))
    assert "16 of 16 runs of the baseline" in said
    assert "preflight  green" in said
    assert "?" not in said
    assert len(study.state.trials.results) == 16
    assert {request.arm for e in ledger.events if isinstance(e, TrialsRequested)
            for request in e.requests} == {study.state.first_base}  # fmt: skip
    kept = stored_calibration(tmp_path, job.ladder, machine())
    assert kept is not None
    assert all(rung.noise_df for rung in kept.rungs)
    assert "gains in compute of" in sight_lines(resolve_study(study.ladder, study.state))[0]
    # the runs are the study's own: when it goes on they are there, and the ladder is known
    assert fly(job, begun(job, ledger), InProcessRunner(result_of)) == ""
    asked = study.request_trials(first_trials(job, study))
    assert asked == []


def test_first_runs_that_were_cut_are_finished_and_not_run_twice(tmp_path: Path) -> None:
    job, ledger = unknown_job(tmp_path), MemoryLedger()
    cut = begun(job, ledger)
    cut.request_trials(first_trials(job, cut))
    for spec in cut.unfinished()[:4]:
        cut.finish(result_of(spec))
    said = fly(job, begun(job, ledger), InProcessRunner(result_of))
    assert "12 of 16 runs of the baseline" in said
    assert len([e for e in ledger.events if isinstance(e, TrialFinished)]) == 16


def test_a_program_that_hears_neither_seed_nor_size_is_told_at_the_first_start(
    tmp_path: Path,
) -> None:
    def constant(spec: TrialSpec) -> TrialResult:
        return TrialResult(spec.identity, TrialState.COMPLETE, value=0.5)

    job = unknown_job(tmp_path)
    study = begun(job, MemoryLedger())
    said = fly(job, study, InProcessRunner(constant))
    assert "6 seeds give 0.5, equal to the last digit" in said
    assert "both give 0.5: the size is not heard" in said
    assert "1000x" not in " ".join(sight_lines(resolve_study(study.ladder, study.state))).replace(
        "over 1000x", ""
    )
    assert not re.search(r"\d{6}", said)


def test_first_runs_take_no_more_than_a_tenth_of_the_budget(tmp_path: Path) -> None:
    job = unknown_job(tmp_path)
    job = replace(job, plan=replace(job.plan, budget=600.0))
    asked = first_trials(job, begun(job, MemoryLedger()))
    assert {rung for _, rung, _ in asked} == {"small", "medium"}


def test_a_ladder_that_states_its_noise_is_left_alone(tmp_path: Path) -> None:
    job = oracle_job(f"study.root={tmp_path}")
    assert fly(job, begun(job, MemoryLedger()), InProcessRunner(result_of)) == ""
