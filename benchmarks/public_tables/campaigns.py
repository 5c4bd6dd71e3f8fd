"""Whole campaigns replayed on public tables: which arms to take, and what they are worth far up.

Two questions with published baselines to beat: is an arm worth taking, against a fixed threshold on
the loss at the same compute; and what twelve tuned optimizers gain at a size 16 times dearer than
the largest one seen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from miniscale.setting.setting import Kind
from public_tables.public_readers import MARIN_NOISE, MARIN_SIZES, marin_runs
from public_tables.replay import Case, Forecaster, GainForecastOf, jackknife
from scaling.fit.form_fit import FormFit, fit_form
from scaling.law.law_catalogue import HOFFMANN
from transfer.events import Effect, GainForecast

THRESHOLD = 0.004
"""Nats of loss: the fixed rule takes an arm that gains more than this on the last rung seen."""
TAKE_ODDS, TAKE_HARM, TAKE_COST = 0.6, 1.5, 0.004
"""An arm is taken by odds above .6 and E max(g, 0) + 1.5 E min(g, 0) > .004 at the later rung."""


@dataclass(frozen=True)
class Choice:
    """How a rule's takings compare with what the later rung showed, all at the same compute.

    same_recall_precision
        Precision of taking the same rule's highest odds until its recall is the fixed rule's.
    """

    rule: str
    n: int
    taken: int
    precision: float
    precision_se: float
    recall: float
    same_recall_precision: float


def utility(look: GainForecast, *, harm: float = TAKE_HARM) -> float:
    """Return E max(g, 0) + h E min(g, 0) for a normal with the forecast's mean and sd."""
    z = look.mean / look.sd
    density = look.sd * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    gain = 0.5 * look.mean * (1 + math.erf(z / math.sqrt(2))) + density
    return gain + harm * (look.mean - gain)


def choices(cases: Sequence[Case], forecasters: Mapping[str, Forecaster]) -> list[Choice]:
    """Compare the fixed threshold and forecasters on cases; a later gain above zero is right."""
    truth = [case.truth.gain > 0 for case in cases]
    groups = [case.table.table.name for case in cases]
    fixed = [case.effects[-1].loss_gain > THRESHOLD for case in cases]
    margin = [case.effects[-1].loss_gain for case in cases]
    found = [_choice("4 mnat", fixed, margin, truth, groups, recall=None)]
    for name, forecaster in forecasters.items():
        looks = [forecaster(case) for case in cases]
        taken = [
            look is not None and look.odds > TAKE_ODDS and utility(look) > TAKE_COST
            for look in looks
        ]
        odds = [look.mean / look.sd if look is not None else -math.inf for look in looks]
        found.append(_choice(name, taken, odds, truth, groups, recall=found[0].recall))
    return found


def _choice(
    name: str,
    taken: Sequence[bool],
    rank: Sequence[float],
    truth: Sequence[bool],
    groups: Sequence[str],
    *,
    recall: float | None,
) -> Choice:
    right = [float(t) for t, is_taken in zip(truth, taken, strict=True) if is_taken]
    of_taken = [group for group, is_taken in zip(groups, taken, strict=True) if is_taken]
    found = sum(right)
    reached = found / max(sum(truth), 1)
    hits = np.cumsum(np.array(truth, float)[np.argsort(-np.array(rank), kind="stable")])
    wanted = (reached if recall is None else recall) * sum(truth)
    place = int(np.searchsorted(hits, wanted - 1e-9))
    at_recall = float(hits[min(place, len(hits) - 1)] / (min(place, len(hits) - 1) + 1))
    return Choice(
        rule=name,
        n=len(truth),
        taken=len(right),
        precision=found / len(right) if right else math.nan,
        precision_se=jackknife(right, of_taken),
        recall=reached,
        same_recall_precision=at_recall,
    )


@dataclass(frozen=True)
class FarForecast:
    """Forecasts of gains at the largest size from smaller ones.

    compute
        What the smaller runs cost, as a share of the runs at the largest size.
    error
        Mean absolute error of the gain in loss, nats.
    coverage
        Of the 80 % interval; nan where the method states none.
    """

    method: str
    upto: str
    compute: float
    n: int
    error: float
    error_se: float
    coverage: float


