"""Families of other mechanisms: how transfer may fail where the suites' assumptions do not hold.

Each is written from what trainings do, not from what a policy expects; none is tuned on. They share
with the suites the sizes, the noise of a run and nothing else.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from random import Random

from transfer.bench.worlds.world import Held, Mechanism, World, once, stream
from transfer.study_plan import RoundRule, StudyPlan

PLAN = StudyPlan(
    in_flight=8,
    budget=4000.0,
    round=RoundRule(accepts=3, changes=150, budget_share=0.34),
    idea_cost=1.0,
    tops_up=True,
)
N_IDEAS = 250
TARGET = 20.0
"""4,320 times the lowest rung's compute."""


class Settling(Mechanism):
    """Ideas whose effect goes from one value at the bottom to another far up.

    g(x) = last + (first - last) e^(-x / tau), with tau U(1, 6) and ``last`` a share of ``first``
    drawn from N(.75, .5): most keep most of their effect, one in fifteen turns around.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @abstractmethod
    def first(self, rng: Random, n: int) -> float:
        """Draw an idea's effect at the lowest rung."""

    def _rng(self, n: int) -> Random:
        return stream(type(self).__name__, self.seed, n)

    @once
    def alone(self, n: int, x: float) -> float:
        """Return one idea's gain at a size."""
        rng = self._rng(n)
        first = self.first(rng, n)
        last, tau = first * rng.gauss(0.75, 0.5), rng.uniform(1, 6)
        return last + (first - last) * math.exp(-x / tau)

    def gain(self, held: Held, x: float) -> float:
        """Return the sum of all gains."""
        return math.fsum(self.alone(n, x) for n in held.ideas)


class Empty(Settling):
    """Nine ideas of ten do exactly nothing; of the rest one in three helps."""

    def first(self, rng: Random, n: int) -> float:
        """Draw an idea's effect at the lowest rung."""
        kind, size = rng.random(), rng.gammavariate(2.0, 0.02)
        if kind < 0.9:
            return 0.0
        return size if kind > 0.967 else -size


class Rich(Settling):
    """Nearly half of the ideas help, and much: a poor baseline."""

    def first(self, rng: Random, n: int) -> float:
        """Draw an idea's effect at the lowest rung."""
        size = rng.gammavariate(2.0, 0.025)
        return size if rng.random() < 0.45 else -size


class Slots(Settling):
    """Ideas that exclude each other, and gains that saturate.

    Every idea replaces one of twelve parts: of two in the same slot the later one counts, less
    .01 for the clash. The sum of what is gained saturates as cap tanh(sum / cap), cap .35.
    """

    N_SLOTS, CLASH, CAP = 12, 0.01, 0.35

    def first(self, rng: Random, n: int) -> float:
        """Draw an idea's effect at the lowest rung."""
        size = rng.gammavariate(1.5, 0.03)
        return size if rng.random() < 0.25 else -size if rng.random() < 0.7 else 0.0

    @once
    def slot(self, n: int) -> int:
        """Return the part that an idea replaces."""
        return stream("slot", self.seed, n).randrange(self.N_SLOTS)

    def gain(self, held: Held, x: float) -> float:
        """Return what the last of each slot gives together."""
        last = {self.slot(n): n for n in held.ideas}
        total = math.fsum(self.alone(n, x) for n in last.values())
        saturated = self.CAP * math.tanh(total / self.CAP) if total > 0 else total
        return saturated - self.CLASH * (len(held.ideas) - len(last))


class Dearer(Settling):
    """Ideas that change what a step costs: more layers, longer context, fewer heads.

    An idea has an effect at equal steps and a factor of compute: a third of the ideas cost
    e^U(.02, .25) more, a sixth e^U(.02, .15) less, and what a step learns goes with it, at .3 to
    1.1 of the compute that it takes. What counts is the gain at equal compute.
    """

    def first(self, rng: Random, n: int) -> float:
        """Draw an idea's effect at equal steps."""
        size = rng.gammavariate(1.5, 0.02)
        own = size if rng.random() < 0.2 else -size if rng.random() < 0.6 else 0.0
        return own + stream("worth", self.seed, n).uniform(0.3, 1.1) * self.price(n)

    @once
    def price(self, n: int) -> float:
        """Return ln(compute of a step with the idea / without)."""
        rng = stream("price", self.seed, n)
        which = rng.random()
        if which < 1 / 3:
            return rng.uniform(0.02, 0.25)
        return -rng.uniform(0.02, 0.15) if which < 1 / 2 else 0.0

    def extra(self, held: Held) -> float:
        """Return ln(compute that a run of this set takes / compute of the baseline's)."""
        return math.fsum(self.price(n) for n in held.ideas)


def world(name: str, seed: int, mechanism: Mechanism, **changed: object) -> World:
    """Return a world of a family: 250 ideas at one lowest-rung run each, 4,000 such runs."""
    return World(
        suite=name,
        seed=seed,
        mechanism=mechanism,
        plan=PLAN,
        n_ideas=N_IDEAS,
        target=TARGET,
        **changed,  # type: ignore[arg-type]
    )


def _plain(name: str, kind: Callable[[int], Mechanism]) -> Callable[[int], World]:
    return lambda seed: world(name, seed, kind(seed))


FAMILIES: Mapping[str, Callable[[int], World]] = {
    "null": _plain("null", Empty),
    "rich": _plain("rich", Rich),
    "slots": _plain("slots", Slots),
    "dearer": _plain("dearer", Dearer),
}
