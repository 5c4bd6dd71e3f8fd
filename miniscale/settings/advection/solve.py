"""Carry a tracer once around a closed nozzle and measure what the scheme smeared.

The tracer u obeys ``u_t + a(x) u_x = 0`` on a ring of length 1 with ``1 / a = 1 + b cos(2 pi x)``.
A round takes exactly one unit of time and brings every profile back to where it began: whatever
differs then is the scheme's error. Wave propagation with flux limiters after LeVeque, Finite
Volume Methods for Hyperbolic Problems (2002), sections 6.15 and 9.3.

The grid follows from the work that may be spent: a scheme that costs more per cell gets fewer
cells, a longer time step more.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRACERS = 32  # carried at once unless the command says otherwise; their errors are averaged
NARROWING = 0.5  # b: the flow is between 2/3 and 2
FINE = 32  # points a cell at which profiles are averaged

Array = NDArray[np.float64]

# Share of the second-order flux to apply, from the ratio r of neighbouring jumps.
LIMITERS: dict[str, Callable[[Array], Array]] = {
    "upwind": np.zeros_like,
    "lax_wendroff": np.ones_like,
    "minmod": lambda r: np.clip(r, 0, 1),
    "van_leer": lambda r: (r + abs(r)) / (1 + abs(r)),
    "mc": lambda r: np.clip(np.minimum(2 * r, (1 + r) / 2), 0, 2),
    "superbee": lambda r: np.maximum(np.clip(2 * r, 0, 1), np.clip(r, 0, 2)),
}
OPERATIONS = {"upwind": 4, "lax_wendroff": 10, "viscosity": 5}  # a cell and step; others 16


def speed(x: Array) -> Array:
    """Return how fast the flow is at a place on the ring."""
    return 1 / (1 + NARROWING * np.cos(2 * np.pi * x))


def profiles(rng: np.random.Generator, cells: int, smooth: float, tracers: int = TRACERS) -> Array:
    """Return cell averages of random tracers: a slab, a bump and a ripple, shape (tracers, n).

    ``smooth`` is the width over which the slab's edges are blurred, in lengths of the ring.
    """
    x = (np.arange(cells * FINE) + 0.5) / (cells * FINE)
    even = (np.arange(tracers) + rng.uniform(size=(5, tracers))) / tracers
    centre = rng.permuted(even, axis=1)[:3, :, None]  # stratified: seeds differ, not by much
    width = np.array([[0.1], [0.04]]) * 1.25 ** (2 * even[3:] - 1)
    width = rng.permuted(width, axis=1)[:, :, None]
    away = (x - centre + 0.5) % 1 - 0.5
    inside = width[0] - abs(away[0])
    slab = np.clip(0.5 + inside / smooth, 0, 1) if smooth else (inside > 0).astype(float)
    bump = np.exp(-((away[1] / width[1]) ** 2))
    fine: Array = slab + bump + 0.25 * np.sin(4 * np.pi * away[2])
    means: Array = fine.reshape(tracers, cells, FINE).mean(-1)
    return means


def carry(u: Array, *, limiter: str, cfl: float, viscosity: float, rounds: float = 1.0) -> Array:
    """Advance cell averages by whole rounds of the ring."""
    cells = u.shape[1]
    a = speed(np.arange(cells) / cells)  # at each cell's left face
    steps = math.ceil(rounds * cells * a.max() / cfl)
    ratio = rounds * cells / steps  # dt / dx
    share = 0.5 * a * (1 - a * ratio)
    phi = LIMITERS[limiter]
    for _ in range(steps):
        jump = u - np.roll(u, 1, axis=1)
        safe = np.where(abs(jump) > 1e-12, jump, 1e-12)
        limited = phi(np.roll(jump, 1, axis=1) / safe)
        flux = (share * limited - viscosity * cells) * jump
        u = u - ratio * (a * jump + np.roll(flux, -1, axis=1) - flux)
    return u


def cells_for(
    work: float, *, limiter: str, cfl: float, viscosity: float, tracers: int = TRACERS
) -> int:
    """Return the finest grid that a number of operations pays for."""
    operations = OPERATIONS.get(limiter, 16) + OPERATIONS["viscosity"] * (viscosity > 0)
    fastest = 1 / (1 - NARROWING)
    return max(8, int(math.sqrt(work * cfl / (fastest * operations * tracers))))


def main() -> None:
    """Solve once, as the command line says, and leave the error in ``error.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=float, required=True, help="operations to spend")
    parser.add_argument("--tracers", type=int, default=TRACERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--limiter", choices=sorted(LIMITERS), default="van_leer")
    parser.add_argument("--cfl", type=float, default=0.5, help="share of the stable time step")
    parser.add_argument("--viscosity", type=float, default=0.0, help="added, in the ring's units")
    parser.add_argument("--smooth", type=float, default=0.0, help="width to blur edges over")
    given = parser.parse_args()
    scheme = {"limiter": given.limiter, "cfl": given.cfl, "viscosity": given.viscosity}
    cells = cells_for(given.work, **scheme, tracers=given.tracers)
    truth, start = (
        profiles(np.random.default_rng(given.seed), cells, smooth, given.tracers)
        for smooth in (0.0, given.smooth)
    )
    error = float(abs(carry(start, **scheme) - truth).mean())
    if not error < 10:
        raise SystemExit(3)  # blew up
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "error.json").write_text(json.dumps({"error": error, "cells": cells}))


if __name__ == "__main__":
    main()