@dataclass(frozen=True)
class _Far:
    """Losses by (optimizer, size, multiple), and AdamW's law over what may be seen."""

    loss: Mapping[tuple[str, str, int], float]
    params: Mapping[str, float]
    seen: tuple[str, ...]
    law: FormFit

    def gain(self, arm: str, size: str, multiple: int) -> float:
        return self.loss["adamw", size, multiple] - self.loss[arm, size, multiple]

    def decades(self, low: str, high: str) -> float:
        return 2 * math.log10(self.params[high] / self.params[low])

    def slope(self, size: str, multiple: int) -> float:
        """Loss a nat of compute at a fixed ratio of tokens to parameters, by the law."""
        return self.gain_of(0.01, size, multiple) / 0.01

    def gain_of(self, nats: float, size: str, multiple: int) -> float:
        """Return what a gain in nats of compute is worth in loss there, by the law."""
        n = self.params[size] * np.exp([0.0, nats / 2])
        here, there = self.law(n, 20.0 * multiple * n)
        return float(here - there)


StudyLearner = Callable[[Sequence[Sequence[Effect]]], GainForecastOf]
"""Makes an forecast from the effects of all of a study's changes so far."""


def far_forecasts(
    folder: Path,
    gain_forecasts: Mapping[str, GainForecastOf],
    learners: Mapping[str, StudyLearner] | None = None,
) -> list[FarForecast]:
    """Forecast every optimizer's gain on AdamW at 1.2B, from sizes up to each smaller one.

    Nothing at 1.2B is looked at but the truth: also the worth of compute there is forecast, by
    AdamW's law L(N, D) over the sizes seen.
    """
    runs = marin_runs(folder)
    loss = {
        (r["optimizer"], r["size"], r["chinchilla"]): r["loss"] for r in runs.iter_rows(named=True)
    }
    params = {r["size"]: float(r["params"]) for r in runs.iter_rows(named=True)}
    top = MARIN_SIZES[-1]
    wanted = [(arm, m) for arm, size, m in sorted(loss) if size == top and arm != "adamw"]
    found = []
    for count in range(2, len(MARIN_SIZES)):
        far = _far(runs, loss, params, MARIN_SIZES[:count])
        keys = [(arm, m) for arm, m in wanted if all((arm, s, m) in loss for s in far.seen)]
        cost = sum(params[s] ** 2 for s in far.seen) / params[top] ** 2
        pool = [
            _effects(far, arm, m)
            for arm, size, m in sorted(loss)
            if size == far.seen[0] and arm != "adamw"
        ]
        learned = {name: learner(pool) for name, learner in (learners or {}).items()}
        for name, method in _methods(far, {**gain_forecasts, **learned}).items():
            made = [method(arm, m) for arm, m in keys]
            truth = [far.gain(arm, top, m) for arm, m in keys]
            off = [abs(f[0] - t) for f, t in zip(made, truth, strict=True)]
            inside = [
                math.nan if math.isnan(f[1]) else float(f[1] <= t <= f[2])
                for f, t in zip(made, truth, strict=True)
            ]
            error_se = jackknife(off, [arm for arm, _ in keys])
            error, coverage = float(np.mean(off)), float(np.mean(inside))
            upto = far.seen[-1]
            found.append(FarForecast(name, upto, cost, len(off), error, error_se, coverage))
    return found


def _far(
    runs: pl.DataFrame,
    loss: Mapping[tuple[str, str, int], float],
    params: Mapping[str, float],
    seen: tuple[str, ...],
) -> _Far:
    return _Far(loss, params, seen, _law(runs, "adamw", seen))


def _law(runs: pl.DataFrame, arm: str, seen: Sequence[str]) -> FormFit:
    rows = runs.filter((pl.col("optimizer") == arm) & pl.col("size").is_in(seen))
    n = rows["params"].cast(pl.Float64).to_numpy()
    return fit_form(
        HOFFMANN, n, 20.0 * rows["chinchilla"].to_numpy() * n, loss=rows["loss"].to_numpy()
    )


