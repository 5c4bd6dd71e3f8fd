"""The suites: worlds calibrated to a public log of runs and to public learning-rate sweeps.

Of structural ideas 12 % help at first (half as many every 500 ideas), 35 % do nothing and 53 %
harm; effects are lognormal; what helps may hold, fade, reverse or rise with scale. Edits of
hyper-parameters sit on a bowl whose optimum drifts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from miniscale.setting.setting import Kind
from transfer.bench.worlds.world import (
    CRASHED,
    Held,
    Luck,
    Mechanism,
    World,
    draw,
    once,
    patch,
    stream,
)
from transfer.change import Change
from transfer.study_plan import RoundRule, StudyPlan


@dataclass(frozen=True)
class Nature:
    """What ideas are like; gains in nats of compute, x in nats of compute above the lowest rung.

    structural
        Share of ideas that are no edit of a hyper-parameter.
    helpful, null, half_life
        Of the structural ones at first; helpful ones halve every so many ideas.
    size, harm, width
        Medians of |g| on the lowest rung (of what helps, of what harms) and sd of its logarithm.
    holds, fades, reverses, rises
        Fates of what helps: g; g e^(-rate x), rate U(.05, .35); g max(1 - x/x0, -2), x0 U(3, 12);
        g min(1 + rate x, 3), rate U(.08, .35).
    late
        Share of the rest whose effect, negative at the bottom, crosses zero at U(3, 10).
    drift
        Sd of the movement of a hyper-parameter's optimum per nat.
    redundant
        Share of ideas that do what an earlier one does: the smaller loses ``overlap``.
    wrong_tags, crashes
        Shares of ideas with the wrong kind, and of those that crash: seven in ten at once, the rest
        from a higher rung on.
    misfit_share, misfit
        Each idea is off by hypot(share |g|, misfit) on each scale, whatever the number of runs.
    scale
        Factor on all effects.
    """

    structural: float = 0.6
    helpful: float = 0.12
    null: float = 0.35
    half_life: float = 500.0
    size: float = 0.02
    harm: float = 0.03
    width: float = 1.0
    holds: float = 0.55
    fades: float = 0.25
    reverses: float = 0.08
    rises: float = 0.12
    late: float = 0.05
    drift: float = 0.06
    redundant: float = 0.0
    overlap: float = 0.6
    wrong_tags: float = 0.10
    crashes: float = 0.01
    misfit_share: float = 0.2
    misfit: float = 0.004
    scale: float = 1.0


@dataclass(frozen=True)
class PlantedIdea:
    """One idea of a suite: its curve, its name tag and where it crashes."""

    curve: Callable[[float], float]
    kind: Kind
    tag: Kind
    crashes_from: float = math.inf
    repeats: int = -1
    """The earlier idea that it does the same as; -1 for none."""


def _holds(g: float, x: float) -> float:
    return g


def _fades(g: float, rate: float, x: float) -> float:
    return g * math.exp(-rate * x)


def _reverses(g: float, zero: float, x: float) -> float:
    return g * max(1 - x / zero, -2.0)


def _rises(g: float, rate: float, x: float) -> float:
    return g * min(1 + rate * x, 3.0)


def _bowl(k: float, d: float, start: float, drift: float, x: float) -> float:
    return k * d * (2 * (start + drift * x) - d)


def _times(factor: float, curve: Callable[[float], float], x: float) -> float:
    return factor * curve(x)


class Calibrated(Mechanism):
    """The suites' mechanism: gains of different ideas add up, but for those that do the same."""

    def __init__(self, nature: Nature, suite: str, seed: int) -> None:
        self.nature = nature
        self._name = (suite, seed)
        self._ideas: list[PlantedIdea] = []

    def idea(self, n: int) -> PlantedIdea:
        """Return the n-th idea."""
        while len(self._ideas) <= n:
            self._ideas.append(self._draw(len(self._ideas)))
        return self._ideas[n]

    def _draw(self, n: int) -> PlantedIdea:
        nature, rng = self.nature, stream("idea", *self._name, n)
        repeats = -1
        if n and rng.random() < nature.redundant:
            repeats = rng.randrange(max(0, n - 100), n)
            first = self._ideas[repeats]
            repeats = repeats if first.repeats < 0 else first.repeats
            kind = first.kind
            curve: Callable[[float], float] = partial(_times, _lognormal(rng, 1, 0.3), first.curve)
        elif rng.random() < nature.structural:
            kind, curve = Kind.STRUCTURAL, self._structural(rng, n)
        else:
            kind, curve = Kind.HYPERPARAMETER, self._edit(rng)
        crashes_from = math.inf
        if rng.random() < nature.crashes:
            crashes_from = 0.0 if rng.random() < 0.7 else rng.choice((1.0, 3.0, 5.0))
        is_wrong = rng.random() < nature.wrong_tags
        return PlantedIdea(curve, kind, _other(kind) if is_wrong else kind, crashes_from, repeats)

    def _structural(self, rng: Random, n: int) -> Callable[[float], float]:
        nature = self.nature
        helpful = nature.helpful * 2 ** (-n / nature.half_life)
        if rng.random() < helpful:
            g = nature.scale * _lognormal(rng, nature.size, nature.width)
            fate = rng.random()
            if fate < nature.holds:
                return partial(_holds, g)
            if fate < nature.holds + nature.fades:
                return partial(_fades, g, rng.uniform(0.05, 0.35))
            if fate < nature.holds + nature.fades + nature.reverses:
                return partial(_reverses, g, rng.uniform(3, 12))
            return partial(_rises, g, rng.uniform(0.08, 0.35))
        harm = -nature.scale * _lognormal(rng, nature.harm, nature.width)
        if rng.random() < nature.late:
            return partial(_reverses, harm, rng.uniform(3, 10))
        is_null = rng.random() < nature.null / (1 - nature.helpful)
        return partial(_holds, 0.0 if is_null else harm)

    def _edit(self, rng: Random) -> Callable[[float], float]:
        nature = self.nature
        k = nature.scale * _lognormal(rng, 0.10, 0.7)
        d = _lognormal(rng, 0.35, 0.6) * rng.choice((-1, 1))
        return partial(_bowl, k, d, 0.15 * rng.gauss(0, 1), nature.drift * rng.gauss(0, 1))

    def change(self, n: int) -> Change:
        """Return the n-th idea as a proposer would give it."""
        return Change(title=f"idea {n}", kind=self.idea(n).tag, patch=patch(n))

    @once
    def alone(self, n: int, x: float) -> float:
        """Return one idea's gain at a size, misfit included."""
        nature, idea = self.nature, self.idea(n)
        if x >= idea.crashes_from:
            return CRASHED
        g = idea.curve(x)
        off = math.hypot(nature.misfit_share * g, nature.misfit)
        return g + off * draw("misfit", *self._name, n, round(x, 3))

    def gain(self, held: Held, x: float) -> float:
        """Return the sum of all gains; of those that do the same the largest counts in full."""
        gains = {n: self.alone(n, x) for n in held.ideas}
        total = math.fsum(gains.values())
        if not self.nature.redundant:
            return total
        groups: dict[int, list[float]] = {}
        for n, gain in gains.items():
            first = self.idea(n).repeats
            groups.setdefault(n if first < 0 else first, []).append(gain)
        for group in groups.values():
            positive = sorted(gain for gain in group if gain > 0)
            total -= self.nature.overlap * math.fsum(positive[:-1])
        return total

    def crashes(self, held: Held, x: float) -> bool:
        """Whether one of the ideas crashes at this size."""
        return any(self.alone(n, x) == CRASHED for n in held.ideas)


