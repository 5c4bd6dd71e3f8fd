"""Fit boosted trees that forecast arrival delays, on some of the rows, and leave the model.

The file of this setting that may be edited. It writes ``tmp/model.txt``, ``model.json``,
``trainer.json`` and ``metrics.jsonl`` into ``--out``. Another process scores the model: it calls
``load`` with that folder, which returns a function from features (rows, columns) to minutes.

``work`` is what the trees cost: for every split of every tree, its rows times the features looked
at. Deeper trees on more features cost more, whatever the clock says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Forecast = Callable[[Array], NDArray[np.float64]]


@dataclass(frozen=True)
class BoostingOptions:
    """Everything that can be said on the command line, as ``--name=value``."""

    # the rung
    rows: int = 260_000
    trees: int = 400
    stop: float = 1.0  # share of the trees that is fitted
    seed: int = 0  # which rows, and every draw of the fit
    data: str = "."
    out: str = "."
    threads: int = 1
    # the fit: one rate at every number of trees, so that who shrinks must find the rule
    learning_rate: float = 0.1
    leaves: int = 63
    max_depth: int = -1  # -1: as deep as the leaves allow
    min_data: float = 50.0  # rows a leaf
    l2: float = 1.0
    l1: float = 0.0
    path_smooth: float = 0.0
    objective: str = "l2"  # l2, l1, huber, fair
    boosting: str = "gbdt"  # gbdt, dart, or goss
    bagging: float = 1.0  # share of the rows a tree
    feature_fraction: float = 1.0  # share of the columns a tree
    extra_trees: bool = False  # one random threshold a feature
    linear_leaves: bool = False
    max_bin: int = 255
    # the columns
    categorical: str = "native"  # native, codes (as if they were numbers) or frequency
    tail: str = "codes"  # the airframe: codes, native, or none
    features: str = "all"  # all, no_weather, no_plane or calendar (neither)
    clip: float = 0.0  # delays are clipped to this many minutes for the fit; 0: not


CHOICES = {
    "objective": ("l2", "l1", "huber", "fair"),
    "boosting": ("gbdt", "dart", "goss"),
    "categorical": ("native", "codes", "frequency"),
    "tail": ("codes", "native", "none"),
    "features": ("all", "no_weather", "no_plane", "calendar"),
}


def truth(text: str) -> bool:
    """Read ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text == "true"


def parse(argv: list[str]) -> BoostingOptions:
    """Read the command line; argparse ends the program with 2 and a line where it is wrong."""
    parser = argparse.ArgumentParser(prog="train", allow_abbrev=False)
    kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str, "bool": truth}
    for field in fields(BoostingOptions):
        parser.add_argument(
            f"--{field.name}",
            type=kinds[str(field.type)],
            default=field.default,
            choices=CHOICES.get(field.name),
        )
    o = BoostingOptions(**vars(parser.parse_args(argv)))
    for name in ("rows", "trees", "stop", "learning_rate"):
        if not getattr(o, name) > 0:
            parser.error(f"--{name}={getattr(o, name)}: must be positive")
    if o.stop > 1:
        parser.error(f"--stop={o.stop}: must be at most 1")
    return o


@dataclass(frozen=True)
class View:
    """Which columns a model sees, and how: what ``model.json`` holds."""

    columns: list[int]
    native: list[int]  # places among the columns that are categories to LightGBM
    frequencies: dict[str, list[float]]  # place -> rows by code, for columns turned into counts

    def __call__(self, features: Array) -> Array:
        """Rows as the model sees them."""
        seen = features[:, self.columns]
        for place, counts in self.frequencies.items():
            codes = features[:, self.columns[int(place)]]
            known = np.nan_to_num(codes, nan=len(counts) - 1.0).astype(np.int64)
            seen[:, int(place)] = np.asarray(counts, np.float32)[known]
        return seen


