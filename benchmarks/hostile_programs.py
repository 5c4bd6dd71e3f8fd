"""Programs that print anything, and fuzzed studies drawn from them; a seed decides a study."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from autoresearch.build_study import decode_job
from miniscale.setting.compose import compose
from miniscale.setting.trial import Transform, TrialResult, TrialSpec, TrialState
from transfer.change import Change
from transfer.ladder import Ladder
from transfer.study.simulated_study import KnobTrees

Program = Callable[[float, random.Random, random.Random], float]
"""(scale, luck of this trial, luck of its seed) -> what it prints."""


def power_law(scale: float, own: random.Random, shared: random.Random) -> float:
    luck = 0.7 * own.gauss(0, 1) + 0.7 * shared.gauss(0, 1)
    return 0.8 + 0.45 * scale**-0.18 * (1 + 0.004 * luck)


def better_law(scale: float, own: random.Random, shared: random.Random) -> float:
    return power_law(scale * 1.15, own, shared)


def worse_law(scale: float, own: random.Random, shared: random.Random) -> float:
    return power_law(scale / 1.15, own, shared)


def deterministic_law(scale: float, own: random.Random, shared: random.Random) -> float:
    return 0.8 + 0.45 * scale**-0.18


def deterministic_better(scale: float, own: random.Random, shared: random.Random) -> float:
    return deterministic_law(1.5 * scale, own, shared)


def tenth_better(scale: float, own: random.Random, shared: random.Random) -> float:
    return plateau(scale, own, shared) - 0.05


def steep_law(scale: float, own: random.Random, shared: random.Random) -> float:
    return 3.0 * scale**-2.0 * (1 + 0.01 * own.gauss(0, 1))


def plateau(scale: float, own: random.Random, shared: random.Random) -> float:
    return 0.1 + 0.0004 * scale**-0.3 + 1e-6 * own.gauss(0, 1)


def flat(scale: float, own: random.Random, shared: random.Random) -> float:
    return 0.1 + 0.001 * own.gauss(0, 1)


def accuracy(scale: float, own: random.Random, shared: random.Random) -> float:
    return min(1 - 0.05 * scale**-0.4 * math.exp(0.1 * own.gauss(0, 1)), 1.0)


def better_accuracy(scale: float, own: random.Random, shared: random.Random) -> float:
    return accuracy(4 * scale, own, shared)


def flat_better(scale: float, own: random.Random, shared: random.Random) -> float:
    return flat(scale, own, shared) - 0.003


def coarse_accuracy(scale: float, own: random.Random, shared: random.Random) -> float:
    return round(accuracy(scale, own, shared), 2)


def reward(scale: float, own: random.Random, shared: random.Random) -> float:
    return min(max(500 * (1 - math.exp(-scale / 50)) + 40 * own.gauss(0, 1), 0.0), 500.0)


def printing(value: float) -> Program:
    return lambda scale, own, shared: value


def by_scale(scale: float, own: random.Random, shared: random.Random) -> float:
    return scale


def by_seed(scale: float, own: random.Random, shared: random.Random) -> float:
    return shared.random()


def alternating(scale: float, own: random.Random, shared: random.Random) -> float:
    return own.choice((-1.0, 1.0))


def huge_alternating(scale: float, own: random.Random, shared: random.Random) -> float:
    return own.choice((-1e308, 1e308))


def anything(scale: float, own: random.Random, shared: random.Random) -> float:
    return own.choice((math.nan, math.inf, -math.inf, 0.0, 1e308, -1e308, 5e-324, 1.0, -1.0))


def sometimes_nan(scale: float, own: random.Random, shared: random.Random) -> float:
    return math.nan if own.random() < 0.3 else power_law(scale, own, shared)


def heavy_tailed(scale: float, own: random.Random, shared: random.Random) -> float:
    return own.gauss(0, 1) / (abs(own.gauss(0, 1)) + 1e-12)


def log_uniform(scale: float, own: random.Random, shared: random.Random) -> float:
    return 10 ** own.uniform(-300, 300)


def tiny(scale: float, own: random.Random, shared: random.Random) -> float:
    return 1e-300 * power_law(scale, own, shared)


def enormous(scale: float, own: random.Random, shared: random.Random) -> float:
    return 1e300 * power_law(scale, own, shared)


def denormal(scale: float, own: random.Random, shared: random.Random) -> float:
    return 5e-324 * own.randrange(10)


def negative_law(scale: float, own: random.Random, shared: random.Random) -> float:
    return power_law(scale, own, shared) - 2


def vanishing(scale: float, own: random.Random, shared: random.Random) -> float:
    return power_law(scale, own, shared) if scale < 30 else 0.0


def spiky(scale: float, own: random.Random, shared: random.Random) -> float:
    return 1e-12 if own.random() < 0.5 else power_law(scale, own, shared)


LAWFUL: Mapping[str, Program] = {
    "power_law": power_law,
    "plateau": plateau,
    "flat": flat,
    "accuracy": accuracy,
    "coarse_accuracy": coarse_accuracy,
    "reward": reward,
    "steep_law": steep_law,
    "deterministic_law": deterministic_law,
    "tiny": tiny,
    "enormous": enormous,
    "negative_law": negative_law,
}
"""What a baseline may be nine times of ten."""
PROGRAMS: Mapping[str, Program] = {
    **LAWFUL,
    "better_law": better_law,
    "worse_law": worse_law,
    "deterministic_better": deterministic_better,
    "tenth_better": tenth_better,
    "better_accuracy": better_accuracy,
    "flat_better": flat_better,
    "zero": printing(0.0),
    "minus zero": printing(-0.0),
    "one": printing(1.0),
    "constant": printing(0.123456789),
    "minus one": printing(-1.0),
    "1e308": printing(1e308),
    "-1e308": printing(-1e308),
    "smallest": printing(5e-324),
    "nan": printing(math.nan),
    "inf": printing(math.inf),
    "by_scale": by_scale,
    "by_seed": by_seed,
    "alternating": alternating,
    "huge_alternating": huge_alternating,
    "anything": anything,
    "sometimes_nan": sometimes_nan,
    "heavy_tailed": heavy_tailed,
    "log_uniform": log_uniform,
    "denormal": denormal,
    "vanishing": vanishing,
    "spiky": spiky,
}
REAL = {
    ("power_law", "better_law"),
    ("sometimes_nan", "better_law"),
    ("worse_law", "better_law"),
    ("worse_law", "power_law"),
    ("accuracy", "better_accuracy"),
    ("coarse_accuracy", "better_accuracy"),
    ("deterministic_law", "better_law"),
}
"""(baseline, change) that may be certified: a gain that seeds and scales can show."""
POLICIES = ("atoms", "atoms", "atoms", "atoms", "trend", "ttest", "greedy", "halving", "confirm")


@dataclass(frozen=True)
class Case:
    """One fuzzed study: a seed decides all of it."""

    number: int
    ladder: Ladder
    policy: str
    base: str
    changes: tuple[str, ...]

    def result(self, trees: KnobTrees, spec: TrialSpec) -> TrialResult:
        """Run the program of the newest patch; what is not finite diverges, as a worker says."""
        patches = trees.content(spec.tree).patches
        name = patches[-1].split(" ")[1] if patches else self.base
        program = PROGRAMS[name.replace("_of_", " ")]
        own = random.Random(f"{self.number} {spec.identity}")
        shared = random.Random(f"{self.number} {spec.seed} {spec.rung}")
        value = program(self.ladder.rung(spec.rung).scale, own, shared)
        if not math.isfinite(value):
            reason = f"the objective is {value}, needs a finite number"
            return TrialResult(spec.identity, TrialState.DIVERGED, reason=reason)
        return TrialResult(spec.identity, TrialState.COMPLETE, value=value)

    def ideas(self) -> Iterator[Change]:
        """Yield the changes; a patch names its program."""
        for n, name in enumerate(self.changes):
            yield Change(title=f"{n} {name}", patch=f"p{n} {name.replace(' ', '_of_')}")


@cache
def oracle_ladder() -> Ladder:
    """Return the ladder that all cases are made from."""
    config = compose(["+ladder=oracle", "tracker=none"], [], name="config")
    return decode_job(config, []).ladder


def draw_case(number: int) -> Case:
    """Draw a study."""
    rng = random.Random(number)
    ladder = oracle_ladder()
    n_rungs = rng.choice((1, 2, 3, 3, 4, 4, 4))
    is_minimized = rng.random() < 0.6
    transform = rng.choice(tuple(Transform)) if rng.random() < 0.3 else Transform.NONE
    objective = replace(ladder.setting.objective, is_minimized=is_minimized, transform=transform)
    ladder = replace(
        ladder,
        rungs=ladder.rungs[:n_rungs],
        setting=replace(ladder.setting, objective=objective),
    )
    base = rng.choice(tuple(LAWFUL if rng.random() < 0.9 else PROGRAMS))
    changes = tuple(rng.choice(tuple(PROGRAMS)) for _ in range(rng.randint(1, 4)))
    return Case(number, ladder, rng.choice(POLICIES), base, changes)
