"""The trusted parent and a model's process: what is asked, what is believed, what is refused."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import ROOT
from safetensors.numpy import save_file
from tiny_trials import processes_with

from miniscale.evaluate.heldout_text import nats, read_split
from miniscale.evaluate.model_host import Host, HostTerms
from miniscale.evaluate.refusal import ModelError, TamperedError

VOCABULARY, CONTEXT = 16, 12
MODEL = """
import numpy as np

def build(config, weights):
    table = weights["table"]
    return lambda tokens: table[tokens]
"""


def held_out(folder: Path) -> Path:
    """A chain in which each token is mostly followed by the next."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    digests = {}
    for name in ("val", "sealed"):
        steps = np.where(rng.random(1600) < 0.7, 1, rng.integers(0, VOCABULARY, 1600))
        blob = (np.cumsum(steps) % VOCABULARY).astype("<u2").tobytes()
        (folder / f"{name}.bin").write_bytes(blob)
        digests[name] = hashlib.sha256(blob).hexdigest()
    (folder / "token_bytes.bin").write_bytes(np.full(VOCABULARY, 2, "<u2").tobytes())
    meta = {"vocabulary": VOCABULARY, "digests": digests}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def arguments(folder: Path, code: str, *more: str) -> tuple[list[str], Path]:
    """The evaluator's argv for a table of logits under the given code, and its output folder."""
    tree, out = folder / "tree", folder / "out"
    tree.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    (tree / "train.py").write_text(code)
    table = 3.0 * np.roll(np.eye(VOCABULARY, dtype=np.float32), 1, 1)
    save_file({"table": table}, out / "model.safetensors")
    (out / "model.json").write_text("{}")
    argv = [sys.executable, "-m", "miniscale.evaluate", f"--code={tree}", f"--out={out}"]
    argv += [f"--data={held_out(folder / 'heldout')}", "--framework=numpy", "--seed=1"]
    return [*argv, f"--context={CONTEXT}", "--patience_s=120", *more], out


def score(folder: Path, code: str = MODEL, *more: str) -> tuple[int, dict[str, Any]]:
    """Evaluate, and return exit code and report."""
    argv, out = arguments(folder, code, *more)
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    return done.returncode, json.loads((out / "evaluation.json").read_text())


def plain(folder: Path, name: str) -> float:
    """The same score without any of our code."""
    text = np.frombuffer((folder / "heldout" / f"{name}.bin").read_bytes(), "<u2").astype(int)
    used = (len(text) - 1) // CONTEXT * CONTEXT
    logits = 3.0 * ((text[:used, None] + 1) % VOCABULARY == np.arange(VOCABULARY))
    loss = np.log(np.exp(logits).sum(-1)) - logits[np.arange(used), text[1 : used + 1]]
    return float(loss.mean() / 2 / np.log(2))


def test_the_score_is_that_of_a_plain_evaluation(tmp_path: Path) -> None:
    code, found = score(tmp_path)
    assert code == 0, found
    assert found["val_bpb"] == pytest.approx(plain(tmp_path, "val"), rel=1e-6)
    assert found["sealed_bpb"] == pytest.approx(plain(tmp_path, "sealed"), rel=1e-6)
    assert found["parameters"] == VOCABULARY**2
    assert {"code", "weights", "config", "val", "sealed"} <= found["digests"].keys()
    assert found["checks"]["worst_nats"] < 1e-6


def test_the_checks_draw_by_a_seed_that_no_model_knows_and_that_is_on_record(
    tmp_path: Path,
) -> None:
    assert score(tmp_path)[1]["checks"]["seed"] == "1"
    seeds = {score(tmp_path, MODEL, "--seed=-1")[1]["checks"]["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_a_model_that_crashes_is_no_tampering(tmp_path: Path) -> None:
    code, found = score(tmp_path, "def build(config, weights): raise SystemExit('broken')")
    assert (code, found["failed"]) == (1, "the model's process ended")


def test_a_model_that_keeps_silent_is_given_up(tmp_path: Path) -> None:
    silent = "import time\ndef build(config, weights): time.sleep(60)"
    code, found = score(tmp_path, silent, "--patience_s=1")
    assert code == 1
    assert "no answer within patience_s=1" in found["failed"]


def test_text_that_is_not_what_was_prepared_is_refused(tmp_path: Path) -> None:
    folder = held_out(tmp_path / "heldout")
    (folder / "val.bin").write_bytes(bytes(3200))
    with pytest.raises(TamperedError, match=r"^data: val"):
        read_split(folder, "val", context=CONTEXT, tokens=1000)


def test_the_softmax_is_taken_here_and_wants_numbers() -> None:
    targets = np.array([[1]])
    huge = np.array([[[1e30, 1e30, -1e30]]], np.float32)
    assert nats(huge, targets) == pytest.approx(np.log(2))
    for bad in ([np.nan, 0, 0], [np.inf, 0, 0], [0, -np.inf, 0], [-np.inf] * 3):
        with pytest.raises(TamperedError, match=r"^finite: "):
            nats(np.array([[bad]], np.float32), targets)


def test_killing_the_evaluator_leaves_nothing_running(tmp_path: Path) -> None:
    argv, out = arguments(tmp_path, "import time\ndef build(config, weights): time.sleep(600)")
    mark = f"--tree={tmp_path / 'tree'}"
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}) as evaluator:
        until(lambda: len(processes_with(mark)) == 2)  # the process that forks, and an instance
        evaluator.kill()
    until(lambda: not processes_with(mark))
    assert not (out / "evaluation.json").exists()


def test_killing_the_models_process_is_no_tampering(tmp_path: Path) -> None:
    kills = "import os, signal\ndef build(config, weights): os.kill(os.getppid(), signal.SIGKILL)"
    code, found = score(tmp_path, kills, "--patience_s=30")
    assert code == 1
    assert "ended" in found["failed"]


def test_a_model_process_that_is_gone_is_told_as_such_by_all_that_is_asked_of_it(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    with Host(HostTerms(tree, framework="numpy"), folder=tmp_path, outside=os.environ) as host:
        until(lambda: bool(processes_with(f"--tree={tree}")))  # it may not have taken its name yet
        (pid,) = processes_with(f"--tree={tree}")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_with(f"--tree={tree}"))
        for _ in range(2):  # starting an instance, then ending the one before
            with pytest.raises(ModelError, match="the model's process ended"):
                host.fresh()


def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
