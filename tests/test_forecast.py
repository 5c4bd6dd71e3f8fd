"""What a trial's code, asked in a box for forecasts, can learn and what it can leave."""

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracle import ROOT
from safetensors.torch import save_file
from test_box import KINDS, needs

from miniscale.box import BoxKind
from miniscale.evaluate.predict_host import Wanted, read_answer
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.run.worker import BOX_VARIABLE, HIDDEN_VARIABLE
from miniscale.settings.prepared_arrays import write
from miniscale.settings.tabular.evaluate import spent
from miniscale.settings.vision.train import build, initialise

ROWS = 40
HONEST = """
import json, pathlib
def load(out):
    slope = json.loads((out / "model.json").read_text())["slope"]
    return lambda features: slope * features[:, 0]
"""
NOSY = """
import os, socket

def loot():
    above = f"/proc/{os.getppid()}"
    found = [name for name in os.environ if name.startswith(("MINISCALE", "SECRET"))]
    for look in (
        lambda: os.listdir(HELD),
        lambda: open(f"{HELD}/val_KIND.npy", "rb").close(),
        lambda: "SECRET" in open(f"{above}/environ").read() or missing,
        lambda: open(f"{above}/mem", "rb").close() if os.getppid() > 1 else missing,
        lambda: socket.create_connection(("127.0.0.1", PORT), 2).close(),
    ):
        try:
            look()
            found.append("a way")
        except (OSError, NameError):
            pass
    return found
"""
SHAPE = {"width": 4, "depth": 1, "resolution": 28, "activation": "relu", "norm": "batch",
         "residual": True, "dropout": 0.0, "kernel": 3, "pooling": "mean"}  # fmt: skip


@pytest.fixture
def port() -> Iterator[int]:
    """Port of this machine on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def flights(folder: Path) -> Path:
    """A cache whose rows lie in the order of their delays, as flights do in that of take-off."""
    rng = np.random.default_rng(0)
    parts = []
    for split in ("train", "val", "sealed"):
        features = rng.normal(size=(ROWS, 3)).astype(np.float32)
        target = np.sort(features[:, 0] + rng.normal(size=ROWS)).astype(np.float32)
        parts.append((split, {"features": features, "target": target}))
    write(folder / "cache", parts, beside={})
    return folder / "cache" / "heldout"


def left(folder: Path, code: str) -> Path:
    """What a trainer of the tabular setting leaves, its code beside it."""
    out = folder / "out"
    for path in (out / "tmp", folder / "tree"):
        path.mkdir(parents=True)
    (folder / "tree" / "train.py").write_text(code)
    (out / "model.json").write_text('{"slope": 0.5}')
    (out / "tmp" / "model.txt").write_text("a tree")
    (out / "trainer.json").write_text('{"rows": 40, "trees": 3}')
    return out


def judged(
    folder: Path, setting: str, *more: str, kind: BoxKind = BoxKind.PROCESS, hides: str = ""
) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a setting's evaluator."""
    argv = [sys.executable, "-m", f"miniscale.settings.{setting}.evaluate", f"--code={folder}/tree"]
    argv += [f"--data={folder}/cache/heldout", f"--out={folder}/out", *more]
    secrets = {BOX_VARIABLE: str(kind), "SECRET_KEY": "sk-1"}
    secrets[HIDDEN_VARIABLE] = json.dumps([hides] if hides else [])
    env = {**os.environ, "PYTHONPATH": str(ROOT), **secrets}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert not list((folder / "out").glob(".evaluate-*"))
    if not (folder / "out" / "evaluation.json").exists():
        raise AssertionError(done.stderr)
    return done.returncode, json.loads((folder / "out" / "evaluation.json").read_text())


def tabular(
    folder: Path, code: str, *more: str, kind: BoxKind = BoxKind.PROCESS
) -> tuple[int, dict[str, Any]]:
    flights(folder)
    left(folder, code)
    return judged(folder, "tabular", "--rows=40", "--trees=3", *more, kind=kind)


