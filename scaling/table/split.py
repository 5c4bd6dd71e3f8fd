"""Splits of a table by scale: the largest rungs held out, the rest to fit."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FEWEST, _MANY = 3, 8


def rung_orders(log_scales: Array) -> list[NDArray[np.intp]]:
    """Return the rung of each row from the smallest, in each direction that the table has.

    By compute (the sum of log scales), and by the first scale where model sizes repeat: laws go
    wrong along either. Tables of a few model sizes have rungs of size alone.
    """
    size = _grouped(log_scales[0])
    if len(log_scales) == 1:
        return [size]
    n = int(size.max()) + 1
    if n <= _MANY:
        return [size]
    compute = _grouped(log_scales.sum(0))
    return [size, compute] if n <= len(size) / 3 else [compute]


def _grouped(values: Array) -> NDArray[np.intp]:
    """Number groups of values less than 3 % apart."""
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([[0], np.cumsum(np.diff(values[order]) > 0.03)])
    groups = np.empty(len(values), dtype=np.intp)
    groups[order] = steps
    return groups


def inner_splits(log_scales: Array, n_parameters: int) -> list[list[NDArray[np.bool_]]]:
    """Return, by direction, up to three masks of rows to fit, the largest rungs being held out.

    One, two and three tenths of the rungs (at least one, two and three) where there are few rungs;
    15, 30 and 50 % of the rows where there are many. What is left has at least three rungs and
    more rows than parameters.
    """
    directions = []
    for rung in rung_orders(log_scales):
        n = int(rung.max()) + 1
        if n > len(rung) / 3:
            order = np.sort(rung)
            cuts = [int(order[int(len(order) * share)]) for share in (0.85, 0.7, 0.5)]
        else:
            step = max(1, round(n / 10))
            cuts = [n - k * step for k in (1, 2, 3)]
        masks = [rung < cut for cut in dict.fromkeys(cuts) if cut >= _FEWEST]
        directions.append([m for m in masks if m.sum() > n_parameters and not m.all()])
    return [masks for masks in directions if masks]


def distance_beyond(log_scales: Array, target: Array) -> Array:
    """Return how far targets (scales, points) lie beyond the rows, in nats of scale.

    The larger of how far their compute (sum of log scales) and their scales exceed the largest.
    """
    total = target.sum(0) - log_scales.sum(0).max()
    each = np.maximum(target - log_scales.max(1)[:, None], 0).sum(0)
    return np.asarray(np.maximum(np.maximum(total, each), 0))