def _lognormal(rng: Random, median: float, width: float) -> float:
    return median * math.exp(width * rng.gauss(0, 1))


def _other(kind: Kind) -> Kind:
    return Kind.HYPERPARAMETER if kind is Kind.STRUCTURAL else Kind.STRUCTURAL


PLENTY = StudyPlan(
    in_flight=8,
    budget=4000.0,
    round=RoundRule(accepts=3, changes=150, budget_share=0.34),
    idea_cost=2.0,
    tops_up=True,
)
"""Ideas without end at 2 runs of the lowest rung each."""
FEW = replace(PLENTY, budget=6000.0, idea_cost=0.0)
"""A given list of ideas, more compute."""
N_FEW = 200

A = Nature()
ADVERSE = replace(A, holds=0.15, fades=0.25, reverses=0.55, rises=0.05)
SUITES: Mapping[str, tuple[Nature, StudyPlan, int]] = {
    "A": (A, PLENTY, 0),
    "B": (A, FEW, N_FEW),
    "Drift": (replace(A, drift=0.15), PLENTY, 0),
    "Adverse": (ADVERSE, PLENTY, 0),
    "Redundant": (replace(A, redundant=0.2), PLENTY, 0),
}
"""Name -> what ideas are like, how the study searches, how many ideas there are (0: no end)."""


def suite_world(suite: str, seed: int) -> World:
    """Return one world of a suite."""
    nature, plan, n_ideas = SUITES[suite]
    return calibrated(suite, seed, nature=nature, plan=plan, n_ideas=n_ideas)


def calibrated(
    suite: str,
    seed: int,
    *,
    nature: Nature,
    plan: StudyPlan,
    n_ideas: int,
    noise: float = 0.02,
    target: float = 10.0,
) -> World:
    """Return a world of the suites' mechanism.

    Parameters
    ----------
    suite
        Name of the suite.
    seed
        Number of the world.
    nature
        What its ideas do.
    plan
        How the study searches.
    n_ideas
        Ideas in all; 0 where the budget alone ends them.
    noise
        Noise of one run on the lowest rung, nats of compute.
    target
        Compute of the target, as a multiple of the top rung's.
    """
    return World(
        suite=suite,
        seed=seed,
        mechanism=Calibrated(nature, suite, seed),
        plan=plan,
        luck=Luck(sd=noise),
        n_ideas=n_ideas,
        target=target,
    )


VARIATIONS: Mapping[str, tuple[Nature, float, float]] = {
    "effects-third": (replace(A, scale=1 / 3), 0.02, 10.0),
    "effects-triple": (replace(A, scale=3.0), 0.02, 10.0),
    "noise-1": (A, 0.01, 10.0),
    "noise-5": (A, 0.05, 10.0),
    "noise-10": (A, 0.10, 10.0),
    "tags-random": (replace(A, wrong_tags=0.5), 0.02, 10.0),
    "misfit-triple": (replace(A, misfit=0.012, misfit_share=0.6), 0.02, 10.0),
    "no-edits": (replace(A, structural=1.0), 0.02, 10.0),
    "target-100x": (A, 0.02, 100.0),
    "target-1000x": (A, 0.02, 1000.0),
}
"""Suite B under another generator's assumptions: nature, noise of a run, how far the target is."""


def variation_world(name: str, seed: int) -> World:
    """Return one world of a variation of suite B."""
    nature, noise, target = VARIATIONS[name]
    return calibrated(
        name, seed, nature=nature, plan=FEW, n_ideas=N_FEW, noise=noise, target=target
    )
