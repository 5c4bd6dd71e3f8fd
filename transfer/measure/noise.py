"""Noise by rung as runs come in, by sums without rounding.

A study is resumed anywhere and its trials end in any order; sums that round would then differ in
their last digits, and verdicts with them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from miniscale.setting.setting import Kind
from transfer.exact_sum import ExactSum

Losses = Mapping[int, float]
"""Seed -> loss, lower is better."""

WIDEST = 1e75
"""The fourth power of a loss must be a number: no training has one of this size."""
STEP = 1.3
"""The law's weights take noise in steps of this ratio, and its degrees of freedom in steps of 4."""
MOST_DF = 64
PRIOR_DF = 4.0
PRIOR_NOISE = 0.02
"""Noise expected before there are replicates: 2 % of compute, with the weight of 4 of them."""
PRIOR_RHO, PRIOR_PAIRS = 0.5, 8.0
NEIGHBOUR = 0.25
"""A rung is taken to be at least this noisy against the rungs beside it, in nats of compute."""


def within_reach(loss: float) -> float:
    """Return a loss that squares of squares can be taken of: within 1e75, and 0 within 1e-75.

    >>> within_reach(-1e308), within_reach(5e-324), within_reach(0.25)
    (-1e+75, 0.0, 0.25)
    """
    if abs(loss) < 1 / WIDEST:
        return 0.0
    return min(max(loss, -WIDEST), WIDEST)


@dataclass(frozen=True)
class Noise:
    """Spread of a single run's loss on one rung, and how far a shared seed shares it."""

    sd: float
    df: int
    """Degrees of freedom measured; 0 means assumed."""
    rho: float
    n_pairs: int


@dataclass(frozen=True)
class Share:
    """What one arm's runs on one rung add to the pool.

    Squares of deviations from the arm's own mean; sums over the seeds shared with its baseline.
    """

    squares: float = 0.0
    df: int = 0
    cross: float = 0.0
    left: float = 0.0
    right: float = 0.0
    n_pairs: int = 0


NOTHING = Share()


def share_of(losses: Losses, baseline: Losses | None) -> Share:
    """Return an arm's share; ``baseline`` is None for a baseline itself."""
    squares = 0.0
    if len(losses) > 1:
        mean = math.fsum(losses.values()) / len(losses)
        squares = math.fsum((loss - mean) ** 2 for loss in losses.values())
    df = max(len(losses) - 1, 0)
    seeds = sorted(losses.keys() & baseline.keys()) if baseline and df else []
    if baseline is None or len(seeds) < 2:
        return Share(squares, df)
    b, y = _centred([baseline[s] for s in seeds]), _centred([losses[s] for s in seeds])
    cross = math.fsum(one * other for one, other in zip(b, y, strict=True))
    left, right = (math.fsum(value * value for value in values) for values in (b, y))
    return Share(squares, df, cross, left, right, len(seeds) - 1)


def _centred(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


@dataclass
class _Sums:
    """Running sums of one rung, or of one kind of change on it."""

    squares: ExactSum = field(default_factory=ExactSum)
    cross: ExactSum = field(default_factory=ExactSum)
    left: ExactSum = field(default_factory=ExactSum)
    right: ExactSum = field(default_factory=ExactSum)
    df: int = 0
    n_pairs: int = 0

    def add(self, share: Share, sign: int) -> None:
        self.squares.add(sign * share.squares)
        self.df += sign * share.df
        if share.n_pairs:
            self.cross.add(sign * share.cross)
            self.left.add(sign * share.left)
            self.right.add(sign * share.right)
            self.n_pairs += sign * share.n_pairs

    def rho(self) -> tuple[float, int]:
        """Correlation over shared seeds, shrunk to .5 with the weight of 8 pairs."""
        left, right = self.left.value, self.right.value
        measured = self.cross.value / math.sqrt(left * right) if left > 0 and right > 0 else 0.0
        rho = (PRIOR_PAIRS * PRIOR_RHO + self.n_pairs * measured) / (PRIOR_PAIRS + self.n_pairs)
        return min(max(rho, 0.0), 0.95), self.n_pairs


class Pool:
    """The spread of replicates of a whole study; a pure function of the shares put in."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, str], Share] = {}
        self._rungs: dict[str, _Sums] = {}
        self._kinds: dict[tuple[str, Kind], _Sums] = {}

    def put(self, arm: str, rung: str, share: Share, kind: Kind | None) -> None:
        """Take an arm's share in, in place of its earlier one; ``kind`` is None for a baseline."""
        before = self._shares.get((arm, rung), NOTHING)
        if share == before:
            return
        self._shares[arm, rung] = share
        sums = [self._rungs.setdefault(rung, _Sums())]
        if kind is not None:
            sums.append(self._kinds.setdefault((rung, kind), _Sums()))
        for total in sums:
            if before is not NOTHING:
                total.add(before, -1)
            total.add(share, 1)

    def share(self, arm: str, rung: str) -> Share:
        """Return what an arm's runs on a rung add."""
        return self._shares.get((arm, rung), NOTHING)

    def rho(self, rung: str, kind: Kind) -> tuple[float, int]:
        """Return how far changes of one kind share a seed's luck on a rung, and pairs behind it."""
        return self._kinds.get((rung, kind), _Sums()).rho()

    def noise(
        self, slopes: Mapping[str, float], level: Mapping[str, float], rungs: Sequence[str]
    ) -> dict[str, Noise]:
        """Return each rung's noise.

        ``sd^2 = (nu0 s0^2 + sum of squares) / (nu0 + degrees of freedom)`` with nu0 = 4 and
        s0 = .02 slope; at least 1e-4 of the loss and a quarter of a neighbour's in compute.

        Parameters
        ----------
        slopes, level
            Loss per nat of compute and the first baseline's loss, by rung where known.
        rungs
            Names from the lowest up.
        """
        raw, found = [], {}
        for name in rungs:
            sums, prior = self._rungs.get(name, _Sums()), PRIOR_NOISE * slopes.get(name, 0.0)
            squares = max(sums.squares.value, 0.0)
            raw.append(math.sqrt((PRIOR_DF * prior**2 + squares) / (PRIOR_DF + sums.df)))
        for place, name in enumerate(rungs):
            slope, sums = slopes.get(name, 0.0), self._rungs.get(name, _Sums())
            beside = [
                raw[other] / slopes[rungs[other]] * slope
                for other in (place - 1, place + 1)
                if 0 <= other < len(rungs) and slopes.get(rungs[other], 0.0) > 0
            ]
            least = max((NEIGHBOUR * sd for sd in beside), default=0.0)
            sd = max(raw[place], least, 1e-4 * abs(level.get(name, 0.0)), 1e-300)
            found[name] = Noise(sd, sums.df, *sums.rho())
        return found


def stepped(noise: Noise) -> Noise:
    """Round noise to the steps in which the law's weights take it.

    A fit costs as much as ten trials in memory, and its weights need no third digit.

    >>> stepped(Noise(sd=0.0101, df=13, rho=0.5, n_pairs=3)).df
    16
    """
    sd = STEP ** round(math.log(noise.sd) / math.log(STEP))
    df = min(4 ** round(math.log(noise.df, 4)), MOST_DF) if noise.df else 0
    return replace(noise, sd=sd, df=df)
