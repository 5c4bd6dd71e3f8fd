"""Public tables replayed: what rungs up to j say of a later one, against what was measured there.

Every arm of every table is forecast from its effects up to each rung for each rung above. Widening
by a conformal factor learns it on the *other* sources only, so no table takes part in its own
score.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from miniscale.setting.setting import Kind
from public_tables.public_readers import read_tables
from public_tables.public_table import MeasuredTable, Table, measured
from transfer.events import Effect, GainForecast
from transfer.measure.trend import NORMAL, TrendPrior
from transfer.measure.trend import gain_forecast as trend_forecast

CALL = 0.8
"""Odds above which a forecast counts as a positive call."""
COVERAGE = 0.8
BEYOND = 1.0
"""Nats; an effect measured beyond it is outside every policy's grid, and only counted."""
_Z = NORMAL.inv_cdf(0.5 + COVERAGE / 2)


@dataclass(frozen=True)
class Case:
    """One forecast to make: an arm's effects up to a rung, and a later rung's truth.

    A forecaster must not look at ``truth``, nor at the arm's runs above its last effect.
    """

    table: MeasuredTable
    arm: str
    kind: Kind
    effects: tuple[Effect, ...]
    truth: Effect

    @property
    def source(self) -> str:
        """What is held out together with this case."""
        return self.table.table.source

    @property
    def distance(self) -> float:
        """Nats of compute from the last measured rung to the one forecast."""
        return self.truth.position - self.effects[-1].position


Forecaster = Callable[[Case], GainForecast | None]
"""Forecasts a case's later effect; None where it has too little to go by."""
Learner = Callable[[Sequence[Case]], Forecaster]
"""Makes a forecaster from other sources' cases and truths."""
GainForecastOf = Callable[[Sequence[Effect], float, Kind], GainForecast]
"""Effects, a later position and the kind of change -> forecast there."""


def by_trend(effects: Sequence[Effect], position: float, kind: Kind) -> GainForecast:
    """Return the plain trend's forecast; it makes no difference between kinds."""
    return trend_forecast(effects, position, prior=TrendPrior())


def as_forecaster(gain_forecast: GainForecastOf) -> Forecaster:
    """Make a forecaster of a function that looks at effects and kind alone."""
    return lambda case: gain_forecast(case.effects, case.truth.position, case.kind)


def cases_of(table: Table) -> tuple[list[Case], Counter[Kind]]:
    """Return all (arm, rungs up to j, later rung) of a table, and how many were beyond range."""
    whole = measured(table)
    found, beyond = [], Counter[Kind]()
    for arm, effects in whole.effects.items():
        for last in range(1, len(effects)):
            known = effects[:last]
            if max(abs(effect.gain) for effect in known) > BEYOND:
                beyond[table.kinds[arm]] += len(effects) - last
                continue
            found += [Case(whole, arm, table.kinds[arm], known, truth) for truth in effects[last:]]
    return found, beyond


@dataclass(frozen=True)
class ScoredCase:
    """A case with its forecast.

    ``miss`` is the distance from forecast to truth in half-widths of the 80 % predictive interval
    on its side, the noise of the measured truth included: covered up to 1.
    """

    case: Case
    look: GainForecast
    miss: float
    width: float

    @property
    def is_gain(self) -> bool:
        """Whether the later rung showed a gain."""
        return self.case.truth.gain > 0


def scored(case: Case, look: GainForecast) -> ScoredCase:
    """Compare a forecast with the truth.

    half = hypot(high - mean, z se) above the mean and hypot(mean - low, z se) below it
    """
    noise = _Z * case.truth.gain_se
    up, down = math.hypot(look.high - look.mean, noise), math.hypot(look.mean - look.low, noise)
    off = case.truth.gain - look.mean
    return ScoredCase(case, look, abs(off) / (up if off > 0 else down), up + down)


def conformal_factor(misses: Mapping[str, Sequence[float]]) -> float:
    """Return the factor that makes 80 % intervals cover 80 %, at least 1; each source counts alike.

    The weighted form of "the ceil(.8 (n + 1))-th smallest of n misses": a unit of weight at
    infinity stands for the case to come.

    >>> conformal_factor({"a": [0.1 * i for i in range(1, 20)]})
    1.6
    """
    values = [miss for rows in misses.values() for miss in rows]
    weights = [len(values) / (len(misses) * len(rows)) for rows in misses.values() for _ in rows]
    if not values:
        return 1.0
    order = np.argsort(values)
    reached = np.cumsum(np.array(weights)[order])
    place = int(np.searchsorted(reached, COVERAGE * (len(values) + 1) - 1e-9))
    return max(1.0, float(np.array(values)[order][min(place, len(values) - 1)]))


@dataclass(frozen=True)
class ReplayRow:
    """How forecasts of one source, or of all, came out.

    calls, right, stated
        Positive calls (odds above .8), the share of them that the later rung bore out, and their
        mean stated odds. nan without a call.
    right_se, coverage_se, wide_coverage_se
        Jackknife over tables (over sources in the rows of all).
    factor
        The conformal factor learned on the other sources; ``wide_*`` are with it.
    width, wide_width
        Median width of the 80 % predictive interval, nats.
    error
        Median absolute error of the forecast, nats.
    n_beyond
        Cases left out since an effect of more than one nat was measured.
    """

    name: str
    is_shipped: bool
    n_tables: int
    n: int
    calls: int
    right: float
    right_se: float
    stated: float
    brier: float
    coverage: float
    coverage_se: float
    width: float
    factor: float
    wide_coverage: float
    wide_coverage_se: float
    wide_width: float
    error: float
    n_beyond: int


