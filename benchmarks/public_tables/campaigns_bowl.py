"""A whole campaign replayed: which (learning rate, batch) to take at a size that is dear to run.

Losses of all cells (N, D) are a bowl in (log learning rate, log batch) whose optimum and curvature
drift with size, and a smooth rest: a rule of scaling fitted over cells, as one Gaussian process.
Cells are climbed from the cheapest; within one, each run is the one that most lowers the loss
expected of the setting taken there (knowledge gradient: Frazier, Powell & Dayanik 2009).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(11)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
CHUNK = 256
"""Candidates weighed at a time, to bound memory."""


@dataclass(frozen=True)
class BowlPrior:
    """What is believed of the bowl before any run; nats of loss, octaves, nats of size.

    # assumption: typical of language models; a learning rate off by two costs about .01 nats.

    slope
        Spread of the slope at the grid's centre, at the target.
    curvature, curvature_sd
        Mean and spread of the loss added an octave squared, learning rate and batch alike.
    cross_sd
        Spread of the interaction of the two.
    drift_sd
        Spread of the slope's change by nat of N or D.
    widening_sd
        Spread of the curvature's change by nat of N or D.
    rest_sd, rest_octaves, rest_nats
        Size and lengths of the smooth rest.
    noise, noise_share
        Spread of a run, and the share of its excess over its cell's best added to that: far from
        the optimum a bowl is a poor description.
    """

    slope: float = 0.03
    curvature: float = 0.01
    curvature_sd: float = 0.01
    cross_sd: float = 0.006
    drift_sd: float = 0.02
    widening_sd: float = 0.003
    rest_sd: float = 0.01
    rest_octaves: float = 3.0
    rest_nats: float = 2.0
    noise: float = 0.002
    noise_share: float = 0.2


@dataclass(frozen=True)
class Grid:
    """All runs that can be bought, of all cells, and those of the cell to take a setting for.

    rate, batch
        (n,) in octaves.
    size
        (n, 2), ln N and ln D relative to the target.
    cost
        (n,) in runs of the target cell.
    loss
        (n,) what each run shows; nan where it diverges.
    cell
        (n,) number of the cell.
    is_target
        (n,) whether it is the target's.
    """

    rate: Array
    batch: Array
    size: Array
    cost: Array
    loss: Array
    cell: NDArray[np.int64]
    is_target: NDArray[np.bool_]

    @property
    def best(self) -> float:
        """The target's lowest loss."""
        return float(np.nanmin(self.loss[self.is_target]))


def grid_of(frame: pl.DataFrame, *, n: float, d: float) -> Grid:
    """Return the grid for a target cell: itself and every cell that costs less than it.

    Parameters
    ----------
    frame
        Columns N, D, step (half-octaves of learning rate), bs, loss.

    Raises
    ------
    ValueError
        If the frame has no such cell.
    """
    rows = frame.filter(
        (pl.col("N") * pl.col("D") < n * d) | ((pl.col("N") == n) & (pl.col("D") == d))
    )
    rows = rows.unique(["N", "D", "step", "bs"], keep="first").sort("N", "D", "step", "bs")
    size = np.log(rows.select(pl.col("N") / n, pl.col("D") / d).to_numpy())
    is_target = np.all(np.abs(size) < 1e-9, axis=1)
    if not is_target.any():
        raise ValueError(f"no run at N={n:g}, D={d:g}: name a cell of the table")
    cells = rows.select(pl.struct("N", "D").rank("dense").cast(pl.Int64)).to_series().to_numpy()
    return Grid(
        rate=rows["step"].to_numpy() / 2.0,
        batch=np.log2(rows["bs"].to_numpy().astype(float)),
        size=size,
        cost=np.exp(size.sum(axis=1)),
        loss=rows["loss"].to_numpy().astype(float),
        cell=cells,
        is_target=is_target,
    )


