"""A world: changes with a truth known at every compute, and a trainer that shows it in noise.

Everything is drawn from the world's name and seed: the same two give the same ideas, the same
truth and the same losses, on any machine and in any order.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind, Knob, Setting
from miniscale.setting.trial import Cause, Objective, TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import ALPHA, A, E
from transfer.change import Change
from transfer.ladder import Ladder
from transfer.study.simulated_study import NOWHERE, READING, Content, KnobTrees
from transfer.study_plan import StudyPlan

GENERATOR = 1
"""Version of all worlds; results of different versions are never put into one table."""
CARRYING = 0.004
"""kappa: nats of compute at the target that an accepted change costs whoever carries its code."""
CRASHED = -0.2
"""What an idea is worth in nats where it does not run: somebody has to notice and take it out."""
MOST = 3.0
"""Gains are cut at this many nats: beyond it a law says nothing."""
SCALES = (1.0, 6.0, 36.0, 216.0)
BASELINE_SEEDS = (8, 4, 2, 1)

Law = Callable[[float], float]
"""Loss of the baseline at x = ln(compute / lowest rung's); falls with x."""


def power_law(x: float) -> float:
    """Return the suites' baseline, that of the oracle trainer: .80 + .45 e^(-.18 x)."""
    return E + A * math.exp(-ALPHA * x)


@lru_cache(maxsize=1 << 16)
def draw(*key: object) -> float:
    """Return a standard normal number that belongs to a key."""
    return random.Random(repr(key)).gauss(0.0, 1.0)


Owner = TypeVar("Owner")
Value = TypeVar("Value")
Rest = ParamSpec("Rest")


def once(
    method: Callable[Concatenate[Owner, Rest], Value],
) -> Callable[Concatenate[Owner, Rest], Value]:
    """Let a method keep what it returned, by its positional arguments, as long as its object."""

    @wraps(method)
    def found(self: Owner, *key: Rest.args, **none: Rest.kwargs) -> Value:
        kept = self.__dict__.setdefault("_once " + method.__name__, {})
        if key not in kept:
            kept[key] = method(self, *key, **none)
        value: Value = kept[key]
        return value

    return found  # type: ignore[return-value]  # a wrapper's first argument has a name


def stream(*key: object) -> random.Random:
    """Return a generator that belongs to a key."""
    return random.Random(repr(key))


@dataclass(frozen=True)
class Held:
    """What a tree holds beyond the first baseline: ideas in the order taken, and knob values."""

    ideas: tuple[int, ...] = ()
    knobs: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many edits somebody has to carry."""
        return len(self.ideas) + sum(value != 0 for value in self.knobs.values())


class Mechanism(ABC):
    """What ideas do, in any combination, at any compute."""

    knobs: Mapping[str, Knob] = {}

    def change(self, n: int) -> Change:
        """Return the n-th idea as a proposer would give it; its patch is :func:`patch`."""
        return Change(title=f"idea {n}", kind=Kind.STRUCTURAL, patch=patch(n))

    @abstractmethod
    def gain(self, held: Held, x: float) -> float:
        """Return the gain of a set over the baseline at a size, in nats of compute."""

    def extra(self, held: Held) -> float:
        """Return ln(compute that a run of this set takes / compute of the baseline's)."""
        return 0.0

    def crashes(self, held: Held, x: float) -> bool:
        """Whether a run of this set dies; whatever kills it counts ``CRASHED`` in the gain."""
        return False


def patch(n: int) -> str:
    """Return the text that stands for an idea's code."""
    return f"idea {n}\n"


@dataclass(frozen=True)
class Luck:
    """Noise of a run.

    sd
        On the lowest rung, in nats of compute; in loss it falls with compute as e^(-fall x).
    rho
        Correlation of two arms on one seed.
    outliers, outlier_size
        Share of runs whose noise is so many times larger.
    tail_df
        Degrees of freedom of a Student, scaled to the same sd; 0 for a normal.
    """

    sd: float = 0.02
    fall: float = 0.12
    rho: float = 0.2
    outliers: float = 0.01
    outlier_size: float = 8.0
    tail_df: int = 0

    def own(self, *key: object) -> float:
        """Return the part of a run's noise that no other arm shares, of sd 1."""
        rng = stream(*key)
        z = rng.gauss(0.0, 1.0)
        if self.tail_df:
            df = self.tail_df
            chi = math.fsum(rng.gauss(0.0, 1.0) ** 2 for _ in range(df))
            z *= math.sqrt((df - 2) / chi)
        return z * (self.outlier_size if rng.random() < self.outliers else 1.0)


@dataclass(frozen=True)
class World:
    """One draw of a suite: a ladder, a plan, ideas and what they really do."""

    suite: str
    seed: int
    mechanism: Mechanism
    plan: StudyPlan
    law: Law = power_law
    luck: Luck = Luck()
    n_ideas: int = 0
    """How many ideas there are; 0 where the budget alone ends them."""
    target: float = 10.0
    """How far beyond the top rung, as a ratio of compute."""
    complexity_cost: float = CARRYING
    unmatched: tuple[str, ...] = ()
    """What the ladder says that its rungs do not share with the target."""

    @cached_property
    def ladder(self) -> Ladder:
        """The sizes 1, 6, 36, 216 and the target beyond them."""
        setting = Setting(
            name="world",
            about="planted truth",
            source=NOWHERE,
            prepare=(),
            command=("world",),
            evaluator=(),
            objective=Objective("loss", True, READING),
            editable=(),
            locked=(),
            env={},
            knobs=dict(self.mechanism.knobs),
        )
        rungs = tuple(
            Rung(f"r{n}", scale, scale, seeds=1, max_seeds=16, baseline_seeds=seeds)
            for n, (scale, seeds) in enumerate(zip(SCALES, BASELINE_SEEDS, strict=True))
        )
        return Ladder(
            name=self.suite,
            about="planted truth",
            setting=setting,
            rungs=rungs,
            target_name="target",
            target=self.target * SCALES[-1],
            scale_name="compute",
            unit="FLOPs",
            budget=self.plan.budget,
            panel=(),
            unmatched=self.unmatched,
        )

    @cached_property
    def end(self) -> float:
        """Position of the target, nats above the lowest rung."""
        return math.log(self.target * SCALES[-1])

    def changes(self) -> Iterator[Change]:
        """Yield what is proposed, in order."""
        n = 0
        while not self.n_ideas or n < self.n_ideas:
            yield self.mechanism.change(n)
            n += 1

    # -- the truth -------------------------------------------------------------------------

    def held(self, content: Content) -> Held:
        """Read a commit in memory."""
        ideas = tuple(int(text.split()[1]) for text in content.patches)
        return Held(ideas, {name: float(value) for name, value in content.knobs.items()})

    def true(self, held: Held, x: float | None = None) -> float:
        """Return what a set gains at equal compute, at the target if no position is given."""
        at = self.end if x is None else x
        return self.mechanism.gain(held, at) - self.mechanism.extra(held)

    def utility(self, held: Held) -> float:
        """Return the gain at the target less what its code costs to carry."""
        return self.true(held) - self.complexity_cost * held.size

    # -- what a run shows ------------------------------------------------------------------

    def result(self, spec: TrialSpec, held: Held) -> TrialResult:
        """Run a trial."""
        scale = SCALES[int(spec.rung[1:])]
        x = math.log(scale)
        if self.mechanism.crashes(held, x):
            reason = "RuntimeError: this set of ideas does not run at this size"
            return TrialResult(spec.identity, TrialState.FAILED, cause=Cause.CRASH, reason=reason)
        loss = self.law(x + self.mechanism.gain(held, x)) + self.noise(spec.tree, x, spec.seed)
        flops = scale * math.exp(self.mechanism.extra(held))
        return TrialResult(spec.identity, TrialState.COMPLETE, value=loss, metrics={"flops": flops})

    def noise(self, tree: str, x: float, seed: int) -> float:
        """Return a run's noise in loss."""
        luck, where = self.luck, (self.suite, self.seed, round(x, 3), seed)
        z = math.sqrt(luck.rho) * draw("shared", *where)
        z += math.sqrt(1 - luck.rho) * luck.own("own", *where, tree)
        return luck.sd * self._unit * math.exp(-luck.fall * x) * z

    @cached_property
    def _unit(self) -> float:
        """What a nat of compute is worth in loss on the lowest rung."""
        return (self.law(-0.005) - self.law(0.005)) / 0.01


def world_runner(world: World, trees: KnobTrees) -> InProcessRunner:
    """Return a runner whose trials are a world's."""
    return InProcessRunner(lambda spec: world.result(spec, world.held(trees.content(spec.tree))))


def gain_between(law: Law, x: float, loss: float) -> float:
    """Return how much more compute the baseline would need to reach a loss, nats; by bisection.

    >>> round(gain_between(power_law, 2.0, power_law(2.3)), 6)
    0.3
    """
    low, high = x - MOST, x + MOST
    if loss >= law(low):
        return -MOST
    if loss <= law(high):
        return MOST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if law(middle) > loss else (low, middle)
    return (low + high) / 2 - x


class LossMechanism(Mechanism):
    """Ideas that act on the loss itself: a gain is what the baseline would have to be given."""

    @abstractmethod
    def loss(self, held: Held, x: float) -> float:
        """Return the loss of a set at a size."""

    def law(self, x: float) -> float:
        """Return the baseline's loss."""
        return self.loss(Held(), x)

    def gain(self, held: Held, x: float) -> float:
        """Return how much more compute the baseline would need, nats."""
        return gain_between(self.law, x, self.loss(held, x))