Method = Callable[[str, int], tuple[float, float, float]]
"""(optimizer, token multiple) -> gain in loss at the largest size with its 80 % interval."""


def _methods(far: _Far, gain_forecasts: Mapping[str, GainForecastOf]) -> dict[str, Method]:
    last, top = far.seen[-1], MARIN_SIZES[-1]
    kept = learned_retention(far.loss, far.params, far.seen)

    def point(value: float) -> tuple[float, float, float]:
        return value, math.nan, math.nan

    methods: dict[str, Method] = {
        "carried over": lambda arm, m: point(far.gain(arm, last, m)),
        "one retention, .55": lambda arm, m: point(
            far.gain(arm, last, m) * 0.55 ** far.decades(last, top)
        ),
        f"one retention, learned ({kept:.2f})": lambda arm, m: point(
            far.gain(arm, last, m) * kept ** far.decades(last, top)
        ),
        "law per arm": lambda arm, m: point(_by_law(far, arm, m)),
    }
    for name, gain_forecast in gain_forecasts.items():
        methods[name] = partial(_by_gain_forecast, far, gain_forecast)
    return methods


def learned_retention(
    loss: Mapping[tuple[str, str, int], float], params: Mapping[str, float], seen: Sequence[str]
) -> float:
    """Return the share of a gain in loss kept a decade, by all arms' steps between sizes seen.

    Least squares of the later gain on the earlier one, each step as if it were a decade.
    """
    cross, square, decades, count = 0.0, 0.0, 0.0, 0
    for low, high in pairwise(seen):
        for arm, size, m in loss:
            if arm == "adamw" or size != low or (arm, high, m) not in loss:
                continue
            before = loss["adamw", low, m] - loss[arm, low, m]
            after = loss["adamw", high, m] - loss[arm, high, m]
            cross, square = cross + before * after, square + before * before
            decades, count = decades + 2 * math.log10(params[high] / params[low]), count + 1
    ratio = max(cross / square, 1e-6)
    return float(ratio ** (count / decades))


def _by_law(far: _Far, arm: str, multiple: int) -> float:
    rows = [(s, m) for a, s, m in far.loss if a == arm and s in far.seen]
    n = np.array([far.params[s] for s, _ in rows])
    d = 20.0 * np.array([m for _, m in rows]) * n
    fit = fit_form(HOFFMANN, n, d, loss=np.array([far.loss[arm, s, m] for s, m in rows]))
    top = far.params[MARIN_SIZES[-1]]
    at = np.array([top]), np.array([20.0 * multiple * top])
    return float(far.law(*at)[0] - fit(*at)[0])


def _by_gain_forecast(
    far: _Far, gain_forecast: GainForecastOf, arm: str, multiple: int
) -> tuple[float, float, float]:
    top, effects = MARIN_SIZES[-1], _effects(far, arm, multiple)
    position = far.decades(far.seen[0], top) * math.log(10)
    look = gain_forecast(effects, position, Kind.STRUCTURAL)
    mean, low, high = (far.gain_of(g, top, multiple) for g in (look.mean, look.low, look.high))
    noise = 1.2816 * MARIN_NOISE * math.sqrt(2)
    return mean, mean - math.hypot(mean - low, noise), mean + math.hypot(high - mean, noise)


def _effects(far: _Far, arm: str, multiple: int) -> list[Effect]:
    """Return an optimizer's effects on the sizes seen, as far as it was run there."""
    found = []
    for size in far.seen:
        if (arm, size, multiple) not in far.loss or ("adamw", size, multiple) not in far.loss:
            continue
        slope = far.slope(size, multiple)
        d, se = far.gain(arm, size, multiple), MARIN_NOISE * math.sqrt(2)
        position = far.decades(far.seen[0], size) * math.log(10)
        shared = MARIN_NOISE / slope
        found.append(Effect(size, position, 1, 0, 1, d, se, d / slope, se / slope, shared))
    return found
