"""What to run next: the value of information of every plan against the price of compute."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfer.belief.posterior import Belief
from transfer.belief.prior import Array
from transfer.belief.utility import Utility, expected_best, normal_cdf

SETTLED = 0.8
"""Share of what a rung could ever teach that counts as settling a change."""


@dataclass(frozen=True)
class RungOption:
    """One rung as a plan sees it.

    cost
        Of one run, in lowest-rung runs.
    own_sd
        Error of one run's gain that replicates remove, nats.
    shared_sd
        Error of the baseline's mean there, nats.
    n
        Runs of the change so far.
    first
        Runs that a first visit takes.
    most
        Runs allowed in all.
    """

    name: str
    position: float
    cost: float
    own_sd: float
    shared_sd: float
    n: int = 0
    first: int = 1
    most: int = 16


@dataclass(frozen=True)
class SearchTerms:
    """What a gain is worth and what runs cost.

    price
        lambda: nats of gain that a lowest-rung run must promise.
    """

    target: float
    utility: Utility
    price: float


@dataclass(frozen=True)
class RunPlan:
    """Runs on one rung or several in a row, the first of which is what would be done next.

    legs
        (place of the rung, runs more there).
    value
        Expected utility after the runs, before their cost.
    cost
        Expected, in lowest-rung runs: later legs count by the odds that they are reached.
    """

    legs: tuple[tuple[int, int], ...]
    value: float
    cost: float
    spread: float
    """Sd of the expected utility that the runs bring, tau."""

    def net(self, price: float) -> float:
        """Return the value less the cost."""
        return self.value - price * self.cost


class Prospects:
    """A belief's moments over a ladder's rungs, from which any plan is valued.

    For runs at rungs q with u the utility of an atom and g_q its gain there,

        tau^2 = c' (V + N)^-1 c,   c = Cov(u, g_q),   V = Cov(g_q),
        N = noise, and misfit where the rung is new

    u is taken as it will be after the runs: what lies below the highest rung measured is no
    longer a forecast. The normal form overrates what is nearly surely bad, so no plan is worth
    more than E max(u, 0), what knowing the atom would be.
    """

    def __init__(self, belief: Belief, steps: Sequence[RungOption], terms: SearchTerms) -> None:
        self._steps = steps
        self._belief = belief
        self._terms = terms
        weights = belief.weights
        gains = np.stack([belief.curve(step.position) for step in steps])
        mean = gains @ weights
        self._weighted = (gains - mean[:, None]) * weights
        self._within = self._weighted @ gains.T
        self._misfit = belief.model.misfit**2 + belief.model.misfit_share**2 * (gains**2 @ weights)
        self._by_last: dict[float, tuple[float, Array, float]] = {}
        self.mean = self._at(belief.last)[0]

    def _at(self, last: float) -> tuple[float, Array, float]:
        """Return mean utility, its covariance with each rung, and its value under certainty."""
        if last not in self._by_last:
            terms = self._terms
            utility = self._belief.worth_by_atom(terms.target, terms.utility, last=last)
            weights = self._belief.weights
            certain = float(weights @ np.maximum(utility, 0.0))
            self._by_last[last] = (float(weights @ utility), self._weighted @ utility, certain)
        return self._by_last[last]

    def ceiling(self) -> float:
        """Return what perfect knowledge of the atom would be worth: no plan beats it."""
        return self._at(max(step.position for step in self._steps))[2]

    def plan(self, legs: Sequence[tuple[int, int]]) -> RunPlan:
        """Value runs: (place of the rung, runs more) for each leg."""
        legs = tuple(legs)
        mean, spread, certain = self._after(legs)
        cost = legs[0][1] * self._steps[legs[0][0]].cost
        if len(legs) > 1:
            first_mean, first_spread, _ = self._after(legs[:1])
            odds = normal_cdf(first_mean / max(first_spread, 1e-12))
            cost += odds * sum(n * self._steps[rung_index].cost for rung_index, n in legs[1:])
        value = max(min(expected_best(mean, spread), certain), mean, 0.0)
        return RunPlan(legs, value, cost, spread)

    def _after(self, legs: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
        """Return the utility's mean after the legs, its sd seen from now, its value if certain."""
        places = [rung_index for rung_index, _ in legs]
        last = max(self._belief.last, *(self._steps[rung_index].position for rung_index in places))
        mean, link, certain = self._at(last)
        if len(legs) == 1:
            rung_index, n = legs[0]
            spread = abs(float(link[rung_index])) / math.sqrt(
                float(self._within[rung_index, rung_index]) + self._noise(rung_index, n)
            )
            return mean, spread, certain
        matrix = self._within[places][:, places]
        for k, (rung_index, n) in enumerate(legs):
            matrix[k, k] += self._noise(rung_index, n)
        c = link[places]
        return mean, math.sqrt(max(float(c @ np.linalg.solve(matrix, c)), 0.0)), certain

    def _noise(self, rung_index: int, n: int) -> float:
        step = self._steps[rung_index]
        noise = step.own_sd**2 / n
        if step.n == 0:
            noise += step.shared_sd**2 + float(self._misfit[rung_index])
        return noise


def plans(
    prospects: Prospects, steps: Sequence[RungOption], *, replicates: Sequence[int]
) -> list[RunPlan]:
    """Value what could be run next: repeat here, jump to a rung, climb to it, repeat at the bottom.

    Steps that are not affordable must not be among ``steps``.
    """
    measured = [rung_index for rung_index, step in enumerate(steps) if step.n > 0]
    here = max(measured, default=-1)
    legs: list[tuple[tuple[int, int], ...]] = []
    if here >= 0:
        legs += [((here, n),) for n in replicates if steps[here].n + n <= steps[here].most]
    above = range(here + 1, len(steps))
    legs += [((rung_index, steps[rung_index].first),) for rung_index in above]
    legs += [
        tuple((rung_index, steps[rung_index].first) for rung_index in range(here + 1, top + 1))
        for top in above
        if top > here + 1
    ]
    if here > 0 and 0 < steps[0].n <= steps[0].most - 2:
        legs.append(((0, 2),))
    return [prospects.plan(leg) for leg in legs]


def settling(prospects: Prospects, steps: Sequence[RungOption]) -> RunPlan | None:
    """Return the cheapest plan on one rung that teaches most of what the ladder could teach.

    None if nothing more may be run.
    """
    candidates = []
    for rung_index, step in enumerate(steps):
        rooms = [n for n in (1, 2, 4, 8, 16, 32) if step.n + n <= max(step.most, 32)]
        goal = prospects.plan(((rung_index, 10_000),)).spread
        enough = [
            plan
            for n in rooms
            if (plan := prospects.plan(((rung_index, n),))).spread >= SETTLED * goal
        ]
        candidates += enough[:1]
    if not candidates:
        return None
    best = max(plan.spread for plan in candidates)
    return min(
        (plan for plan in candidates if plan.spread >= 0.7 * best), key=lambda plan: plan.cost
    )


def price_of_compute(
    earned: float, spent: float, budget: float, *, greed: float, prior: float, share: float
) -> float:
    """Return lambda: what search has earned per lowest-rung run so far, times ``greed``.

        lambda = greed (prior n + sum of max(0, m)) / (n + spent),   n = share budget

    Parameters
    ----------
    earned
        Sum of max(0, m) over the changes judged.
    spent, budget
        In lowest-rung runs.
    """
    n = share * budget
    return greed * (prior * n + earned) / (n + spent)
