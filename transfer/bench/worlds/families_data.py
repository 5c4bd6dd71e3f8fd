"""Families in which data repeats: with the rungs' repetition matched to the target's, and not."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transfer.bench.worlds.families import TARGET, world
from transfer.bench.worlds.world import (
    SCALES,
    Held,
    LossMechanism,
    World,
    once,
    stream,
)

FLOOR, MODEL, DATA, POWER = 0.80, 0.25, 0.20, 0.36
TARGET_EPOCHS = 6.0


@dataclass(frozen=True)
class Recipe:
    """What a set does, as factors.

    model, data
        On the losses that a larger model and more data would remove.
    pool
        On the number of tokens that are not repeats.
    patience
        On the number of repeats after which one is worth 1/e.
    """

    model: float = 1.0
    data: float = 1.0
    pool: float = 1.0
    patience: float = 1.0

    def times(self, other: "Recipe") -> "Recipe":
        """Return both together."""
        return Recipe(
            self.model * other.model,
            self.data * other.data,
            self.pool * other.pool,
            self.patience * other.patience,
        )


class Repetition(LossMechanism):
    """Loss from model size and effective data; a token that is repeated is worth less each time.

    L = .80 + .25 e^(-.36 m) + .20 e^(-.36 d), m = x / 2, d = x / 2 + ln(share of data that counts),
    share = (1 + R* (1 - e^(-R / R*))) / epochs, R = epochs - 1 repeats, R* = 4 (the form of
    Muennighoff et al. 2023, "Scaling data-constrained language models", with less patience).

    The target sees its data six times. On a matched ladder every rung does; otherwise all sizes
    share the target's pool and the rungs hardly repeat at all: what fights repetition shows nothing
    there, and what suffers from it shows a gain.
    """

    PATIENCE = 4.0

    def __init__(self, seed: int, *, is_matched: bool, end: float) -> None:
        self.seed = seed
        self.is_matched = is_matched
        self.end = end

    @once
    def recipe(self, n: int) -> Recipe:
        """Draw what the n-th idea does."""
        rng = stream("repetition", self.seed, n)
        which, up = rng.random(), math.exp
        if which < 0.15:  # regularisation
            patience = up(rng.uniform(0.1, 0.8))
            return Recipe(model=up(rng.uniform(0, 0.012)), patience=patience)
        if which < 0.30:  # another source in the mixture
            return Recipe(data=up(rng.uniform(0, 0.06)), pool=1 + rng.uniform(0.1, 0.6))
        if which < 0.45:  # capacity that overfits
            return Recipe(model=up(-rng.uniform(0, 0.025)), patience=up(-rng.uniform(0, 0.6)))
        if which < 0.75:  # optimiser
            factor = up(rng.gauss(0.002, 0.006))
            return Recipe(model=factor, data=factor)
        return Recipe(model=up(rng.expovariate(120.0)))

    def loss(self, held: Held, x: float) -> float:
        """Return the loss of a set at a size."""
        recipe = Recipe()
        for n in held.ideas:
            recipe = recipe.times(self.recipe(n))
        epochs = TARGET_EPOCHS if self.is_matched else TARGET_EPOCHS * math.exp((x - self.end) / 2)
        repeats, patience = max(epochs / recipe.pool - 1, 0.0), self.PATIENCE * recipe.patience
        share = (1 + patience * -math.expm1(-repeats / patience)) / (1 + repeats)
        model = MODEL * recipe.model * math.exp(-POWER * x / 2)
        return FLOOR + model + DATA * recipe.data * math.exp(-POWER * (x / 2 + math.log(share)))


def _made(name: str, *, is_matched: bool) -> Callable[[int], World]:
    def make(seed: int) -> World:
        end = math.log(TARGET * SCALES[-1])
        mechanism = Repetition(seed, is_matched=is_matched, end=end)
        unmatched = () if is_matched else ("repetition of data",)
        return world(name, seed, mechanism, law=mechanism.law, unmatched=unmatched)

    return make


FAMILIES: Mapping[str, Callable[[int], World]] = {
    "repetition": _made("repetition", is_matched=True),
    "repetition-unmatched": _made("repetition-unmatched", is_matched=False),
}
