"""Families whose ideas act on a law's coefficients, or whose baseline breaks its law."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from miniscale.settings.oracle.planted_law import ALPHA, A, E
from transfer.bench.worlds.families import world
from transfer.bench.worlds.world import (
    Held,
    LossMechanism,
    Luck,
    World,
    once,
    stream,
)


@dataclass(frozen=True)
class Factors:
    """What an idea does to E + A e^(-alpha x), as logarithms of factors.

    An idea that turns the slope leaves the loss at ``pivot`` where it was.
    """

    floor: float = 0.0
    level: float = 0.0
    slope: float = 0.0
    pivot: float = 0.0


class Coefficients(LossMechanism):
    """Ideas change E, A or alpha; a quarter of them for the better.

    A change of the floor grows with scale in nats of compute, a change of alpha crosses zero at
    its pivot: neither is a curve that holds, fades or saturates.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @once
    def factors(self, n: int) -> Factors:
        """Draw what the n-th idea does."""
        rng = stream("coefficients", self.seed, n)
        if rng.random() < 0.3:
            return Factors()
        sign = -1 if rng.random() < 0.25 else 1
        floor, level, slope = (sign * rng.gammavariate(1.5, s) for s in (0.0012, 0.005, 0.010))
        which, pivot = rng.random(), rng.uniform(-2, 8)
        if which < 0.3:
            return Factors(floor=floor)
        if which < 0.65:
            return Factors(level=level)
        if which < 0.9:
            return Factors(slope=-slope, pivot=pivot)
        return Factors(floor / 2, level / 2, -slope / 2, pivot)

    def loss(self, held: Held, x: float) -> float:
        """Return the loss of a set at a size."""
        floor, reducible = E, math.log(A) - ALPHA * x
        for n in held.ideas:
            one = self.factors(n)
            floor *= math.exp(one.floor)
            reducible += one.level - ALPHA * math.expm1(one.slope) * (x - one.pivot)
        return floor + math.exp(reducible)


class Broken(LossMechanism):
    """The baseline's slope falls at a break above the second rung; ideas may move the break.

    reducible = A e^(-a x) (1 + e^((x - b) / f))^((a - a') f) with a .22, a' .12 and f .6. A third
    of the ideas shift b (seen above it only), a third change A, a third do nothing.
    """

    STEEP, FLAT, WIDTH = 0.22, 0.12, 0.6

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.at = stream("break", seed).uniform(2.5, 7.5)

    @once
    def shift(self, n: int) -> tuple[float, float]:
        """Draw (movement of the break in nats, ln factor of A) of the n-th idea."""
        rng = stream("broken", self.seed, n)
        which, is_good = rng.random(), rng.random() < 0.25
        if which < 1 / 3:
            return rng.gammavariate(1.5, 0.12) * (1 if is_good else -1), 0.0
        if which < 2 / 3:
            return 0.0, rng.gammavariate(1.5, 0.005) * (-1 if is_good else 1)
        return 0.0, 0.0

    def loss(self, held: Held, x: float) -> float:
        """Return the loss of a set at a size."""
        shifts = [self.shift(n) for n in held.ideas]
        at = self.at + math.fsum(move for move, _ in shifts)
        bend = math.log1p(math.exp((x - at) / self.WIDTH)) * self.WIDTH
        level = math.log(A) + math.fsum(factor for _, factor in shifts)
        return E + math.exp(level - self.STEEP * x + (self.STEEP - self.FLAT) * bend)


def _coefficients(seed: int) -> World:
    return world("coefficients", seed, Coefficients(seed))


def _broken(seed: int) -> World:
    mechanism = Broken(seed)
    luck = Luck(sd=0.03, tail_df=3, outliers=0.0)
    return world("broken", seed, mechanism, law=mechanism.law, luck=luck)


FAMILIES: Mapping[str, Callable[[int], World]] = {
    "coefficients": _coefficients,
    "broken": _broken,
}
