"""The vision setting: its data, its trainer's pairing, and a run from files to a score."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from oracle import ROOT

from miniscale.settings.vision import prepare
from miniscale.settings.vision.train import Images, TrainOptions, augmented, build, initialise

CODE = ROOT / "miniscale" / "settings" / "vision"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SHAPE = {"width": 4, "depth": 1, "resolution": 28, "activation": "relu", "norm": "batch",
         "residual": True, "dropout": 0.0, "kernel": 3, "pooling": "mean"}  # fmt: skip


def write_idx(folder: Path, *, train: int, test: int) -> dict[str, str]:
    """Write bright squares whose place tells the class, as the real files are; return digests."""
    rng, digests = np.random.default_rng(0), {}
    for split, n in (("train", train), ("t10k", test)):
        labels = rng.integers(10, size=n, dtype=np.uint8)
        images = rng.integers(60, size=(n, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = 5 + 10 * (label // 5), 1 + 5 * (label % 5)
            image[row : row + 5, column : column + 5] += 180
        for kind, array in (("images", images), ("labels", labels)):
            name = f"{split}-{kind}-idx{array.ndim}-ubyte"
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            blob = header + array.tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(blob))
            digests[name] = hashlib.sha256(blob).hexdigest()
    return digests


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vision")
    digests = write_idx(folder, train=600, test=500)
    prepare.prepare(folder / "cache", folder, digests)
    return folder / "cache"


def test_validation_and_sealed_images_are_apart_and_not_among_the_trainers(cache: Path) -> None:
    assert {path.name for path in (cache / "train").iterdir()} == {
        "train_images.npy",
        "train_labels.npy",
    }
    val, sealed = (np.load(cache / "heldout" / f"{n}_images.npy") for n in ("val", "sealed"))
    assert len(val) == len(sealed) == 250
    assert not (val[0] == sealed[0]).all()


def test_a_prepared_cache_is_kept_and_a_damaged_one_made_again(tmp_path: Path) -> None:
    digests = write_idx(tmp_path, train=20, test=20)
    first = prepare.prepare(tmp_path / "cache", tmp_path, digests)
    assert prepare.prepare(tmp_path / "cache", tmp_path / "gone", digests) == first
    np.save(tmp_path / "cache" / "train" / "train_labels.npy", np.zeros(20, np.uint8))
    assert prepare.prepare(tmp_path / "cache", tmp_path, digests) == first


def test_images_that_are_missing_or_others_are_one_line_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--cache={tmp_path / 'cache'}", f"--source={tmp_path}"]
    assert prepare.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "apt install dataset-fashion-mnist" in line
    write_idx(tmp_path, train=20, test=20)
    assert prepare.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "SHA-256" in line


def test_the_real_images_are_those_of_the_digests(tmp_path: Path) -> None:
    if not DEBIAN.exists():
        pytest.skip("apt install dataset-fashion-mnist")
    parts = prepare.splits(DEBIAN, prepare.DIGESTS)
    assert parts["train"][0].shape == (60_000, 28, 28)
    assert np.bincount(parts["val"][1]).min() > 450


def test_an_edit_leaves_every_other_parameter_as_it_was() -> None:
    models = [build(SHAPE | edit) for edit in ({}, {"norm": "none"}, {"kernel": 5})]
    for model in models:
        initialise(model, 3)
    base, plain, wide = (dict(model.named_parameters()) for model in models)
    assert all(torch.equal(base[name], plain[name]) for name in base)
    assert torch.equal(base["head"], wide["head"])
    assert base["layers.0.weight"].shape != wide["layers.0.weight"].shape


def test_a_pool_changes_nothing_until_it_is_used_up_whatever_the_batch(cache: Path) -> None:
    whole, small = (Images(cache / "train", pool=pool, seed=1) for pool in (600, 50))
    assert torch.equal(whole.batch(0, 50)[0], small.batch(0, 50)[0])
    first, again = small.batch(0, 50)[0], small.batch(50, 50)[0]
    assert not torch.equal(first, again)
    assert torch.equal(first.unique(dim=0), again.unique(dim=0))
    parts = torch.cat([small.batch(i, 16)[0] for i in range(48, 96, 16)])
    assert torch.equal(parts[2:], again[:46])


@pytest.mark.parametrize("kind", ["flip", "shift", "flip_shift", "cutout"])
def test_an_augmentation_moves_images_and_keeps_their_kind(kind: str) -> None:
    x = torch.randint(256, (40, 28, 28), dtype=torch.uint8)
    y = augmented(x, kind, torch.Generator().manual_seed(0))
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert not torch.equal(x, y)
    assert torch.equal(y, augmented(x, kind, torch.Generator().manual_seed(0)))
    if kind == "cutout":
        assert set((y != x).sum((1, 2)).tolist()) <= set(range(50, 82))


def run(cache: Path, out: Path, *arguments: str) -> tuple[int, int]:
    out.mkdir()
    argv = [sys.executable, "train.py", f"--data={cache}/train", f"--out={out}", *arguments]
    trained = subprocess.run(argv, cwd=CODE, check=False).returncode
    argv = [
        sys.executable,
        "-m",
        "miniscale.settings.vision.evaluate",
        f"--code={CODE}",
        "--images=1500",
    ]
    argv += [f"--data={cache}/heldout", f"--out={out}"]
    return trained, subprocess.run(argv, cwd=ROOT, check=False).returncode


@pytest.mark.level2
def test_a_run_learns_is_scored_outside_and_pays_for_what_it_used(
    cache: Path, tmp_path: Path
) -> None:
    small = ("--width=4", "--depth=1", "--images=1500", "--pool=600", "--lr=0.05")
    assert run(cache, tmp_path / "whole", *small) == (0, 0)
    found = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    assert found["val_accuracy"] > 0.6
    assert found["sealed_loss"] < 1.5
    assert found["images"] == 1500 // TrainOptions.batch * TrainOptions.batch
    assert found["parameters"] == sum(t.numel() for t in build(SHAPE).state_dict().values())
    assert run(cache, tmp_path / "more", *small, "--images=3000") == (0, 5)
    said = json.loads((tmp_path / "more" / "evaluation.json").read_text())["over_budget"]
    assert "images are 1.98 of 1500" in said
