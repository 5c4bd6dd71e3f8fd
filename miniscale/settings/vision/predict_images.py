"""In the box: logits of a trained network for images whose labels are elsewhere, and their cost."""

# mypy: disable-error-code="no-untyped-call"

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.refusal import TamperedError

ROWS = 250


def predict(
    out: Path, inputs: Mapping[str, NDArray[np.uint8]], threads: int
) -> dict[str, NDArray[Any]]:
    """Logits (images, classes) by split, and ``flops`` (1,) of one image.

    The operations that are counted are those that made the logits: a cheaper model cannot stand in
    while they are.
    """
    import torch

    from miniscale.settings.nanochat.tokens import counted_flops

    torch.set_num_threads(threads)
    model = _model(out)
    logits: dict[str, NDArray[Any]] = {}

    def forward() -> None:
        with torch.inference_mode():
            for name, images in inputs.items():
                parts = torch.from_numpy(images).split(ROWS)
                logits[name] = torch.cat([model(part).float() for part in parts]).numpy()

    flops = counted_flops(forward)
    return {**logits, "flops": np.array([flops / sum(map(len, inputs.values()))])}


def _model(out: Path) -> Any:
    """Fill what ``build`` of the trial's ``train.py`` makes."""
    from safetensors.torch import load_file

    model = importlib.import_module("train").build(json.loads((out / "model.json").read_text()))
    try:
        model.load_state_dict(load_file(out / "model.safetensors"))
    except RuntimeError as error:
        words = str(error).replace("\n", " ")
        raise TamperedError(f"weights do not fit the code: {words[:200]}") from error
    return model.eval()
