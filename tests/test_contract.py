"""docs/contract.md says what the code does, and the code does what it says."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from oracle import ROOT

from miniscale.run.runner.local import LocalRunner
from miniscale.run.worker import PASSED_ON
from miniscale.setting.decode import decode
from miniscale.setting.rung import OURS, Folders, Rung, trial_spec
from miniscale.setting.setting import Knob, Setting
from miniscale.setting.trial import Cause, MetricSource, Objective, TrialResult, TrialState
from miniscale.tree.workspace import Workspace

PAGE = (ROOT / "docs" / "contract.md").read_text()

TRAINER = """
import json, os, sys
from pathlib import Path
told = dict(part[2:].split("=", 1) for part in sys.argv[1:])
out = Path(told["out"])
(out / "metrics.jsonl").write_text('{"step": 1, "steps": 1, "loss": 2.0, "seconds": 0.1}\\n')
(out / "trainer.json").write_text('{"tokens": 7}')
seen = {"argv": told, "env": dict(os.environ), "cwd": os.getcwd()}
(out / "seen.json").write_text(json.dumps(seen))
(out / "model.safetensors").write_bytes(b"weights")
sys.exit({"diverge": 3, "crash": 1}.get(told["mode"], 0))
"""
EVALUATOR = """
import json, sys
from pathlib import Path
out, mode = Path(sys.argv[1]), sys.argv[2]
assert (out / "model.safetensors").exists()
if mode == "tamper":
    (out / "evaluation.json").write_text('{"tampered": "reads the future"}')
    sys.exit(4)
if mode == "spend":
    (out / "evaluation.json").write_text('{"over_budget": "twice the FLOPs"}')
    sys.exit(5)
value = float("nan") if mode == "nan" else 1.25
(out / "evaluation.json").write_text(json.dumps({"score": value, "digests": {"data": "abc"}}))
"""
EXPECTED = {
    "fine": (TrialState.COMPLETE, Cause.NONE),
    "diverge": (TrialState.DIVERGED, Cause.NONE),
    "nan": (TrialState.DIVERGED, Cause.NONE),
    "crash": (TrialState.FAILED, Cause.CRASH),
    "tamper": (TrialState.TAMPERED, Cause.NONE),
    "spend": (TrialState.OVER_BUDGET, Cause.NONE),
}


def run(mode: str, folder: Path) -> tuple[TrialResult, Path]:
    """Run one trial through the real worker."""
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(TRAINER)
    (source / "score.py").write_text(EVALUATOR)
    setting = Setting(
        name="contract",
        about="",
        source=source,
        prepare=(),
        command=(
            "{python}",
            "train.py",
            "--out={out}",
            "--seed={seed}",
            "--size={size}",
            "{knobs}",
        ),
        evaluator=("{python}", "score.py", "{out}", "{mode}"),
        objective=Objective("score", True, MetricSource(file="evaluation.json", key="score")),
        editable=("train.py",),
        locked=("score.py",),
        env={"OURS": "1"},
        knobs={"mode": decode(Knob, {"default": mode}, "mode", name="mode")},
    )
    trees = Workspace.create(
        folder,
        source=source,
        editable=setting.editable,
        locked=setting.locked,
        knobs=setting.defaults(),
    )
    spec = trial_spec(
        setting,
        Rung("small", 1.0, 1.0, params={"size": 5}, timeout_s=30),
        arm="b0",
        seed=11,
        tree=trees.checkout("b0", parent=trees.first(), patch="", knobs={}),
        data={},
        folders=Folders(folder / "trials", folder / "cache"),
    )
    with LocalRunner(1) as runner:
        runner.submit([spec])
        while not (results := runner.poll(5.0)):
            pass
    return results[0], Path(spec.out)


@pytest.mark.parametrize("mode", EXPECTED)
def test_every_exit_has_its_state(mode: str, tmp_path: Path) -> None:
    result, _ = run(mode, tmp_path)
    assert (result.state, result.cause) == EXPECTED[mode], result.reason
    assert (result.value is not None) == (mode == "fine")
    if mode == "tamper":
        assert "reads the future" in result.reason
    if mode == "spend":
        assert "twice the FLOPs" in result.reason


def test_arguments_environment_and_files_are_those_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    result, out = run("fine", tmp_path)
    seen = json.loads((out / "seen.json").read_text())
    assert seen["argv"] == {"out": str(out), "seed": "11", "size": "5", "mode": "fine"}
    assert Path(seen["cwd"]) == tmp_path / "trees" / "b0"
    own = set(seen["env"]) - {"LC_CTYPE"}  # set by the interpreter itself
    section = PAGE.split("## Environment")[1].split("##")[0]
    allowed = set(re.findall(r"`([A-Z_]+)`", section)) | {"OURS"}
    assert own <= allowed
    assert allowed - set(PASSED_ON) <= own
    assert result.metrics["tokens"] == 7
    assert result.digests == {"data": "abc"}
    left = {path.name for path in out.iterdir()} - {"seen.json"}
    assert left == {
        "spec.json",
        "metrics.jsonl",
        "trainer.json",
        "evaluation.json",
        "log.txt",
        "result.json",
    }
    for name in left:
        assert f"`{name}`" in PAGE


def test_the_page_names_every_placeholder_variable_and_state() -> None:
    for name in OURS:
        assert f"`{{{name}}}`" in PAGE
    for name in PASSED_ON:
        assert f"`{name}`" in PAGE
    for state in TrialState:
        assert f"`{state}`" in PAGE
    for cause in set(Cause) - {Cause.NONE}:
        assert f"`{cause}`" in PAGE


def test_the_interpreter_of_a_trial_is_the_harness_own(tmp_path: Path) -> None:
    _, out = run("fine", tmp_path)
    spec = json.loads((out / "spec.json").read_text())
    assert os.path.samefile(spec["trainer"][0], sys.executable)
