"""Score a trained network: cross-entropy and accuracy on validation and sealed images.

``python -m miniscale.settings.vision.evaluate --code=TREE --data=CACHE/heldout --out=OUT
--images=N`` holds the labels, checks OUT/model.safetensors and writes OUT/evaluation.json. It runs
none of the trial's code: TREE's model answers logits from a process in a box, which sees no
labels. FLOPs are counted there, on the forward passes that are scored; training costs three times
as much an image.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.evaluation_file import report_evaluation
from miniscale.evaluate.heldout_text import nats
from miniscale.evaluate.predict_host import PATIENCE_S, PredictRequest, Wanted, predict_heldout
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.evaluate.reported_cost import read_reported_cost
from miniscale.evaluate.weights import read_weights
from miniscale.settings.prepared_arrays import digests_of, file_digest, read_split

CLASSES = 10
WEIGHTS_BYTES = 1 << 32
PREDICTOR = "miniscale.settings.vision.predict_images"


def scored(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of logits (images, classes).

    Raises
    ------
    TamperedError
        If a logit is NaN or plus infinity, or a label is given no chance at all.
    """
    loss = nats(logits.copy(), labels.astype(np.int64))
    return float(loss.mean()), float((logits.argmax(1) == labels).mean())


def spent_images(out: Path, planned: float) -> int:
    """Images trained on, as the trainer says, checked against what it was given."""
    images = read_reported_cost(out, "images")
    if images > 1.05 * planned + 64:  # the last step, and rounding of a schedule cut short
        raise OverBudgetError(f"{images} images are {images / planned:.2f} of {planned:g}")
    return images


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the model on both splits and count what it cost."""
    images = spent_images(options.out, options.images * options.stop)
    weights = read_weights(options.out / "model.safetensors", limit_bytes=WEIGHTS_BYTES)
    splits = {n: read_split(options.data, n, "images", "labels") for n in ("val", "sealed")}
    wanted = {name: Wanted((len(labels), CLASSES), "<f4") for name, (_, labels) in splits.items()}
    answers = predict_heldout(
        PredictRequest(
            PREDICTOR, options.code, options.out,
            threads=options.threads, patience_s=options.patience_s,
        ),
        {name: pictures for name, (pictures, _) in splits.items()},
        {**wanted, "flops": Wanted((1,), "<f8")},
        outside=os.environ,
    )  # fmt: skip
    result: dict[str, Any] = {"images": images}
    for name, (_, labels) in splits.items():
        result[f"{name}_loss"], result[f"{name}_accuracy"] = scored(answers[name], labels)
    result["flops"] = 3.0 * float(answers["flops"][0]) * images
    if not 0.0 < result["flops"] < float("inf"):
        raise TamperedError(f"cost: {result['flops']:g} FLOPs; a model must do some that count")
    result["parameters"] = weights.parameters
    result["digests"] = {
        "code": file_digest(options.code / "train.py"),
        "weights": weights.sha256,
        **digests_of(options.data.parent),
    }
    return result


def main(argv: list[str]) -> int:
    """Command line; 0 scored, 4 tampered with, 5 over budget (why is in evaluation.json)."""
    parser = argparse.ArgumentParser(prog="miniscale.settings.vision.evaluate", allow_abbrev=False)
    for name in ("code", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--images", type=float, required=True, help="images planned")
    parser.add_argument("--stop", type=float, default=1.0, help="share of them to train on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patience_s", type=float, default=PATIENCE_S, help="for the forecasts")
    options = parser.parse_args(argv)
    return report_evaluation(lambda: evaluate(options), options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
