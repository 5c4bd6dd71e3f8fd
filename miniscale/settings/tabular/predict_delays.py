"""In the box: what a fitted model of a trial forecasts for flights whose delays are elsewhere."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def predict(
    out: Path, inputs: Mapping[str, NDArray[np.float32]], threads: int
) -> dict[str, NDArray[Any]]:
    """Minutes (rows,) for features (rows, columns), by ``load`` of the trial's ``train.py``."""
    forecast = importlib.import_module("train").load(out)
    return {name: np.asarray(forecast(rows), np.float64) for name, rows in inputs.items()}
