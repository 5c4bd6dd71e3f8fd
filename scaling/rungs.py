"""Splits of a table by scale: the largest rungs held out, the rest to fit."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FEWEST = 3


def rung_order(log_scales: Array) -> NDArray[np.intp]:
    """Return the rung of each row, counted from the smallest; log_scales (scales, rows).

    Tables that repeat few model sizes have rungs of the first scale; others, and tables of one
    scale, are cut by the sum of the log scales, which is compute.
    """
    size = _grouped(log_scales[0])
    if size.max() + 1 <= max(len(size) / 3, _FEWEST) or len(log_scales) == 1:
        return size
    return _grouped(log_scales.sum(0))


def _grouped(values: Array) -> NDArray[np.intp]:
    """Number groups of values less than 3 % apart."""
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([[0], np.cumsum(np.diff(values[order]) > 0.03)])
    groups = np.empty(len(values), dtype=np.intp)
    groups[order] = steps
    return groups


def inner_splits(log_scales: Array, n_parameters: int) -> list[NDArray[np.bool_]]:
    """Return up to three masks of rows to fit, the largest rungs being held out.

    One, two and three rungs where there are few; 15, 30 and 50 % of the rows where there are many.
    What is left has at least three rungs and more rows than parameters.
    """
    rung = rung_order(log_scales)
    n = int(rung.max()) + 1
    if n > len(rung) / 3:
        order = np.sort(rung)
        cuts = [int(order[int(len(order) * share)]) for share in (0.85, 0.7, 0.5)]
    else:
        step = max(1, round(n / 10))
        cuts = [n - k * step for k in (1, 2, 3)]
    masks = [rung < cut for cut in dict.fromkeys(cuts) if cut >= _FEWEST]
    return [m for m in masks if m.sum() > n_parameters and not m.all()]


def distance_beyond(log_scales: Array, target: Array) -> Array:
    """Return how far targets (scales, points) lie beyond the rows, in nats of scale.

    The larger of how far their compute (sum of log scales) and their scales exceed the largest.
    """
    total = target.sum(0) - log_scales.sum(0).max()
    each = np.maximum(target - log_scales.max(1)[:, None], 0).sum(0)
    return np.asarray(np.maximum(np.maximum(total, each), 0))
