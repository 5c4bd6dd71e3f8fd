"""How often a candidate size decides as the reference does, with what that rests on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from transfer.arm import FIRST_BASELINE
from transfer.arm_table import BASELINE
from transfer.audit import agreement
from transfer.audit.agreement import Array
from transfer.audit.judge_panel import MeasuredPanel, measure
from transfer.audit.load_panel_runs import Run, Runs
from transfer.audit.traffic_light import GREEN_ACCURACY, GREEN_LOW, GREEN_SE, RED_SE
from transfer.design.space.candidate_sizes import Book, Cell
from transfer.design.space.shrink_dials import Shrinkable
from transfer.events import Effect
from transfer.ladder import Ladder

MOST_SEEDS = 8
"""Seeds beyond which a decision is dearer here than one size up."""
RESOLVED, DROWNED = 0.15, 0.35
"""Shares of the spread of effects to which a comparison's error is brought, and above which no
number of seeds brings it; effects far larger than the gates' own limits need no more."""
FLAT_NATS = 0.5
"""Noise of one run in nats from which no law of loss against compute shows along a path."""


@dataclass(frozen=True)
class Board:
    """What is raced: cells by tier from the cheapest up, changes in order, and the reference.

    book
        All trials seen so far.
    ladder
        Carries the setting, its objective and a name.
    budget
        What all trials together may come to, in prices.
    """

    book: Book
    ladder: Ladder
    form: Shrinkable
    top: Cell
    tiers: tuple[tuple[str, ...], ...]
    arms: tuple[str, ...]
    seeds: int = 2
    top_seeds: int = 1
    baseline_seeds: int = 3
    budget: float = float("inf")


@dataclass(frozen=True)
class CellAccuracy:
    """One cell against the reference, over the changes that were measured on both.

    accuracy, low, high
        Share of pairs of changes ordered alike, 80 % interval over changes.
    clean, clean_low, clean_high
        The same with the noise of both removed; None where a cell shows no more than noise.
    noise, planned_se
        Of one run, and of a comparison with ``seeds`` pairs, in nats of compute.
    noise_loss
        Of one run in the metric's own unit.
    signal
        Spread of the true effects here in nats, large ones not counted for more than others.
    noise_share
        Share of the spread of effects here that is noise.
    price
        Of one trial in what the request counts in, seconds or the setting's cost.
    odd
        Category of change -> share of its pairs that are ordered otherwise.
    gains
        Change -> gain here and at the reference.
    """

    cell: str
    path: str
    n: int
    accuracy: float
    low: float
    high: float
    clean: float | None
    clean_low: float | None
    clean_high: float | None
    persistence: float | None
    noise: float
    rho: float
    planned_se: float
    noise_loss: float
    signal: float
    noise_share: float
    seeds: int
    cost: float
    seconds: float
    price: float
    odd: Mapping[str, float]
    gains: Mapping[str, tuple[float, float]]
    crashed: tuple[str, ...] = ()

    @property
    def decision_price(self) -> float:
        """What one decision costs: the change's own trials."""
        return self.seeds * self.price

    @property
    def gate(self) -> tuple[float, float, float]:
        """Accuracy and its ends as the gates look at them: noise removed if it can be."""
        if self.clean is None or self.clean_low is None or self.clean_high is None:
            return self.accuracy, self.low, self.high
        return self.clean, self.clean_low, self.clean_high

    @property
    def stated(self) -> tuple[float, float, float]:
        """Accuracy and its 80 % interval as they are told: no better than so few changes can show.

        Resampled changes that all agree give no interval at all; n - 1 independent orders that all
        agree leave a lower end of ``.1^(1 / (n - 1))`` (Clopper and Pearson, 1934).
        """
        value, low, high = self.gate
        return value, min(low, self.least), high

    @property
    def least(self) -> float:
        """Lower end of the 80 % interval of an accuracy of one, by the number of changes."""
        return float(0.1 ** (1 / max(self.n - 1, 1)))

    @property
    def is_faithful(self) -> bool:
        """Whether decisions may be taken here: the audit's gate for a lowest rung."""
        value, low, _ = self.gate
        return value >= GREEN_ACCURACY and low >= GREEN_LOW and not self.is_noisy

    @property
    def is_noisy(self) -> bool:
        """Whether no bearable number of seeds resolves anything here."""
        return self.clean is None or self.planned_se > max(RED_SE, DROWNED * self.signal)

    @property
    def has_law(self) -> bool:
        """Whether the loss falls along the path, so that gains can be counted in compute."""
        return self.noise <= FLAT_NATS

    @property
    def is_hopeless(self) -> bool:
        """Whether even the upper end of its interval lies below the gate."""
        return self.gate[2] < GREEN_ACCURACY


def runs_of(book: Book, cells: Sequence[Cell], arms: Sequence[str]) -> Runs:
    """Return what was seen in some cells of the baseline and of some changes."""
    names = {cell.name for cell in cells}
    runs = [
        Run(arm, cell, seed, seen.value, seen.seconds, seen.reason)
        for (cell, arm, seed), seen in book.seen.items()
        if cell in names and (arm == BASELINE or arm in arms)
    ]
    return Runs({arm: book.changes[arm] for arm in arms}, tuple(runs))


def prices(book: Book, cell: Cell) -> tuple[float, float]:
    """Return what a trial in a cell costs and takes, as its baseline's runs showed (medians)."""
    done = [seen for seen in book.of(cell.name, BASELINE) if seen.value is not None]
    if not done:
        return cell.rung.cost, cell.rung.seconds
    return float(np.median([s.cost for s in done])), float(np.median([s.seconds for s in done]))


