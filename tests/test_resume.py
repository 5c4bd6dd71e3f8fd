"""Killed anywhere and started again, with any number of slots: the same study."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from oracle import ROOT

from autoresearch.build_study import decode_job
from miniscale.setting.compose import compose
from transfer.events import Outcome, TrialFinished, VerdictReached
from transfer.journal.load import load
from transfer.journal.store import read_journal
from transfer.study.simulated_study import simulate

OVERRIDES = [
    "+ladder=oracle", "tracker=none", "budget.changes=4", "policy=trend", "budget.compute=1e9",
    "runner.box=off",
]  # fmt: skip


def start(root: Path, *overrides: str) -> "subprocess.Popen[bytes]":
    said = {override.partition("=")[0] for override in overrides}
    usual = [one for one in OVERRIDES if one.partition("=")[0] not in said]
    return subprocess.Popen(
        [sys.executable, "-m", "autoresearch", *usual, f"study.root={root}", *overrides],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(root: Path, *overrides: str) -> None:
    process = start(root, *overrides)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def verdicts(root: Path) -> dict[str, VerdictReached]:
    return load(root / "oracle").state.verdicts()


def trials_run(root: Path) -> Counter[str]:
    events, _ = read_journal(root / "oracle" / "journal")
    return Counter(event.result.identity for event in events if isinstance(event, TrialFinished))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that ran undisturbed on one slot."""
    root = tmp_path_factory.mktemp("whole")
    finish(root, "runner.slots=1")
    return root


@pytest.mark.level2
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.nightly)]
)
def test_interrupted_ten_times_a_study_ends_the_same(
    whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    rng = random.Random(int(number))
    for _ in range(10):
        process = start(tmp_path, "runner.slots=2")
        time.sleep(rng.uniform(0.3, 1.5))
        os.kill(process.pid, number)
        process.communicate(timeout=60)
    finish(tmp_path, "runner.slots=2")
    assert verdicts(tmp_path) == verdicts(whole)
    assert trials_run(tmp_path) == trials_run(whole)
    assert set(trials_run(whole).values()) == {1}


@pytest.mark.level2
def test_killed_in_reviews_and_exams_a_study_with_stacks_ends_the_same(tmp_path: Path) -> None:
    chosen = ["policy=atoms", "round.changes=4", "budget.changes=6", "budget.compute=800"]
    finish(tmp_path / "whole", *chosen)
    rng = random.Random(7)
    for _ in range(6):
        process = start(tmp_path / "cut", *chosen)
        time.sleep(rng.uniform(0.8, 3.0))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    finish(tmp_path / "cut", *chosen)
    assert verdicts(tmp_path / "cut") == verdicts(tmp_path / "whole")
    assert trials_run(tmp_path / "cut") == trials_run(tmp_path / "whole")
    state = load(tmp_path / "cut" / "oracle").state
    assert state.changes.stacks
    assert state.exams
    assert state.round.n_closed >= 2


@pytest.mark.level2
@pytest.mark.nightly
def test_two_slots_give_the_study_of_one(whole: Path, tmp_path: Path) -> None:
    finish(tmp_path, "runner.slots=2")
    assert verdicts(tmp_path) == verdicts(whole)


@pytest.mark.level2
def test_processes_give_the_verdicts_of_the_simulation_in_memory(whole: Path) -> None:
    job = decode_job(compose(OVERRIDES, [], name="config"), [])
    stored = load(whole / "oracle").state
    changes = [p.change for p in stored.changes.values() if not p.proposed.rescreens]
    study = simulate(job.ladder, changes, policy=job.policy, plan=job.plan)
    assert study.state.verdicts() == stored.verdicts()


@pytest.mark.level2
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 5))]
)
def test_five_studies_of_real_processes_are_those_in_memory(seed: int, tmp_path: Path) -> None:
    chosen = [f"study.seed={seed}", "budget.changes=5"]
    finish(tmp_path, *chosen)
    job = decode_job(compose([*OVERRIDES, *chosen], [], name="config"), [])
    study = simulate(job.ladder, job.ladder.panel[:5], policy=job.policy, plan=job.plan)
    stored = verdicts(tmp_path)
    assert study.state.verdicts() == stored
    assert stored["c1"].outcome is Outcome.CERTIFIED
    assert not any(stored[arm].outcome.is_accepted for arm in ("c2", "c3", "c4", "c5"))


@pytest.mark.level2
def test_an_ended_study_typed_again_runs_nothing(whole: Path) -> None:
    before = trials_run(whole)
    finish(whole, "runner.slots=1")
    assert trials_run(whole) == before
