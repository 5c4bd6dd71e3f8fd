"""A family of knobs: a coupled surface whose optimum moves with scale."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from miniscale.setting.setting import Kind, Knob
from transfer.bench.worlds.families import world
from transfer.bench.worlds.world import Held, Mechanism, World, once, patch, stream
from transfer.change import Change

N_KNOBS = 8
NAMES = tuple(f"k{n}" for n in range(N_KNOBS))
STEPS = (0.25, 0.5, 0.75, 1.0, 1.5)


class Surface(Mechanism):
    """Eight knobs u, 0 in the baseline; seven ideas in ten set one or two of them.

    g(u, x) = (o' H o - (u - o)' H (u - o)) / 2 with the optimum o = o0 + v x, o0 ~ N(0, .4),
    v ~ N(0, .05) by knob; H has eigenvalues of median .15 and axes that mix the knobs. An edit of a
    knob replaces the one before it, so gains of edits do not add up. The other ideas are small
    structural ones that fade as e^(-x/10).
    """

    knobs: Mapping[str, Knob] = {
        name: Knob(name, 0.0, Kind.HYPERPARAMETER, low=-4.0, high=4.0) for name in NAMES
    }

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @cached_property
    def _shape(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (H, o0, v)."""
        rng = np.random.default_rng(hash_of(self.seed))
        mixed = np.eye(N_KNOBS) + 0.35 * rng.normal(size=(N_KNOBS, N_KNOBS))
        axes, _ = np.linalg.qr(mixed)
        curvature = axes @ np.diag(0.15 * np.exp(0.7 * rng.normal(size=N_KNOBS))) @ axes.T
        return curvature, rng.normal(0, 0.4, N_KNOBS), rng.normal(0, 0.05, N_KNOBS)

    def change(self, n: int) -> Change:
        """Return the n-th idea: knob values, or a patch."""
        rng = stream("surface", self.seed, n)
        if rng.random() < 0.3:
            return Change(title=f"idea {n}", kind=Kind.STRUCTURAL, patch=patch(n))
        names = rng.sample(NAMES, 2 if rng.random() < 0.2 else 1)
        knobs = {name: rng.choice(STEPS) * rng.choice((-1, 1)) for name in names}
        return Change(title=f"idea {n}", kind=Kind.HYPERPARAMETER, knobs=knobs)

    @once
    def _structural(self, n: int, x: float) -> float:
        rng = stream("structural", self.seed, n)
        size = rng.gammavariate(1.5, 0.02) * (1 if rng.random() < 0.2 else -1)
        return size * math.exp(-x / 10)

    def gain(self, held: Held, x: float) -> float:
        """Return the gain of knob values and patches together."""
        curvature, start, drift = self._shape
        best = start + drift * x
        off = np.array([held.knobs.get(name, 0.0) for name in NAMES]) - best
        knobs = float(best @ curvature @ best - off @ curvature @ off) / 2
        return knobs + math.fsum(self._structural(n, x) for n in held.ideas)


def hash_of(seed: int) -> int:
    """Return a number for a seed that no other family uses."""
    return stream("surface", seed).getrandbits(32)


def _surface(seed: int) -> World:
    return world("surface", seed, Surface(seed))


FAMILIES: Mapping[str, Callable[[int], World]] = {"surface": _surface}
