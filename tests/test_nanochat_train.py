import hashlib
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from miniscale.settings.nanochat import evaluate, prepare

CODE = Path(evaluate.__file__).parent
D1 = 1.375e10
pytestmark = pytest.mark.level2


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nanochat") / "cache"
    prepare.prepare(folder, None)
    return folder


@pytest.fixture(scope="module")
def code() -> Iterator[ModuleType]:
    """``train.py`` as a trial imports it: by its bare name, beside its companions."""
    sys.path.insert(0, str(CODE))
    threads = torch.get_num_threads()
    yield importlib.import_module("train")
    sys.path.remove(str(CODE))
    torch.set_num_threads(threads)
    for name in ("train", "tokens", "operations"):
        sys.modules.pop(name, None)


def train(cache: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    out.mkdir(exist_ok=True)
    argv = [sys.executable, "train.py", f"--data={cache}/train", f"--out={out}", *arguments]
    return subprocess.run(argv, cwd=CODE, capture_output=True, text=True, check=False)


def score(cache: Path, out: Path, flops: float, *, tree: Path = CODE, stop: float = 1.0) -> int:
    argv = [sys.executable, "-m", "miniscale.settings.nanochat.evaluate", f"--code={tree}"]
    argv += [f"--data={cache}/heldout", f"--out={out}", f"--flops={flops}", f"--stop={stop}"]
    return subprocess.run(argv, cwd=CODE.parent.parent, check=False).returncode


@pytest.fixture(scope="module")
def d1(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("d1")
    done = train(cache, out, "--depth=1", f"--flops={D1}")
    assert done.returncode == 0, done.stderr
    return out


def test_a_smoke_run_learns_and_is_scored_outside(cache: Path, d1: Path) -> None:
    assert score(cache, d1, D1) == 0
    found = json.loads((d1 / "evaluation.json").read_text())
    assert 2.0 < found["val_bpb"] < 2.3
    assert 2.0 < found["sealed_bpb"] < 2.3
    assert found["flops"] == pytest.approx(D1, rel=0.02)
    assert {"code", "weights", "val", "sealed"} <= set(found["digests"])
    lines = [json.loads(line) for line in (d1 / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 1
    assert lines[-1]["step"] == lines[-1]["steps"]
    assert len(lines) <= 100
    assert lines[-1]["loss"] < lines[0]["loss"] - 2


def test_the_same_seed_is_bit_identical_and_another_is_not(cache: Path, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = train(cache, tmp_path / name, "--depth=1", "--flops=1e9", f"--seed={seed}")
        assert done.returncode == 0, done.stderr
        weights = (tmp_path / name / "model.safetensors").read_bytes()
        digests.append(hashlib.sha256(weights).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_more_than_the_budget_is_refused(cache: Path, d1: Path, tmp_path: Path) -> None:
    out = shutil.copytree(d1, tmp_path / "over")
    assert score(cache, out, D1 / 1.1) == 5
    assert "FLOPs are" in json.loads((out / "evaluation.json").read_text())["over_budget"]


def test_a_run_stopped_early_is_the_beginning_of_the_whole_one_and_pays_for_that(
    cache: Path, d1: Path, tmp_path: Path
) -> None:
    done = train(cache, tmp_path / "part", "--depth=1", f"--flops={D1}", "--stop=0.1")
    assert done.returncode == 0, done.stderr
    lines = [
        [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for out in (d1, tmp_path / "part")
    ]
    losses = [{line["step"]: (line["loss"], line["lr"]) for line in part} for part in lines]
    shared = sorted(set(losses[0]) & set(losses[1]))
    assert len(shared) > 3
    assert all(losses[0][step] == losses[1][step] for step in shared)
    assert score(cache, tmp_path / "part", D1, stop=0.1) == 0
    assert score(cache, tmp_path / "part", D1, stop=0.09) == 5
    found = json.loads((tmp_path / "part" / "trainer.json").read_text())
    assert found["flops"] == pytest.approx(0.1 * D1, rel=0.02)
    assert (found["stop"], found["steps"]) == (19, 190)


def test_a_pool_changes_nothing_until_it_is_used_up(code: ModuleType, cache: Path) -> None:
    tokens = importlib.import_module("tokens")
    whole = tokens.TokenWindows(cache / "train", context=128, seed=5)
    small = tokens.TokenWindows(cache / "train", context=128, seed=5, pool=0.01)
    n = small.windows
    assert n == round(0.01 * whole.windows)
    assert torch.equal(whole.batch(0, n)[0], small.batch(0, n)[0])
    again = small.batch(n, n)[0]
    assert not torch.equal(again, small.batch(0, n)[0])
    assert torch.equal(again.unique(dim=0), small.batch(0, n)[0].unique(dim=0))
    parts = torch.cat([small.batch(i, 7)[0] for i in range(n - 7, 2 * n, 7)])
    assert torch.equal(parts[7 : 7 + n], again)  # whatever the batch


def test_weights_that_do_not_fit_the_code_are_refused(
    cache: Path, d1: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(d1, tmp_path / "other")
    config = json.loads((out / "model.json").read_text())
    (out / "model.json").write_text(json.dumps({**config, "tied_head": True}))
    assert score(cache, out, D1) == 4
    assert "do not fit" in json.loads((out / "evaluation.json").read_text())["tampered"]


@pytest.mark.parametrize(
    "argument",
    ["--dept=2", "--depth=two", "--qk_norm=1", "depth=2", "--depth", "--activation=tanh",
     "--flops=-1", "--head_dim=7", "--orthogonal_steps=9", "--stop=0", "--pool=1.5"],
)  # fmt: skip
def test_a_wrong_argument_ends_with_code_2_and_one_line(
    argument: str, code: ModuleType, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code.main([f"--data={cache}/train", "--flops=1e9", argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert argument.lstrip("-").partition("=")[0] in line


def model(code: ModuleType, **knobs: Any) -> Any:
    made = code.GPT(code.architecture(code.Knobs(**knobs), 1024))
    code.initialise(made, knobs.get("seed", 0))
    return made


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_flops_are_the_formula(depth: int, code: ModuleType) -> None:
    tokens = importlib.import_module("tokens")
    made, width = model(code, depth=depth, value_embeddings=False, smear=False), 16 * depth
    idx = torch.randint(1024, (1, 128))
    counted = tokens.counted_flops(lambda: made(idx, idx).backward()) / 128
    n = 12 * depth * width**2 + 1024 * width
    assert counted == 6 * n + 12 * depth * width * 128


def test_flops_are_those_of_torchs_own_counter_and_in_place_products_count(
    code: ModuleType,
) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    tokens = importlib.import_module("tokens")
    made, idx = model(code, qk_norm=False, softcap=0.0), torch.randint(1024, (2, 128))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        made(idx, idx).backward()
    assert tokens.counted_flops(lambda: made(idx, idx).backward()) == counter.get_total_flops()
    a = torch.ones(8, 8)
    assert tokens.counted_flops(lambda: torch.zeros(8, 8).addmm_(a, a)) == 2 * 8**3


def test_a_structural_edit_leaves_every_other_parameter_as_it_was(code: ModuleType) -> None:
    base = dict(model(code).named_parameters())
    edited = dict(model(code, activation="swiglu", value_embeddings=False).named_parameters())
    kept = [n for n in edited if n in base and not n.endswith(("up", "down"))]
    assert len(kept) >= 8
    assert all(torch.equal(base[n], edited[n]) for n in kept)
    other = dict(model(code, seed=1).named_parameters())
    assert not torch.equal(base["blocks.0.qkv"], other["blocks.0.qkv"])


def check_same(one: Any, two: Any, *inputs: torch.Tensor) -> None:
    results = []
    for f in (one, two):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = f(*leaves)
        weight = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view(y.shape)
        results.append([y, *torch.autograd.grad((y * weight).sum(), leaves)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_operations_by_hand_are_their_plain_forms(code: ModuleType) -> None:
    ops = importlib.import_module("operations")
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(300, 16, generator=rng, dtype=torch.float64)
    w = torch.randn(1024, 16, generator=rng, dtype=torch.float64)
    y = torch.randint(1024, (300,), generator=rng)
    check_same(ops.norm, lambda x: F.rms_norm(x, (16,), eps=1e-12), x)
    check_same(ops.relu2, lambda x: x.relu().square(), x)

    def plain(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        logits = 15 * torch.tanh(x @ w.T / 15)
        return F.cross_entropy(logits, y) + 0.1 * logits.logsumexp(-1).square().mean()

    check_same(lambda x, w: ops.head_loss(x, w, y, softcap=15.0, z_loss=0.1), plain, x, w)


def test_windows_come_in_the_same_order_whatever_the_batch(code: ModuleType, cache: Path) -> None:
    tokens = importlib.import_module("tokens")
    data = tokens.TokenWindows(cache / "train", context=128, seed=5)
    whole, _ = data.batch(0, 12)
    parts = torch.cat([data.batch(i, 4)[0] for i in (0, 4, 8)])
    assert torch.equal(whole, parts)
    inputs, targets = data.batch(data.windows - 1, 2)  # across an epoch
    assert inputs.shape == (2, 128)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert int(data.batch(0, 50)[0].max()) < data.vocabulary


def test_rules_of_the_gpu_run_on_a_cpu_in_small(cache: Path, tmp_path: Path) -> None:
    small = ["--rules=nanochat", "--depth=1", "--aspect=32", "--head_dim=16", "--context=64"]
    done = train(cache, tmp_path, *small, "--flops=1e9", "--batch_rows=2")
    assert done.returncode == 0, done.stderr
    spent = json.loads((tmp_path / "trainer.json").read_text())
    assert spent["weight_decay"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "knob", ["activation=swiglu", "activation=gelu", "qk_norm=false", "tied_head=true",
             "softcap=0", "matrix_optimizer=adamw", "average=0.3", "weight_decay=0.2"],
)  # fmt: skip
def test_every_structure_trains(knob: str, code: ModuleType, cache: Path, tmp_path: Path) -> None:
    argv = [f"--data={cache}/train", f"--out={tmp_path}", "--flops=2e9", f"--{knob}"]
    assert code.main(argv) == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_a_lost_loss_ends_with_code_3(code: ModuleType, cache: Path, tmp_path: Path) -> None:
    argv = [f"--data={cache}/train", f"--out={tmp_path}", "--flops=1e10", "--softcap=0"]
    assert code.main([*argv, "--lr_multiplier=1e6"]) == 3


@pytest.mark.nightly
def test_the_lowest_rung_reaches_its_measured_score(cache: Path, tmp_path: Path) -> None:
    done = train(cache, tmp_path, "--depth=2", "--flops=1.268e11")
    assert done.returncode == 0, done.stderr
    assert score(cache, tmp_path, 1.268e11) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["val_bpb"] == pytest.approx(1.840, abs=0.02)
