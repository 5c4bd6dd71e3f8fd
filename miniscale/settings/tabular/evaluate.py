"""Score a fitted model: errors in minutes on flights that the trainer never sees.

``python -m miniscale.settings.tabular.evaluate --code=TREE --data=CACHE/heldout --out=OUT --rows=N
--trees=N`` holds the delays and writes OUT/evaluation.json. It runs none of the trial's code:
``train.load`` of TREE forecasts from a process in a box, which sees no delays.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate.evaluation_file import report_evaluation
from miniscale.evaluate.predict_host import PATIENCE_S, PredictRequest, Wanted, predict_heldout
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.evaluate.reported_cost import read_reported_cost
from miniscale.setting.read_metrics import ReadingError, read_plain
from miniscale.settings.prepared_arrays import digests_of, file_digest, read_split

MODEL_BYTES = 1 << 32
PREDICTOR = "miniscale.settings.tabular.predict_delays"


def spent(out: Path, planned: dict[str, float]) -> dict[str, int]:
    """Rows and trees as the trainer says, checked against what it was given."""
    reported = {name: read_reported_cost(out, name) for name in planned}
    for name, most in planned.items():
        if reported[name] > 1.02 * most + 1:
            raise OverBudgetError(f"{reported[name]} {name} are more than {most:g}")
    return reported


def weights_digest(out: Path) -> str:
    """SHA-256 of the model.

    Raises
    ------
    TamperedError
        If there is none, or it is no plain file.
    """
    try:
        blob = read_plain(str(out / "tmp" / "model.txt"), limit_bytes=MODEL_BYTES)
    except ReadingError as error:
        raise TamperedError(f"files: tmp/{error}; train.py must leave its model there") from None
    return hashlib.sha256(blob).hexdigest()


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the model on both splits."""
    planned = {"rows": options.rows, "trees": options.trees * options.stop}
    result: dict[str, Any] = spent(options.out, planned)
    weights = weights_digest(options.out)
    splits = {n: read_split(options.data, n, "features", "target") for n in ("val", "sealed")}
    answers = predict_heldout(
        PredictRequest(PREDICTOR, options.code, options.out, patience_s=options.patience_s),
        {name: features for name, (features, _) in splits.items()},
        {name: Wanted(target.shape, "<f8") for name, (_, target) in splits.items()},
        outside=os.environ,
    )
    for name, (_, target) in splits.items():
        error = answers[name] - target
        with np.errstate(over="ignore"):
            rmse = float(np.sqrt(np.mean(error**2)))
        if not np.isfinite(rmse):
            raise TamperedError(f"finite: {name} holds forecasts beyond what can be squared")
        result |= {f"{name}_rmse": rmse, f"{name}_mae": float(np.mean(abs(error)))}
    code = file_digest(options.code / "train.py")
    return {
        **result,
        "digests": {"code": code, "weights": weights, **digests_of(options.data.parent)},
    }


def main(argv: list[str]) -> int:
    """Command line; 0 scored, 4 tampered with, 5 over budget (why is in evaluation.json)."""
    parser = argparse.ArgumentParser(prog="miniscale.settings.tabular.evaluate", allow_abbrev=False)
    for name in ("code", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("rows", "trees"):
        parser.add_argument(f"--{name}", type=float, required=True, help="planned")
    parser.add_argument("--stop", type=float, default=1.0, help="share of the trees to fit")
    parser.add_argument("--patience_s", type=float, default=PATIENCE_S, help="for the forecasts")
    options = parser.parse_args(argv)
    return report_evaluation(lambda: evaluate(options), options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
