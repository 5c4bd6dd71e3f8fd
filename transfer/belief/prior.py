"""The prior on a change's effect over scale: a mixture over a grid of curves, as data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from miniscale.setting.setting import Kind

Array = NDArray[np.float64]

DECADES = math.log(1e3)
"""Three decades of compute, in nats: where an atom's second value sits."""


@dataclass(frozen=True)
class EffectSize:
    """How large effects of one sort are at the lowest rung.

    ``sign`` 0 is a normal with sd ``typical``; otherwise ln|a| is a Student with 3 degrees of
    freedom and scale ``width`` around ln ``typical``.
    """

    name: str
    share: float
    typical: float
    sign: int
    width: float = 0.71


@dataclass(frozen=True)
class TransferClass:
    """What becomes of an effect a three decades up: ``kept`` of it, give or take.

    The spread of e around ``kept a`` is ``spread |a| + floor``, normal or Laplace; the shares are
    the class's probability by kind of change.
    """

    name: str
    kept: float
    spread: float
    floor: float
    is_laplace: bool
    structural: float
    hyperparameter: float

    def share(self, kind: Kind) -> float:
        """Return the class's probability for a kind of change."""
        return self.structural if kind is Kind.STRUCTURAL else self.hyperparameter


@dataclass(frozen=True)
class Prior:
    """What is believed of effects before any is measured; gains in nats of compute.

    An atom is (a, e, shape): the effect is a at the lowest rung and e three decades above,

        g(x) = a + (e - a) phi(x),   phi = x / 6.91   or   (1 - exp(-x/3)) / (1 - exp(-2.3))

    a and e run over the grid 0, +-magnitudes; an atom's weight is a mixture over size x spread x
    class. Defaults were calibrated on public tables of effects over scale.

    weights
        Learned probability of each component by kind, in the order size, spread, class; empty for
        the product of the shares.
    """

    magnitudes: tuple[float, ...] = (
        *(0.004, 0.009, 0.017, 0.03, 0.05, 0.085, 0.14, 0.22, 0.36, 0.6, 1.0),
    )
    sizes: tuple[EffectSize, ...] = (
        EffectSize("null", 0.38, 0.004, 0),
        EffectSize("harmful", 0.52, 0.03, -1),
        EffectSize("helpful", 0.10, 0.02, 1),
    )
    spreads: tuple[tuple[float, float], ...] = ((0.5, 0.25), (1.0, 0.5), (2.0, 0.25))
    """(factor on the typical size, probability)."""
    classes: tuple[TransferClass, ...] = (
        TransferClass("persistent", 1.0, 0.25, 0.005, False, 0.60, 0.20),
        TransferClass("fading", 0.35, 0.30, 0.005, False, 0.26, 0.12),
        TransferClass("free", 0.5, 0.6, 0.015, True, 0.13, 0.65),
        TransferClass("drifting", 1.0, 0.8, 0.10, True, 0.01, 0.03),
    )
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        steps = np.diff((0.0, *self.magnitudes))
        if not self.magnitudes or steps.min() <= 0:
            raise ValueError(
                f"prior: magnitudes {self.magnitudes} must be positive and rise; order them"
            )
        for name, weights in self.weights.items():
            if len(weights) != self.n_components or abs(math.fsum(weights) - 1) > 1e-6:
                raise ValueError(
                    f"prior: weights of {name} must be {self.n_components} shares that add up "
                    "to 1; drop them to have the default"
                )

    @property
    def n_components(self) -> int:
        """How many components the mixture has."""
        return len(self.sizes) * len(self.spreads) * len(self.classes)

    def shares(self, kind: Kind) -> Array:
        """Return the probability of each component for a kind of change, (n_components,)."""
        if kind.value in self.weights:
            return np.array(self.weights[kind.value])
        found = [
            size.share * share * one.share(kind)
            for size in self.sizes
            for _, share in self.spreads
            for one in self.classes
        ]
        return np.array(found) / math.fsum(found)

    def with_weights(self, weights: Mapping[Kind, Array]) -> "Prior":
        """Return the prior with learned component weights."""
        learned = {kind.value: tuple(map(float, row / row.sum())) for kind, row in weights.items()}
        return replace(self, weights={**self.weights, **learned})


@dataclass(frozen=True)
class Atoms:
    """The grid of a prior, and each component's weight on it.

    level, end
        (K,) effect at the lowest rung and three decades above, for a study of scale 1.
    is_saturating
        (K,) the shape.
    table
        (components, K) probability of the atoms in each component.
    levels, place
        (A,) the distinct levels, and (K,) each atom's place among them.
    first_table
        (components, A) probability of the levels in each component.
    """

    level: Array
    end: Array
    is_saturating: NDArray[np.bool_]
    table: Array
    levels: Array
    place: NDArray[np.intp]
    first_table: Array


def _cells(values: Array) -> Array:
    """Return the borders between neighbouring grid values, with infinite ends."""
    return np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])


def _share_of_levels(size: EffectSize, factor: float, borders: Array) -> Array:
    """Return the probability of each grid cell under a size, (A,)."""
    typical = size.typical * factor
    if size.sign == 0:
        return np.diff(ndtr(borders / typical))
    far = np.maximum(size.sign * borders, 1e-300)
    below = np.where(far == np.inf, 1.0, stdtr(3.0, np.log(far / typical) / size.width))
    return np.abs(np.diff(below))


def _share_of_ends(one: TransferClass, level: float, borders: Array) -> Array:
    """Return the probability of each grid cell for the end, given the level."""
    z = (borders - one.kept * level) / (one.spread * abs(level) + one.floor)
    if not one.is_laplace:
        return np.diff(ndtr(z))
    tail = 0.5 * np.exp(-np.abs(z))
    return np.diff(np.where(z > 0, 1 - tail, tail))


@lru_cache(maxsize=16)
def _atoms(
    magnitudes: tuple[float, ...],
    sizes: tuple[EffectSize, ...],
    spreads: tuple[tuple[float, float], ...],
    classes: tuple[TransferClass, ...],
) -> Atoms:
    up = np.array(magnitudes)
    grid = np.concatenate([-up[::-1], [0.0], up])
    borders = _cells(grid)
    n = grid.size
    ends = np.array([[_share_of_ends(one, level, borders) for level in grid] for one in classes])
    levels = np.array(
        [_share_of_levels(size, factor, borders) for size in sizes for factor, _ in spreads]
    )
    joint = levels[:, None, :, None] * ends[None]  # (size x spread, class, level, end)
    flat = joint.reshape(len(levels) * len(classes), n * n)
    return Atoms(
        level=np.tile(np.repeat(grid, n), 2),
        end=np.tile(np.tile(grid, n), 2),
        is_saturating=np.repeat([False, True], n * n),
        table=np.concatenate([flat, flat], axis=1) / 2,
        levels=grid,
        place=np.tile(np.repeat(np.arange(n), n), 2),
        first_table=np.repeat(levels, len(classes), axis=0),
    )


def atoms(prior: Prior) -> Atoms:
    """Return a prior's grid and component tables; computed once a prior.

    Everything in the prior but the learned weights scales with the study's overall effect scale
    S, so the tables are the same for every S.
    """
    return _atoms(prior.magnitudes, prior.sizes, prior.spreads, prior.classes)


def rise(position: float, is_saturating: NDArray[np.bool_]) -> Array:
    """Return phi at a position in nats above the lowest rung, by shape."""
    bent = (1 - math.exp(-position / 3)) / (1 - math.exp(-DECADES / 3))
    return np.where(is_saturating, bent, position / DECADES)