def path_ladder(board: Board, cells: Sequence[Cell]) -> Ladder:
    """Return one path's cells as rungs in the order of their price, the reference on top."""
    priced = [(prices(board.book, cell)[0], cell) for cell in (*cells, board.top)]
    rungs, last = [], 0.0
    for cost, cell in [*sorted(priced[:-1], key=lambda pair: pair[0]), priced[-1]]:
        last = max(cost, last * 1.001)
        rungs.append(replace(cell.rung, scale=last, cost=last))
    return replace(board.ladder, rungs=tuple(rungs), target=last)


def judge(board: Board, cells: Sequence[Cell], arms: Sequence[str]) -> dict[str, CellAccuracy]:
    """Judge one path's cells against the reference by some changes and the path's own law.

    Cells without a number of the baseline or with fewer than three changes in common with the
    reference are not judged.
    """
    book, top = board.book, board.top
    usable = [c for c in cells if any(s.value is not None for s in book.of(c.name, BASELINE))]
    if not usable:
        return {}
    measured = measure(path_ladder(board, usable), runs_of(book, [*usable, top], arms))
    there = measured.of(top.name)
    found = {}
    for cell in usable:
        here = measured.of(cell.name)
        both = [arm for arm in here if arm in there]
        if len(both) >= 3:
            crashed = tuple(a for a in there if a not in here and book.of(cell.name, a))
            pairs = [(here[a], there[a]) for a in both]
            found[cell.name] = _judged(measured, book, cell, both, pairs, crashed)
    return found


def _judged(
    measured: MeasuredPanel,
    book: Book,
    cell: Cell,
    arms: Sequence[str],
    pairs: Sequence[tuple[Effect, Effect]],
    crashed: tuple[str, ...],
) -> CellAccuracy:
    alike = agreement.compare_rungs(pairs, np.random.default_rng(0))
    lower, own = alike.lower, alike.lower_variance
    noise = measured.analysis.noise(cell.name)
    nats = noise.sd / measured.analysis.baseline_law(FIRST_BASELINE).slopes[cell.name]
    signal = spread_of(lower, own)
    seeds = seeds_for(nats, noise.rho, signal)
    cost, seconds = prices(book, cell)
    spread = float(np.var(lower, ddof=1))
    return CellAccuracy(
        cell=cell.name,
        path=cell.path,
        n=len(arms),
        accuracy=alike.accuracy,
        low=alike.low,
        high=alike.high,
        clean=alike.clean,
        clean_low=alike.clean_low,
        clean_high=alike.clean_high,
        persistence=agreement.persistence(lower, alike.upper, own),
        noise=nats,
        rho=noise.rho,
        planned_se=agreement.planned_se(nats, noise.rho, seeds=seeds, baseline_seeds=max(seeds, 4)),
        noise_loss=noise.sd,
        signal=signal,
        noise_share=min(float(own.mean()) / spread, 1.0) if spread else 1.0,
        seeds=seeds,
        cost=cost,
        seconds=seconds,
        price=book.price_of(cost, seconds),
        odd=disagreement(lower, alike.upper, [measured.changes[a].category or a for a in arms]),
        gains={a: (low.gain, top.gain) for a, (low, top) in zip(arms, pairs, strict=True)},
        crashed=crashed,
    )


def spread_of(gains: Array, variances: Array) -> float:
    """Return the spread of true effects by their median distance from the middle, noise removed."""
    middle = 1.4826 * float(np.median(abs(gains - np.median(gains))))
    return math.sqrt(max(middle**2 - float(variances.mean()), 0.0))


def seeds_for(noise: float, rho: float, signal: float) -> int:
    """Return how many pairs bring a comparison's error as low as it should be, at most eight."""
    enough = max(GREEN_SE, RESOLVED * signal)
    for seeds in range(1, MOST_SEEDS):
        if agreement.planned_se(noise, rho, seeds=seeds, baseline_seeds=max(seeds, 4)) <= enough:
            return seeds
    return MOST_SEEDS


def disagreement(lower: Array, upper: Array, categories: Sequence[str]) -> dict[str, float]:
    """Return, by category, the share of its changes' pairs that both sides order differently.

    The most contrary first.
    """
    wrong = agreement.signs(lower, upper) < 0
    share = wrong.sum(axis=1) / max(len(lower) - 1, 1)
    by: dict[str, list[float]] = {}
    for category, one in zip(categories, share, strict=True):
        by.setdefault(category, []).append(float(one))
    means = {category: math.fsum(known) / len(known) for category, known in by.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def ahead(one: CellAccuracy, other: CellAccuracy) -> tuple[float, float] | None:
    """Return the 80 % interval of the first cell's accuracy less the second's, on common changes.

    Both are resampled together, so that easy and hard changes count for both alike; the order at
    the reference is the same for all paths. None with fewer than four changes in common.
    """
    common = [arm for arm in one.gains if arm in other.gains]
    if len(common) < 4:
        return None
    agree = [
        agreement.signs(*(np.array([side.gains[arm][i] for arm in common]) for i in (0, 1)))
        for side in (one, other)
    ]
    moved = agreement.resample_pairs(agree[0] - agree[1], np.random.default_rng(1))
    low, high = np.quantile(moved, [0.1, 0.9])
    return float(low), float(high)