def view(o: BoostingOptions, meta: dict[str, Any], features: Array) -> View:
    """Choose the columns and what becomes of categories."""
    dropped: set[str] = set()
    if o.features in ("no_weather", "calendar"):
        dropped |= set(meta["weather"])
    if o.features in ("no_plane", "calendar"):
        dropped |= set(meta["plane"])
    if o.tail == "none":
        dropped.add("tailnum")
    names = [name for name in meta["columns"] if name not in dropped]
    columns = [meta["columns"].index(name) for name in names]
    treated = [name for name in meta["categories"] if name in names and name != "tailnum"]
    native = [names.index(name) for name in treated if o.categorical == "native"]
    if o.tail == "native":
        native.append(names.index("tailnum"))
    counts = {}
    if o.categorical == "frequency":
        for name in treated:
            codes = features[:, meta["columns"].index(name)].astype(np.int64)
            counts[str(names.index(name))] = np.bincount(codes, minlength=512).tolist()
    return View(columns, native, counts)


def parameters(o: BoostingOptions) -> dict[str, Any]:
    """LightGBM's own names."""
    objective = {"l2": "regression", "l1": "regression_l1"}.get(o.objective, o.objective)
    found: dict[str, Any] = {
        "objective": objective,
        "alpha": 30.0,  # minutes: where huber and fair turn linear
        "fair_c": 30.0,
        "boosting": "dart" if o.boosting == "dart" else "gbdt",
        "data_sample_strategy": "goss" if o.boosting == "goss" else "bagging",
        "learning_rate": o.learning_rate,
        "num_leaves": o.leaves,
        "max_depth": o.max_depth,
        "min_data_in_leaf": max(1, round(o.min_data)),
        "lambda_l2": o.l2,
        "lambda_l1": o.l1,
        "path_smooth": o.path_smooth,
        "feature_fraction": o.feature_fraction,
        "extra_trees": o.extra_trees,
        "linear_tree": o.linear_leaves,
        "max_bin": o.max_bin,
        "seed": o.seed,
        "num_threads": o.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if o.boosting != "goss":
        found |= {"bagging_fraction": o.bagging, "bagging_freq": 1 if o.bagging < 1 else 0}
    return found


def split_rows(node: dict[str, Any]) -> Iterator[int]:
    """Rows of every split of a tree."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if "internal_count" in node:
            yield node["internal_count"]
            waiting += [node["left_child"], node["right_child"]]


def load(out: Path) -> Forecast:
    """Forecast, in minutes, of the model in a folder."""
    import lightgbm

    seen = View(**json.loads((out / "model.json").read_text()))
    booster = lightgbm.Booster(model_file=str(out / "tmp" / "model.txt"))
    return lambda features: np.asarray(booster.predict(seen(features), num_threads=1))


def train(o: BoostingOptions) -> int:
    """Fit and write the model; 0."""
    import lightgbm

    begun, out, folder = time.perf_counter(), Path(o.out), Path(o.data)
    features, target = (np.load(folder / f"train_{kind}.npy") for kind in ("features", "target"))
    meta = json.loads((folder / "columns.json").read_text())
    # The first rows of one order: fewer are part of more, and arms of a seed share them.
    rows = np.random.default_rng(o.seed).permutation(len(target))[: o.rows]
    features, target = features[rows], target[rows]
    if o.clip:
        target = np.clip(target, -o.clip, o.clip)
    seen = view(o, meta, features)
    trees = max(1, round(o.trees * o.stop))
    progress: list[str] = []

    def report(env: Any) -> None:
        if (env.iteration + 1) % max(1, trees // 20) and env.iteration + 1 < trees:
            return
        seconds = round(time.perf_counter() - begun, 3)
        line = {"step": env.iteration + 1, "steps": trees, "seconds": seconds}
        progress.append(json.dumps(line) + "\n")
        (out / "metrics.jsonl").write_text("".join(progress))

    settings = parameters(o)
    booster = lightgbm.train(
        settings,
        lightgbm.Dataset(seen(features), target, categorical_feature=seen.native, params=settings),
        num_boost_round=trees,
        callbacks=[report],
    )
    scanned = sum(
        sum(split_rows(tree["tree_structure"])) for tree in booster.dump_model()["tree_info"]
    )
    (out / "tmp").mkdir(exist_ok=True)  # a trial's temporary folder: gone when it has been scored
    booster.save_model(str(out / "tmp" / "model.txt"))
    (out / "model.json").write_text(json.dumps(asdict(seen)) + "\n")
    spent = {"rows": len(target), "trees": trees, "seconds": time.perf_counter() - begun}
    work = float(scanned * len(seen.columns) * o.feature_fraction)
    (out / "trainer.json").write_text(json.dumps({**spent, "work": work}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(train(parse(sys.argv[1:])))