def _features(grid: Grid, prior: BowlPrior) -> tuple[Array, Array, Array]:
    """Return the bowl's features (n, k) with prior means and spreads (k,)."""
    u = grid.rate - np.median(grid.rate[grid.is_target])
    v = grid.batch - np.median(grid.batch[grid.is_target])
    base = [
        (u, 0.0, prior.slope),
        (v, 0.0, prior.slope),
        (u * u, prior.curvature, prior.curvature_sd),
        (v * v, prior.curvature, prior.curvature_sd),
        (u * v, 0.0, prior.cross_sd),
    ]
    drifts = [
        (column * z, 0.0, sd)
        for z in grid.size.T
        for column, sd in (
            (u, prior.drift_sd),
            (v, prior.drift_sd),
            (u * u, prior.widening_sd),
            (v * v, prior.widening_sd),
            (u * v, prior.widening_sd),
        )
    ]
    columns = [*base, *drifts]
    means, sds = np.array([c[1] for c in columns]), np.array([c[2] for c in columns])
    return np.stack([c[0] for c in columns], axis=1), means, sds


def _kernel(grid: Grid, prior: BowlPrior) -> tuple[Array, Array]:
    """Return prior mean (n,) and covariance (n, n) of all runs; each cell has its own level."""
    features, means, sds = _features(grid, prior)
    scaled = features * sds
    covariance = scaled @ scaled.T
    place = np.column_stack(
        [
            grid.rate / prior.rest_octaves,
            grid.batch / prior.rest_octaves,
            grid.size / prior.rest_nats,
        ]
    )
    squares = (place**2).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None] - 2 * place @ place.T, 0.0)
    covariance += prior.rest_sd**2 * np.exp(-0.5 * apart)
    covariance += 1.0 * (grid.cell[:, None] == grid.cell[None])
    return features @ means, covariance


