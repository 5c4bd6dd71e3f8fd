"""Bad input gets one clear line: the value, the rule, the next step; nothing is written."""

import subprocess
import sys
from pathlib import Path

import pytest
from oracle import ROOT

CASES = {
    "no ladder": ([], "python -m autoresearch +ladder=nanochat"),
    "unknown ladder": (["+ladder=nanochta"], "did you mean 'nanochat'?"),
    "misspelt key": (["+ladder=oracle", "budget.hourz=3"], "did you mean 'budget.hours'?"),
    "beside number keys": (["+ladder=nanochat", "budget.hour=3"], "did you mean 'budget.hours'?"),
    "misspelt group": (["+ladder=oracle", "agnt=search"], "did you mean 'agent'?"),
    "unknown option": (["+ladder=oracle", "agent=serch"], "did you mean 'search'?"),
    "like nothing": (["+ladder=nanochat", "zzzz=3"], "known: agent, budget, dry_run, "),
    "option's key": (["+ladder=oracle", "agent=openai", "agent.modle=x"], "mean 'agent.model'?"),
    "below a value": (["+ladder=oracle", "budget.hours.x=3"], "'budget.hours' is a value"),
    "added key": (["+ladder=oracle", "+foo=1"], "config.foo: unknown"),
    "no such option": (["+ladder=oracle", "--verbose"], "--verbose: no such option"),
    "missing value": (["+ladder=oracle", "agent=patches"], "add 'agent.path=…'"),
    "no patch": (["+ladder=oracle", "agent=patches", "agent.path=nope"], "no patch file"),
    "no rungs": (["+ladder=oracle", "~ladder.rungs"], "needs at least one"),
    "wrong type": (["+ladder=oracle", "ladder.rungs.small.seeds=two"], "expected int, got 'two'"),
    "placeholder": (["+ladder=oracle", "~ladder.rungs.top.params.compute"], "top.params.compute"),
    "order": (["+ladder=oracle", "ladder.rungs.small.scale=100"], "order rungs from small"),
    "target": (["+ladder=oracle", "ladder.target.scale=5"], "raise the target"),
    "box": (["+ladder=oracle", "runner.box=strong"], "must be one of require, prefer, off"),
    "budget": (["+ladder=oracle", "budget.compute=5"], "raise it"),
    "odds": (["+ladder=oracle", "policy=trend", "policy.confidence=95"], "between 0 and 1"),
    "folder": (["+ladder=oracle", "study.root=/proc/nothing"], "cannot be written"),
    "config dir": (["+ladder=oracle", "--config-dir=/nowhere"], "no folder"),
}


BY_HAND = {
    "like nothing": (["rung=small", "zzzz=3"], "zzzz=3: no such key; known: box, knobs, ladder, "),
    "misspelt key": (["rnug=small"], "rnug=small: no such key; did you mean 'rung'?"),
    "added key": (["rung=small", "+foo=1"], "config.foo: unknown"),
    "inside": (
        ["rung=small", "ladder.rungs.small.cots=3"],
        "('+ladder.rungs.small.cots=3' adds it)",
    ),
    "knob": (["rung=small", "knobs.gian=1"], "did you mean 'gain'?"),
    "rung": (["rung=smal"], "did you mean 'small'?"),
}


def run(
    arguments: list[str], folder: Path, *, program: str = "autoresearch"
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
    case: str, tmp_path: Path
) -> None:
    arguments, words = CASES[case]
    done = run(arguments, tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", BY_HAND)
def test_a_trial_by_hand_answers_bad_input_in_one_short_line(case: str, tmp_path: Path) -> None:
    arguments, words = BY_HAND[case]
    done = run(["+ladder=oracle", *arguments], tmp_path, program="miniscale")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 200
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_key_of_a_strangers_ladder_is_found_in_the_strangers_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "ladder").mkdir()
    text = (ROOT / "conf" / "ladder" / "oracle.yaml").read_text()
    (tmp_path / "ladder" / "mine.yaml").write_text(text.replace("name: oracle", "name: mine"))
    words = ["--config-dir", str(tmp_path), "+ladder=mine", "ladder.rungs.small.sclae=3"]
    done = run(words, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "did you mean 'ladder.rungs.small.scale'?" in done.stderr


def test_a_study_whose_ladder_changed_says_what_and_how_to_start_another(tmp_path: Path) -> None:
    few = ["+ladder=oracle", "tracker=none", "budget.changes=1", "budget.compute=300"]
    assert run(few, tmp_path).returncode == 0
    done = run([*few, "ladder.rungs.top.scale=200"], tmp_path)
    assert done.returncode == 2
    assert (
        "ladder.rungs.top.scale: was 216.0 when study oracle began and is 200.0 now" in done.stderr
    )
    assert "study.name=" in done.stderr


def test_one_or_two_rungs_are_warned_of(tmp_path: Path) -> None:
    few = ["+ladder=oracle", "tracker=none", "budget.changes=1", "budget.compute=300"]
    done = run([*few, "~ladder.rungs.top", "~ladder.rungs.large"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no change can be certified" in done.stdout


def test_a_damaged_journal_is_refused_and_a_torn_one_repaired(tmp_path: Path) -> None:
    few = ["+ladder=oracle", "tracker=none", "budget.changes=1", "budget.compute=300"]
    assert run(few, tmp_path).returncode == 0
    folder = tmp_path / "studies" / "oracle"
    path = next((folder / "journal").glob("*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"v":1,"se')
    done = run(few, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "journal repaired" in done.stdout
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"#" + content[201:])
    done = run(few, tmp_path)
    assert done.returncode == 2
    assert "damaged record" in done.stderr
