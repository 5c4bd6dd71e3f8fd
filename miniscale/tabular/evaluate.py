"""Score a fitted model: errors in minutes on flights that the trainer never sees.

``python -m miniscale.tabular.evaluate --code=TREE --data=CACHE/heldout --out=OUT --rows=N
--trees=N`` imports ``train.load`` from TREE, forecasts, and writes OUT/evaluation.json. Unlike
nanochat's evaluator it does not keep the trial's code away from the delays: it measures, it does
not police.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate.ending import ended
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.prepared import digests_of, file_digest, read_split


def spent(out: Path, planned: dict[str, float]) -> dict[str, float]:
    """Rows and trees as the trainer says, checked against what it was given."""
    said = json.loads((out / "trainer.json").read_text())
    for name, most in planned.items():
        if not said[name] <= 1.02 * most + 1:
            raise OverBudgetError(f"{said[name]} {name} are more than {most:g}")
    return {name: said[name] for name in planned}


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the model on both splits."""
    planned = {"rows": options.rows, "trees": options.trees * options.stop}
    result: dict[str, Any] = spent(options.out, planned)
    sys.path.insert(0, str(options.code))
    forecast = importlib.import_module("train").load(options.out)
    for name in ("val", "sealed"):
        features, target = read_split(options.data, name, "features", "target")
        error = np.asarray(forecast(features), np.float64) - target
        if error.shape != target.shape:
            raise TamperedError(f"forecasts of shape {error.shape}")
        result[f"{name}_rmse"] = float(np.sqrt(np.mean(error**2)))
        result[f"{name}_mae"] = float(np.mean(abs(error)))
    if not all(map(math.isfinite, result.values())):
        raise TamperedError(f"scores are not finite: {result}")
    result["digests"] = {
        "code": file_digest(options.code / "train.py"),
        "weights": file_digest(options.out / "tmp" / "model.txt"),
        **digests_of(options.data.parent),
    }
    return result


def main(argv: list[str]) -> int:
    """Command line; 0 scored, 4 tampered with, 5 over budget (why is in evaluation.json)."""
    parser = argparse.ArgumentParser(prog="miniscale.tabular.evaluate", allow_abbrev=False)
    for name in ("code", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("rows", "trees"):
        parser.add_argument(f"--{name}", type=float, required=True, help="planned")
    parser.add_argument("--stop", type=float, default=1.0, help="share of the trees to fit")
    options = parser.parse_args(argv)
    return ended(lambda: evaluate(options), options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