def test_the_order_of_rows_tells_nothing_and_scores_are_those_of_a_plain_evaluation(
    tmp_path: Path,
) -> None:
    code, found = tabular(tmp_path, HONEST)
    assert code == 0, found
    by_place = "import numpy as np\ndef load(out): return lambda x: np.linspace(-3, 3, len(x))"
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "tree")
    cheating = tabular(tmp_path, by_place)[1]
    for name in ("val", "sealed"):
        features, target = (
            np.load(tmp_path / "cache" / "heldout" / f"{name}_{kind}.npy")
            for kind in ("features", "target")
        )
        error = 0.5 * features[:, 0].astype(np.float64) - target
        assert found[f"{name}_rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
        assert found[f"{name}_mae"] == pytest.approx(np.mean(abs(error)), rel=1e-6)
        in_file_order = np.sqrt(np.mean((np.linspace(-3, 3, ROWS) - target) ** 2))
        assert cheating[f"{name}_rmse"] > 2 * in_file_order


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("def load(out): return lambda x: x[:, :2]", 4, r"shape: val is .*'shape': \(40, 2\)"),
        ("def load(out): return lambda x: x[:, 0] * 0.0 - 1e300", 4, "finite: val .* squared"),
        ("import os\ndef load(out): os._exit(0)", 4, "files: val.npy: cannot be read"),
        ("def load(out): raise ValueError('broken')", 1, "code ended with 1 before it gave"),
        ("import os\ndef load(out): os.kill(os.getpid(), 9)", 1, "code ended with -9"),
        ("import time\ndef load(out): time.sleep(60)", 1, "no forecasts within patience_s=1.5"),
    ],
)
def test_code_that_gives_no_forecasts_gets_no_score(
    code: str, status: int, says: str, tmp_path: Path
) -> None:
    found = tabular(tmp_path, code, "--patience_s=1.5" if "sleep" in code else "--patience_s=60")
    key = {4: "tampered", 1: "failed"}[status]
    assert found[0] == status, found
    assert list(found[1]) == [key]
    assert re.search(says, found[1][key]), found


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(9 << 30)


def pickled(path: Path) -> None:
    np.save(path, np.array([{}] * 4, object), allow_pickle=True)


def linked(path: Path) -> None:
    np.save(path.with_name("good.npy"), np.zeros(4))
    path.symlink_to(path.with_name("good.npy"))


@pytest.mark.parametrize(
    ("leave", "says"),
    [
        (lambda path: np.save(path, np.zeros(5)), r"shape: val is .*\(5,\).*, must be \(4,\)"),
        (lambda path: np.save(path, np.zeros((4, 1))), "shape: val is"),
        (lambda path: np.save(path, np.zeros(4, np.float32)), "shape: val is .*<f4.* of <f8"),
        (lambda path: np.save(path, np.array([0, 1, np.nan, 3])), "finite: val holds NaN"),
        (lambda path: path.write_bytes(pickle.dumps(np.zeros(4))), "shape: val is"),
        (pickled, r"shape: val is .*\|O"),
        (linked, "files: val.npy: cannot be read"),
        (os.mkfifo, "files: val.npy: not a plain file"),
        (Path.mkdir, "files: val.npy: not a plain file"),
        (huge, "files: val.npy: not a plain file of at most"),
    ],
)
def test_what_is_no_array_of_the_wanted_kind_is_refused(
    leave: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "good.npy", np.arange(4.0))
    wanted = Wanted((4,), "<f8")
    assert read_answer(tmp_path / "good.npy", wanted).tolist() == [0, 1, 2, 3]
    leave(tmp_path / "val.npy")
    with pytest.raises(TamperedError, match=says):
        read_answer(tmp_path / "val.npy", wanted)


def nosy(folder: Path, port: int, kind: str) -> str:
    held = f"HELD, PORT = {str(folder / 'cache' / 'heldout')!r}, {port}\n"
    return held + NOSY.replace("KIND", kind)


@pytest.mark.level2
@pytest.mark.parametrize("kind", [*KINDS, BoxKind.PROCESS])
def test_code_that_looks_for_the_delays_finds_them_only_where_there_is_no_box(
    kind: BoxKind, tmp_path: Path, port: int
) -> None:
    if kind is not BoxKind.PROCESS:
        needs(kind)
    looks = nosy(tmp_path, port, "target") + "def load(out): return lambda x: x[:, 0] + len(loot())"
    code, found = tabular(tmp_path, looks, kind=kind)
    assert code == 0, found
    target = np.load(tmp_path / "cache" / "heldout" / "val_target.npy")
    honest = np.load(tmp_path / "cache" / "heldout" / "val_features.npy")[:, 0] - target
    is_as_blind = found["val_rmse"] == pytest.approx(np.sqrt(np.mean(honest**2)), rel=1e-6)
    assert is_as_blind == (kind is not BoxKind.PROCESS)


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_code_that_answers_is_not_shown_what_the_setting_hides(
    kind: BoxKind, tmp_path: Path
) -> None:
    needs(kind)
    flights(tmp_path)
    left(tmp_path, "import source\ndef load(out): return lambda x: x[:, 0]")
    source = tmp_path / "tree" / "source.py"
    source.touch()
    assert judged(tmp_path, "tabular", "--rows=40", "--trees=3", kind=kind)[0] == 0
    hides = str(source)
    assert judged(tmp_path, "tabular", "--rows=40", "--trees=3", kind=kind, hides=hides)[0] == 1


