"""What a finished study is worth in its world, where the truth is known."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from transfer.arm import read_arm
from transfer.belief.utility import HARM
from transfer.bench.worlds.world import Held, World
from transfer.change import Change
from transfer.events import GainForecast, Outcome
from transfer.journal.state import StudyState
from transfer.measure.trend import Z80
from transfer.study.simulated_study import KnobTrees

BINS = 10


@dataclass(frozen=True)
class StatementTally:
    """How statements of one sort came true, as sums, so that those of many worlds add up.

    n, odds, right
        Statements, sum of the stated odds of a gain at the target, how many were a gain.
    covered, width
        How many 80 % intervals held the truth, and the sum of their widths in nats.
    """

    n: int = 0
    odds: float = 0.0
    right: int = 0
    covered: int = 0
    width: float = 0.0

    def add(self, look: GainForecast, truth: float) -> "StatementTally":
        """Count one more statement."""
        return StatementTally(
            n=self.n + 1,
            odds=self.odds + look.odds,
            right=self.right + (truth > 0),
            covered=self.covered + (look.low <= truth <= look.high),
            width=self.width + look.high - look.low,
        )


@dataclass(frozen=True)
class StudyScore:
    """One policy in one world; gains in nats of compute at the target.

    utility
        Gain of the head less what its code costs to carry.
    n_ideas, n_good, n_found
        Ideas proposed; those worth carrying alone; those of them in the head.
    n_accepted, n_right, n_harm, n_useful
        Changes in the head; with a gain over the baseline they were measured on; with harm of more
        than .005; without which the head would be worse.
    stack, stack_low, stack_high, stack_true
        What is claimed of the head's gain in all, and what it is.
    bins
        By stated odds in tenths: (statements, sum of odds, gains), over all verdicts; what does
        exactly nothing counts as half a gain here, and as none everywhere else.
    """

    suite: str
    policy: str
    seed: int
    utility: float
    n_ideas: int = 0
    n_good: int = 0
    n_found: int = 0
    n_accepted: int = 0
    n_right: int = 0
    n_harm: int = 0
    n_useful: int = 0
    spent: float = 0.0
    stack: float = 0.0
    stack_low: float = 0.0
    stack_high: float = 0.0
    stack_true: float = 0.0
    all: StatementTally = StatementTally()
    certified: StatementTally = StatementTally()
    provisional: StatementTally = StatementTally()
    bins: tuple[tuple[int, float, float], ...] = field(default=((0, 0.0, 0.0),) * BINS)
    cpu_s: float = 0.0
    """Of the policy alone."""
    seconds: float = 0.0
    """Of the whole study."""


def taken(held: Held, change: Change) -> Held:
    """Return a set with one more change; an edit of a knob replaces the one before it."""
    ideas = (*held.ideas, int(change.patch.split()[1])) if change.patch else held.ideas
    edits = {name: float(value) for name, value in change.knobs.items()}
    return Held(ideas, {**held.knobs, **edits})


def dropped(held: Held, change: Change) -> Held:
    """Return a set without one change."""
    gone = {int(change.patch.split()[1])} if change.patch else set()
    ideas = tuple(n for n in held.ideas if n not in gone)
    return Held(ideas, {k: v for k, v in held.knobs.items() if k not in change.knobs})


class Truth:
    """Owns a finished study's commits, read as sets of a world."""

    def __init__(self, world: World, state: StudyState, trees: KnobTrees) -> None:
        self.world = world
        self.state = state
        self._bases = {
            base: world.held(trees.content(commit)) for base, commit in state.bases.items()
        }
        self._levels = {base: world.true(held) for base, held in self._bases.items()}
        self.head = world.held(trees.content(state.head))

    def gain(self, arm: str) -> float:
        """Return what a change gains at the target over the baseline it was measured on."""
        proposed = self.state.changes[arm]
        held = taken(self._bases[proposed.base], proposed.change)
        return self.world.true(held) - self._levels[proposed.base]

    def useful(self, arm: str) -> float:
        """Return what the head would lose at the target without a change that is in it."""
        without = dropped(self.head, self.state.changes[arm].change)
        return self.world.true(self.head) - self.world.true(without)


def score(
    world: World, state: StudyState, trees: KnobTrees, *, policy: str, cpu_s: float, seconds: float
) -> StudyScore:
    """Score a finished study.

    Parameters
    ----------
    world
        The world that was played.
    state
        The study at its end.
    trees
        Its commits in memory.
    policy
        The policy's name.
    cpu_s, seconds
        CPU seconds of the policy alone, and seconds of the whole study.
    """
    truth, accepted = Truth(world, state, trees), list(state.changes.accepted)
    singles = {
        arm: one
        for arm, one in state.changes.items()
        if not one.change.members and not one.change.is_control
    }
    gains = {arm: truth.gain(arm) for arm in singles}
    fresh = [arm for arm, one in singles.items() if not one.proposed.rescreens]
    good = {arm for arm in fresh if _alone(world, singles[arm].change) > world.complexity_cost}
    stack, spread = claimed(state)
    found = StudyScore(
        suite=world.suite,
        policy=policy,
        seed=world.seed,
        utility=world.utility(truth.head),
        n_ideas=len(fresh),
        n_good=len(good),
        n_found=len({_origin(state, arm) for arm in accepted} & good),
        n_accepted=len(accepted),
        n_right=sum(gains[arm] > 0 for arm in accepted),
        n_harm=sum(gains[arm] < -HARM for arm in accepted),
        n_useful=sum(truth.useful(arm) > 0 for arm in accepted),
        spent=state.spent,
        stack=stack,
        stack_low=stack - Z80 * spread,
        stack_high=stack + Z80 * spread,
        stack_true=world.true(truth.head),
        cpu_s=cpu_s,
        seconds=seconds,
    )
    return _told(found, state, gains)