def score_tables(folder: Path, *, gain_forecast: GainForecastOf = by_trend) -> list[ReplayRow]:
    """Score an forecast on every table below a folder: a row a source and kind, then of all.

    Parameters
    ----------
    forecast
        Effects from the lowest rung up, a later position, the kind of change -> forecast there.

    Raises
    ------
    ValueError
        If the folder holds no table, or one that breaks the rules of its format.
    """
    tables = read_tables(folder)
    if not tables:
        raise ValueError(f"tables: none in {folder}; the format stands in docs/bench.md")
    return score(tables, fixed(as_forecaster(gain_forecast)))


def fixed(forecaster: Forecaster) -> Learner:
    """Return the learner that learns nothing."""
    return lambda cases: forecaster


def score(tables: Iterable[Table], learner: Learner) -> list[ReplayRow]:
    """Score what a learner makes of the other sources on each source in turn.

    For each source the learner sees the cases of all others, truths included; its forecaster then
    forecasts the source's cases, and the others' for the conformal factor.
    """
    cases: dict[str, list[Case]] = {}
    shipped: dict[str, bool] = {}
    beyond: Counter[tuple[str, Kind]] = Counter()
    for table in tables:
        found, outside = cases_of(table)
        shipped[table.source] = table.is_shipped
        beyond.update({(table.source, kind): n for kind, n in outside.items()})
        cases[table.source] = cases.get(table.source, []) + found
    parts: list[_Part] = []
    for name in sorted(cases):
        forecaster = learner([c for key, rest in cases.items() if key != name for c in rest])
        done = {key: _forecast(rest, forecaster) for key, rest in cases.items()}
        others = {key: [s.miss for s in rest] for key, rest in done.items() if key != name and rest}
        factor = conformal_factor(others)
        of_source = [_Part(s, _wider(s, factor), factor) for s in done[name]]
        parts += of_source
    return _rows(parts, shipped, beyond)


@dataclass(frozen=True)
class _Part:
    plain: ScoredCase
    wide: ScoredCase
    factor: float

    @property
    def source(self) -> str:
        return self.plain.case.source

    @property
    def kind(self) -> Kind:
        return self.plain.case.kind


def _forecast(cases: Sequence[Case], forecaster: Forecaster) -> list[ScoredCase]:
    looks = [(case, forecaster(case)) for case in cases]
    return [scored(case, look) for case, look in looks if look is not None]


def _wider(one: ScoredCase, factor: float) -> ScoredCase:
    """Return a case with its predictive interval widened."""
    return replace(one, miss=one.miss / factor, width=one.width * factor)


def _rows(
    parts: Sequence[_Part], shipped: Mapping[str, bool], beyond: Mapping[tuple[str, Kind], int]
) -> list[ReplayRow]:
    found = []
    keys = sorted({(part.source, part.kind) for part in parts})
    for source, kind in keys:
        some = [part for part in parts if (part.source, part.kind) == (source, kind)]
        name = f"{source}, {kind.value}" if (source, _other(kind)) in keys else source
        groups = [part.plain.case.table.table.name for part in some]
        n_beyond = beyond.get((source, kind), 0)
        found.append(_row(name, some, groups, is_shipped=shipped[source], n_beyond=n_beyond))
    for kinds, name in (
        ({Kind.STRUCTURAL}, "all structural"),
        ({Kind.HYPERPARAMETER}, "all hyperparameter"),
        (set(Kind), "all"),
    ):
        some = [part for part in parts if part.kind in kinds]
        of_kinds = [n for (_, kind), n in beyond.items() if kind in kinds]
        groups = [part.source for part in some]
        if some:
            shared = all(shipped[group] for group in groups)
            found.append(_row(name, some, groups, is_shipped=shared, n_beyond=sum(of_kinds)))
    return found


def _other(kind: Kind) -> Kind:
    return Kind.HYPERPARAMETER if kind is Kind.STRUCTURAL else Kind.STRUCTURAL


def _row(
    name: str, parts: Sequence[_Part], groups: Sequence[str], *, is_shipped: bool, n_beyond: int
) -> ReplayRow:
    done = [part.plain for part in parts]
    calls = [(s, group) for s, group in zip(done, groups, strict=True) if s.look.odds > CALL]
    right = [float(s.is_gain) for s, _ in calls]
    covered = [float(s.miss <= 1) for s in done]
    wide = [float(part.wide.miss <= 1) for part in parts]
    return ReplayRow(
        name=name,
        is_shipped=is_shipped,
        n_tables=len({s.case.table.table.name for s in done}),
        n=len(done),
        calls=len(calls),
        right=_mean(right),
        right_se=jackknife(right, [group for _, group in calls]),
        stated=_mean([s.look.odds for s, _ in calls]),
        brier=_mean([(s.look.odds - s.is_gain) ** 2 for s in done]),
        coverage=_mean(covered),
        coverage_se=jackknife(covered, groups),
        width=float(np.median([s.width for s in done])),
        factor=_mean([part.factor for part in parts]),
        wide_coverage=_mean(wide),
        wide_coverage_se=jackknife(wide, groups),
        wide_width=float(np.median([part.wide.width for part in parts])),
        error=float(np.median([abs(s.case.truth.gain - s.look.mean) for s in done])),
        n_beyond=n_beyond,
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def jackknife(values: Sequence[float], groups: Sequence[str]) -> float:
    """Return the standard error of a mean whose rows come in groups; nan with fewer than two.

    se^2 = (G - 1) / G sum over groups of (mean without the group - mean of those)^2
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return math.nan
    left = [
        _mean([v for v, group in zip(values, groups, strict=True) if group != name])
        for name in names
    ]
    centre = _mean(left)
    spread = math.fsum((value - centre) ** 2 for value in left)
    return math.sqrt(spread * (len(names) - 1) / len(names))
