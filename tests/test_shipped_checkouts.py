"""Settings for checkouts of other people's repositories, run on look-alikes written here."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import ROOT

from miniscale.settings.checkouts.prepare_characters import encode_splits

LOOKALIKES = Path(__file__).parent / "checkouts"


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def checkout(name: str, folder: Path) -> Path:
    """Return a look-alike as a repository of its own."""
    shutil.copytree(LOOKALIKES / name, folder / name)
    git(folder / name, "init", "-q")
    git(folder / name, "add", ".")
    git(folder / name, "commit", "-qm", "first")
    return folder / name


def train(folder: Path, *overrides: str) -> str:
    argv = [sys.executable, "-m", "miniscale", *overrides]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.level2
def test_nanogpt_trains_from_a_checkout_that_is_all_a_user_gives(tmp_path: Path) -> None:
    source = checkout("nanoGPT", tmp_path)
    small = "ladder.rungs.w32.params"
    overrides = ["+ladder=nanogpt", "ladder/nanogpt=cpu", f"setting.source={source}", "rung=w32",
                 f"+{small}.eval_iters=2", f"{small}.iters=60"]  # fmt: skip
    seeds = [train(tmp_path, *overrides, f"seed={seed}") for seed in (0, 1)]
    assert all("val_loss" in said and "complete" in said for said in seeds), seeds[0]
    values = [next(line for line in said.splitlines() if "val_loss " in line) for said in seeds]
    assert values[0].split()[-1] != values[1].split()[-1]
    assert not (source / "knobs.json").exists()
    assert (LOOKALIKES / "nanoGPT" / "train.py").read_text() == (source / "train.py").read_text()


def test_characters_read_back_as_the_text() -> None:
    content = encode_splits({"train": ["b\u00e9", "a"], "val": ["ab"], "sealed": ["x"]})
    numbers = np.frombuffer(content["train.bin"], dtype="<u2")
    letters = sorted(set("b\u00e9\n\naab"))
    assert "".join(letters[i] for i in numbers) == "b\u00e9\n\na"
    assert "x" not in letters


def test_the_page_on_checkouts_names_every_setting_that_needs_one() -> None:
    page = (ROOT / "docs" / "checkouts.md").read_text()
    needs = [p.stem for p in (ROOT / "conf" / "setting").glob("*.yaml")
             if "\nsource: ~/" in p.read_text()]  # fmt: skip
    assert needs
    assert all(f"+ladder={name}" in page for name in needs)
