"""A person's own programs: their interpreter, setup, wrappers and evaluators beside it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_ways_in import ran, setting_of, source, spec_of

from miniscale.run.prepare_data import prepare
from miniscale.setting.compose import compose
from miniscale.setting.decode import InputError
from miniscale.setting.setting import TreeKind
from miniscale.tree.workspace import workspace_now

__all__ = ["source"]

PRINTS = ["{python}", "-c", "import sys; print('loss', len(sys.prefix))"]


def linked_python(source: Path) -> Path:
    """Lay a virtual environment with nothing in it into the source."""
    venv = source / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(os.path.realpath(sys.executable))
    (venv / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}")
    return venv


def test_a_python_of_the_source_runs_its_trials(tmp_path: Path, source: Path) -> None:
    venv = linked_python(source)
    setting = setting_of(source, python=".venv/bin/python", command=PRINTS)
    spec = spec_of(setting, tmp_path / "s")
    assert spec.trainer[0] == str(venv / "bin/python")
    assert str(venv) in spec.reads
    assert spec.env["PATH"].startswith(f"{venv}/bin:")
    assert ran(spec).value == len(str(venv))
    assert not (Path(spec.tree) / ".venv").exists()


def test_what_runs_a_python_is_asked_which(tmp_path: Path, source: Path) -> None:
    venv = linked_python(source)
    (source / "uv").write_text(f'#!/bin/sh\nshift\nexec {venv}/bin/"$@"\n')
    (source / "uv").chmod(0o755)
    setting = setting_of(source, python=f"{source}/uv run", command=PRINTS)
    assert spec_of(setting, tmp_path / "s").trainer[0] == str(venv / "bin/python")


def test_a_python_that_is_not_there_is_said(source: Path) -> None:
    with pytest.raises(InputError, match=r"setting.python: no '.venv/bin/python' in .*; make it"):
        setting_of(source, python=".venv/bin/python")


@pytest.mark.parametrize("which", ["evaluator", "wrapper"])
def test_a_script_beside_the_source_is_part_of_a_trials_name(
    tmp_path: Path, source: Path, which: str
) -> None:
    script = tmp_path / "mine.py"
    script.write_text("print(1)")
    argv = ["{python}", str(script)]
    keys: dict[str, Any] = {"evaluator": argv} if which == "evaluator" else {"command": argv}
    before = spec_of(setting_of(source, **keys), tmp_path / "s")
    assert (str(script) in before.reads) == (which == "wrapper")
    script.write_text("print(-1)")
    assert spec_of(setting_of(source, **keys), tmp_path / "s").identity != before.identity


def test_setup_runs_in_the_source_and_shows_what_it_prints(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import os, sys; print(os.getcwd()); open(sys.argv[1] + '/data', 'w').write(sys.argv[2])"
    argv = ["{python}", "-c", code, "{cache}", "1"]
    first = prepare(setting_of(source, setup=argv), tmp_path / "cache")
    assert f"setup    {source}" in capsys.readouterr().err
    assert list(first) == ["cache"]
    other = prepare(setting_of(source, setup=[*argv[:-1], "2"]), tmp_path / "cache")
    assert other != first
    reports = ["{python}", "-c", 'print(\'{{"digests": {{"text": "abc"}}}}\')']
    assert prepare(setting_of(source, setup=reports), tmp_path / "cache") == {"text": "abc"}
    with pytest.raises(InputError, match="preparing lab: no room"):
        prepare(setting_of(source, setup=["bash", "-c", "echo no room; exit 1"]), tmp_path / "c")
    with pytest.raises(InputError, match=r"no JSON line with 'digests' last; .* call it 'setup'"):
        prepare(setting_of(source, prepare=["echo", "hello"]), tmp_path / "c")


def test_a_report_stands_whatever_is_said_beside_it(tmp_path: Path, source: Path) -> None:
    code = 'import sys; sys.stderr.write(\'w\' * 200_000); print(\'{{"digests": {{"a": "b"}}}}\');'
    argv = ["{python}", "-c", code + "sys.stdout.flush(); sys.stderr.write('\\nwarning: late\\n')"]
    for setting in (setting_of(source), replace(setting_of(source), tree=TreeKind.NAMED)):
        assert prepare(replace(setting, prepare=tuple(argv)), tmp_path / "c") == {"a": "b"}


def test_by_hand_what_lies_there_now_is_run(tmp_path: Path, source: Path) -> None:
    setting = setting_of(source)
    first = workspace_now(setting, tmp_path / "hand")
    assert workspace_now(setting, tmp_path / "hand").first() == first.first()
    (source / "new.py").write_text("x = 1\n")
    (source / "train.py").write_text("print('loss 7')\n")
    knobs = {"a": {"default": 1}}
    changed = setting_of(source, knobs=knobs, editable=["train.py", "new.py"])
    (source / "train.py").write_text("print('loss 7')\n")
    now = workspace_now(changed, tmp_path / "hand")
    tree = now.checkout("hand", parent=now.first(), patch="", knobs={"a": 2})
    assert (tree.path / "train.py").read_text() == "print('loss 7')\n"
    assert (tree.path / "new.py").exists()


@pytest.mark.parametrize("name", ["étude", "a=b", "with space", "a,b", "x[1]{2}"])
def test_a_folder_of_any_name_holds_configuration(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "ladder").mkdir(parents=True)
    (folder / "ladder" / "mine.yaml").write_text("defaults: [oracle, _self_]\nname: mine\n")
    assert compose(["+ladder=mine"], [folder], name="config")["ladder"]["name"] == "mine"


def test_words_reach_an_output_that_has_no_such_characters(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    argv = [sys.executable, "-m", "autoresearch", "doctor"]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_full_disk_ends_a_study_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from autoresearch import session
    from autoresearch.__main__ import main

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "studies/x/journal/1.jsonl")

    monkeypatch.setattr(session, "run_study", full)
    assert main(["+ladder=oracle", f"study.root={tmp_path}", "tracker=none"]) == 2
    assert capsys.readouterr().err == (
        "error: studies/x/journal/1.jsonl: No space left on device; make room, then type the same "
        "command: what has finished is kept\n"
    )