@dataclass
class Campaign:
    """Runs bought so far, and what they say of every setting of a cell.

    It holds the table's losses and looks only at those of runs that were bought.
    """

    grid: Grid
    prior: BowlPrior = field(default_factory=BowlPrior)
    bought: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._mean, self._covariance = _kernel(self.grid, self.prior)

    @property
    def spent(self) -> float:
        """Cost so far, in runs of the target cell."""
        return float(self.grid.cost[self.bought].sum())

    def taken(self, cell: int) -> int:
        """Return the place in the grid of the cell's setting that would be taken now."""
        places = np.flatnonzero(self.grid.cell == cell)
        return int(places[np.argmin(self._posterior(places)[0])])

    def _posterior(self, places: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return posterior mean and covariance of the losses at places, but for a constant."""
        mean, covariance = self._mean[places], self._covariance[np.ix_(places, places)]
        if not self.bought:
            return mean, covariance
        at = np.array(self.bought)
        seen, noise = self._observed(at)
        own = self._covariance[np.ix_(at, at)] + np.diag(noise)
        cross = self._covariance[np.ix_(places, at)]
        solved = np.linalg.solve(own, np.column_stack([seen - self._mean[at], cross.T]))
        update = cross @ solved
        return mean + update[:, 0], covariance - update[:, 1:]

    def _observed(self, at: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return losses less the best of each cell's runs, and their variances, by that excess.

        A diverged run counts as half a nat above the best.
        """
        loss, cells = self.grid.loss[at], self.grid.cell[at]
        best = np.array([_least(loss[cells == cell]) for cell in cells])
        excess = np.where(np.isfinite(loss), loss - best, 0.5)
        sd = np.hypot(self.prior.noise, self.prior.noise_share * excess)
        return excess, sd**2

    def buy(self, cell: int) -> bool:
        """Buy the run of a cell that most lowers the loss of what would be taken there.

        The first of a cell is what is taken now; later ones by the knowledge gradient. False if
        every setting was bought.
        """
        places = np.flatnonzero(self.grid.cell == cell)
        is_new = ~np.isin(places, self.bought)
        if not is_new.any():
            return False
        mean, covariance = self._posterior(places)
        if is_new.all():
            self.bought.append(int(places[np.argmin(mean)]))
            return True
        variance = np.maximum(np.diag(covariance), 1e-12) + self.prior.noise**2
        spread = covariance / np.sqrt(variance)[:, None]
        value = np.where(is_new, _gradient(-mean, spread), -np.inf)
        self.bought.append(int(places[np.argmax(value)]))
        return True


def _least(values: Array) -> float:
    fine = values[np.isfinite(values)]
    return float(fine.min()) if len(fine) else 0.0


def _gradient(value: Array, spread: Array) -> Array:
    """Return E max(value + spread Z) - max(value) by quadrature for each candidate, (n,).

    Where it is nought to the accuracy of the quadrature, a small share of the largest spread
    stands in for it.
    """
    found = np.empty(len(spread))
    for start in range(0, len(spread), CHUNK):
        part = spread[start : start + CHUNK]
        best = (value[None, None] + part[:, None] * _NODES[None, :, None]).max(axis=2)
        found[start : start + CHUNK] = best @ _WEIGHTS - value.max()
    centred = spread - spread[:, [int(np.argmax(value))]]
    result: Array = np.maximum(found, 0.0) + 1e-6 * np.abs(centred).max(axis=1)
    return result


@dataclass(frozen=True)
class GridPoint:
    """What a campaign would take after spending ``cost`` runs of the target cell."""

    cost: float
    regret: float
    n_runs: int


MATCHED = 0.15
"""Cells whose ratio of tokens to parameters lies within this many nats of the target's match it."""
MOST_RUNS = 16
"""Runs of one cell below the target at most."""
TARGET_SHARE = 0.5
"""Share of the budget kept for runs of the target itself."""


def ladder_of_cells(grid: Grid) -> list[int]:
    """Return cells from the cheapest to the target: those that match its tokens per parameter.

    All of them where fewer than two match.
    """
    target = int(grid.cell[grid.is_target][0])
    matched = np.abs(grid.size[:, 1] - grid.size[:, 0]) < MATCHED
    cells = {int(cell) for cell in grid.cell[matched]} | {target}
    if len(cells) < 3:
        cells = {int(cell) for cell in grid.cell}
    cost = {cell: float(grid.cost[grid.cell == cell][0]) for cell in cells}
    return [*sorted(cells - {target}, key=lambda cell: cost[cell]), target]


def climb(grid: Grid, budget: float, *, prior: BowlPrior | None = None) -> Campaign:
    """Climb from the cheapest cell to the target, zooming in on what the rule says is best.

    Half of the budget is kept for the target; the rest is shared evenly by the cells below, and
    what one cannot use goes to those above it.
    """
    campaign = Campaign(grid, prior or BowlPrior())
    *lower, target = ladder_of_cells(grid)
    kept = math.floor(TARGET_SHARE * budget)
    for place, cell in enumerate(lower):
        cost = float(grid.cost[grid.cell == cell][0])
        share = (budget - kept - campaign.spent) / (len(lower) - place)
        for _ in range(min(MOST_RUNS, math.floor(share / cost + 1e-9))):
            campaign.buy(cell)
    while campaign.spent + 1 <= budget + 1e-9 and campaign.buy(target):
        pass
    return campaign


def regret_curve(
    grid: Grid, budgets: Sequence[float], *, prior: BowlPrior | None = None
) -> list[GridPoint]:
    """Return at each budget the regret of the setting taken: its loss less the target's best."""
    target = int(grid.cell[grid.is_target][0])
    found = []
    for budget in sorted(budgets):
        campaign = climb(grid, budget, prior=prior)
        loss = grid.loss[campaign.taken(target)]
        regret = float(loss - grid.best) if math.isfinite(loss) else math.inf
        found.append(GridPoint(campaign.spent, regret, len(campaign.bought)))
    return found