def _alone(world: World, change: Change) -> float:
    return world.true(taken(Held(), change))


def _origin(state: StudyState, arm: str) -> str:
    """Return the arm under which an idea first came in."""
    while state.changes[arm].proposed.rescreens:
        arm = state.changes[arm].proposed.rescreens
    return arm


def _told(found: StudyScore, state: StudyState, gains: dict[str, float]) -> StudyScore:
    """Score the odds and intervals of all verdicts, and of those behind the head."""
    every, certified, provisional = StatementTally(), StatementTally(), StatementTally()
    bins = [[0.0, 0.0, 0.0] for _ in range(BINS)]
    for arm, gain in gains.items():
        verdict = state.changes[arm].verdict
        if verdict is None or verdict.gain_forecast is None:
            continue
        look = verdict.gain_forecast
        every = every.add(look, gain)
        one = bins[min(int(look.odds * BINS), BINS - 1)]
        half = 0.5 if gain == 0 else float(gain > 0)
        one[0], one[1], one[2] = one[0] + 1, one[1] + look.odds, one[2] + half
        if arm not in state.changes.accepted:
            continue
        if verdict.outcome is Outcome.CERTIFIED:
            certified = certified.add(look, gain)
        else:
            provisional = provisional.add(look, gain)
    rows = tuple((int(n), odds, right) for n, odds, right in bins)
    return replace(found, all=every, certified=certified, provisional=provisional, bins=rows)


def claimed(state: StudyState) -> tuple[float, float]:
    """Return mean and sd of what is claimed of the head in all.

    By round: the forecast of the stack of exactly its members if one was measured, else the sum of
    theirs.
    """
    by_base: dict[str, list[str]] = {}
    for arm in state.changes.accepted:
        by_base.setdefault(state.changes[arm].base, []).append(arm)
    mean, variance = 0.0, 0.0
    for base, arms in by_base.items():
        members = tuple(sorted(arms, key=read_arm))
        stack = state.changes.stacks.get((base, members))
        looks = list(_looks(state, [stack] if stack else []) or _looks(state, arms))
        mean += math.fsum(look.mean for look in looks)
        variance += math.fsum(look.sd**2 for look in looks)
    return mean, math.sqrt(variance)


def _looks(state: StudyState, arms: Iterable[str]) -> list[GainForecast]:
    verdicts = [state.verdict(arm) for arm in arms if arm in state.changes.judged]
    return [verdict.gain_forecast for verdict in verdicts if verdict.gain_forecast is not None]


PASSES = 5
"""How often the reference goes through all ideas again, since some only help together."""


def oracle(world: World) -> StudyScore:
    """Score who knows the truth: every idea the budget buys is seen, the best set is taken.

    The set is climbed to: the best ideas first, each is added or taken off where that helps, until
    no single step does. Where gains add up that is the optimum, elsewhere close to it.
    """
    ideas = _affordable(world)
    worth = [_alone(world, change) for change in ideas]
    order = sorted(range(len(ideas)), key=lambda place: -worth[place])
    head, chosen = Held(), set[int]()
    for _ in range(PASSES):
        before = set(chosen)
        for place in order:
            add = place not in chosen
            other = (taken if add else dropped)(head, ideas[place])
            if world.utility(other) > world.utility(head):
                head, chosen = other, chosen ^ {place}
        if chosen == before:
            break
    true = world.true(head)
    return StudyScore(
        suite=world.suite,
        policy="oracle",
        seed=world.seed,
        utility=world.utility(head),
        n_ideas=len(ideas),
        n_good=sum(one > world.complexity_cost for one in worth),
        n_found=sum(worth[place] > world.complexity_cost for place in chosen),
        n_accepted=len(chosen),
        n_right=len(chosen),
        n_useful=len(chosen),
        stack=true,
        stack_low=true,
        stack_high=true,
        stack_true=true,
    )


def _affordable(world: World) -> Sequence[Change]:
    """Return the ideas that fit into the budget at one run each on the lowest rung."""
    most = int(world.plan.budget / (world.plan.idea_cost + 1.0))
    n = min(world.n_ideas, most) if world.n_ideas else most
    return [world.mechanism.change(place) for place in range(n)]