def pictures(folder: Path, code: str) -> torch.nn.Module:
    """A cache of images and what a trainer of the vision setting leaves; returns its model."""
    rng = np.random.default_rng(0)
    parts = []
    for split in ("train", "val", "sealed"):
        images = rng.integers(256, size=(ROWS, 28, 28), dtype=np.uint8)
        parts.append((split, {"images": images, "labels": rng.integers(10, size=ROWS, dtype="u1")}))
    write(folder / "cache", parts, beside={})
    out, tree = folder / "out", folder / "tree"
    out.mkdir()
    tree.mkdir()
    own = (ROOT / "miniscale" / "settings" / "vision" / "train.py").read_text()
    (tree / "train.py").write_text(own.replace('if __name__ == "__main__":', f"{code}\nif 0:"))
    model = build(SHAPE)
    initialise(model, 1)
    save_file(dict(model.state_dict()), out / "model.safetensors")
    (out / "model.json").write_text(json.dumps(SHAPE))
    (out / "trainer.json").write_text('{"images": 64}')
    return model.eval()


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_model_that_looks_for_the_labels_has_its_own_score(
    kind: BoxKind, tmp_path: Path, port: int
) -> None:
    needs(kind)
    looks = "\nblind = build\ndef build(config):\n    model = blind(config)\n"
    looks += "    assert not loot(), loot()\n    return model\n"
    model = pictures(tmp_path, nosy(tmp_path, port, "labels") + looks)
    code, found = judged(tmp_path, "vision", "--images=64", kind=kind)
    assert code == 0, found
    for name in ("val", "sealed"):
        images, labels = (
            torch.from_numpy(np.load(tmp_path / "cache" / "heldout" / f"{name}_{kind}.npy"))
            for kind in ("images", "labels")
        )
        with torch.inference_mode():
            logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits, labels.long())
        assert found[f"{name}_loss"] == pytest.approx(float(loss), abs=1e-6)
        assert found[f"{name}_accuracy"] == float((logits.argmax(1) == labels).double().mean())


@pytest.mark.level2
def test_an_image_model_pays_for_the_passes_that_are_scored_and_must_fit_its_code(
    tmp_path: Path,
) -> None:
    from miniscale.settings.nanochat.tokens import counted_flops

    model = pictures(tmp_path, "")
    found = judged(tmp_path, "vision", "--images=64")[1]
    with torch.no_grad():
        one = counted_flops(lambda: model(torch.zeros(1, 28, 28, dtype=torch.uint8)))
    assert found["flops"] == pytest.approx(3 * 64 * one, rel=1e-12)
    assert found["parameters"] == sum(
        tensor.numel() for tensor in model.state_dict().values() if tensor.is_floating_point()
    )
    (tmp_path / "out" / "model.json").write_text(json.dumps({**SHAPE, "width": 5}))
    assert judged(tmp_path, "vision", "--images=64") == (
        4, {"tampered": "weights: they do not fit the code"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"rows": 40}', "trees 'None', must be a whole number from 1"),
        ('{"rows": "40", "trees": 3}', "rows '40', must be"),
        ('{"rows": NaN, "trees": 3}', "rows 'nan', must be"),
        ('{"rows": true, "trees": 3}', "rows 'True', must be"),
        ('{"rows": 1' + "0" * 400 + ', "trees": 3}', "rows '1000.*', must be"),
        ("rows: 40", "not valid JSON"),
        ("[40, 3]", "holds a list"),
    ],
)
def test_what_a_trainer_says_it_spent_is_a_number_or_refused(
    text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "trainer.json").write_text(text)
    with pytest.raises(TamperedError, match=f"files: trainer.json: .*{says}.*; let train.py write"):
        spent(tmp_path, {"rows": 40.0, "trees": 3.0})
    (tmp_path / "trainer.json").write_text('{"rows": 90, "trees": 3}')
    with pytest.raises(OverBudgetError, match="90 rows are more than 40"):
        spent(tmp_path, {"rows": 40.0, "trees": 3.0})
