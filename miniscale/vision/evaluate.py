"""Score a trained network: cross-entropy and accuracy on validation and sealed images.

``python -m miniscale.vision.evaluate --code=TREE --data=CACHE/heldout --out=OUT --images=N``
imports the frozen model code from TREE, loads OUT/model.safetensors, and writes
OUT/evaluation.json, in a process that the trainer never meets. FLOPs are counted here on a forward
pass; training costs three times as much an image. Unlike nanochat's evaluator it does not keep the
trial's code away from the labels: it measures, it does not police.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miniscale.evaluate.ending import ended
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.prepared import digests_of, file_digest, read_split

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 250


def scored(
    model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy.

    Raises
    ------
    TamperedError
        If logits have another shape than (n, classes).
    """
    import torch
    import torch.nn.functional as F

    nats, right = 0.0, 0
    with torch.inference_mode():
        for x, y in zip(images.split(ROWS), labels.split(ROWS), strict=True):
            logits = model(x).float()
            if logits.shape != (len(x), 10):
                raise TamperedError(f"logits of shape {tuple(logits.shape)}")
            nats += float(F.cross_entropy(logits, y, reduction="sum"))
            right += int((logits.argmax(1) == y).sum())
    return nats / len(images), right / len(images)


def load(code: Path, out: Path) -> Any:
    """Import ``train.build`` from the trial's own tree and fill the model it builds."""
    from safetensors.torch import load_file

    sys.path.insert(0, str(code))
    model = importlib.import_module("train").build(json.loads((out / "model.json").read_text()))
    try:
        model.load_state_dict(load_file(out / "model.safetensors"))
    except RuntimeError as error:
        words = str(error).replace("\n", " ")
        raise TamperedError(f"weights do not fit the code: {words[:200]}") from error
    return model.eval()


def spent_images(out: Path, planned: float) -> int:
    """Images trained on, as the trainer says, checked against what it was given."""
    images = json.loads((out / "trainer.json").read_text())["images"]
    if not isinstance(images, int) or images < 1:
        raise TamperedError(f"trainer.json: images {images!r}")
    if images > 1.05 * planned + 64:  # the last step, and rounding of a schedule cut short
        raise OverBudgetError(f"{images} images are {images / planned:.2f} of {planned:g}")
    return images


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the model on both splits and count what it cost."""
    import torch

    from miniscale.nanochat.tokens import counted_flops

    torch.set_num_threads(options.threads)
    images = spent_images(options.out, options.images * options.stop)
    model = load(options.code, options.out)
    result: dict[str, Any] = {"images": images}
    for name in ("val", "sealed"):
        arrays = read_split(options.data, name, "images", "labels")
        pictures, labels = map(torch.from_numpy, arrays)
        result[f"{name}_loss"], result[f"{name}_accuracy"] = scored(model, pictures, labels.long())
    if not all(map(math.isfinite, result.values())):
        raise TamperedError(f"scores are not finite: {result}")
    one = pictures[:1]
    with torch.no_grad():
        result["flops"] = 3.0 * counted_flops(lambda: model(one)) * images
    result["parameters"] = sum(p.numel() for p in model.parameters())
    result["digests"] = {
        "code": file_digest(options.code / "train.py"),
        "weights": file_digest(options.out / "model.safetensors"),
        **digests_of(options.data.parent),
    }
    return result


def main(argv: list[str]) -> int:
    """Command line; 0 scored, 4 tampered with, 5 over budget (why is in evaluation.json)."""
    parser = argparse.ArgumentParser(prog="miniscale.vision.evaluate", allow_abbrev=False)
    for name in ("code", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--images", type=float, required=True, help="images planned")
    parser.add_argument("--stop", type=float, default=1.0, help="share of them to train on")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    return ended(lambda: evaluate(options), options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
