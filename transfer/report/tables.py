"""A study as polars tables, each column written once: for the report, CSV files and the tracker."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl

from miniscale.setting.trial import TrialResult
from scaling import bound_gain, compute_multiple
from transfer.events import Effect, ForecastMade, GainForecast
from transfer.journal.change_record import ChangeRecord
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.study_effects import Analysis
from transfer.measure.trend import Z80
from transfer.report.findings import Findings, ScoredForecast
from transfer.report.proposer_accounts import Account, ProposerCalibration, accounts

Row = TypeVar("Row")
Columns = Mapping[str, tuple[type[pl.DataType], Callable[[Row], object]]]
"""Name of a column -> its type, and its cell of a row."""


@dataclass(frozen=True)
class TrialRow:
    """One ended trial; ``scale`` is its rung's."""

    arm: str
    rung: str
    scale: float
    seed: int
    cost: float
    result: TrialResult


@dataclass(frozen=True)
class EffectRow:
    """One change on one rung, with what was forecast of it."""

    change: ChangeRecord
    scale: float
    effect: Effect
    forecast: ForecastMade | None


def _bounded(gain: float | None) -> float | None:
    """Return a forecast gain as it may be shown; None where there was no forecast."""
    return None if gain is None else bound_gain(gain)


TRIALS: Columns[TrialRow] = {
    "identity": (pl.String, lambda row: row.result.identity),
    "arm": (pl.String, lambda row: row.arm),
    "rung": (pl.String, lambda row: row.rung),
    "scale": (pl.Float64, lambda row: row.scale),
    "seed": (pl.Int64, lambda row: row.seed),
    "state": (pl.String, lambda row: str(row.result.state)),
    "cause": (pl.String, lambda row: str(row.result.cause)),
    "value": (pl.Float64, lambda row: row.result.value),
    "sealed": (pl.Float64, lambda row: row.result.metrics.get("sealed_bpb")),
    "seconds": (pl.Float64, lambda row: row.result.seconds),
    "cost": (pl.Float64, lambda row: row.cost),
    "memory_gb": (pl.Float64, lambda row: row.result.metrics.get("peak_memory_gb")),
    "reason": (pl.String, lambda row: row.result.reason),
}
"""``value`` in the objective's unit."""

EFFECTS: Columns[EffectRow] = {
    "arm": (pl.String, lambda row: row.change.proposed.arm),
    "title": (pl.String, lambda row: row.change.change.title),
    "rung": (pl.String, lambda row: row.effect.rung),
    "scale": (pl.Float64, lambda row: row.scale),
    "n": (pl.Int64, lambda row: row.effect.n),
    "n_pairs": (pl.Int64, lambda row: row.effect.n_pairs),
    "n_baseline": (pl.Int64, lambda row: row.effect.n_baseline),
    "loss_gain": (pl.Float64, lambda row: row.effect.loss_gain),
    "loss_se": (pl.Float64, lambda row: row.effect.loss_se),
    "gain": (pl.Float64, lambda row: row.effect.gain),
    "gain_se": (pl.Float64, lambda row: row.effect.gain_se),
    "gain_low": (pl.Float64, lambda row: bound_gain(row.effect.gain - Z80 * row.effect.gain_se)),
    "gain_high": (pl.Float64, lambda row: bound_gain(row.effect.gain + Z80 * row.effect.gain_se)),
    "forecast": (pl.Float64, lambda row: _bounded(getattr(row.forecast, "mean", None))),
    "forecast_low": (pl.Float64, lambda row: _bounded(getattr(row.forecast, "low", None))),
    "forecast_high": (pl.Float64, lambda row: _bounded(getattr(row.forecast, "high", None))),
}
"""Positive is better, gains in nats of compute; ends are of 80 % intervals."""


def _from_forecast(cell: Callable[[GainForecast], float]) -> Callable[[ChangeRecord], object]:
    """Return a cell of the gain that a verdict forecast; empty without one."""

    def read(row: ChangeRecord) -> object:
        forecast = row.verdict.gain_forecast if row.verdict else None
        return None if forecast is None else cell(forecast)

    return read


CHANGES: Columns[ChangeRecord] = {
    "arm": (pl.String, lambda row: row.proposed.arm),
    "title": (pl.String, lambda row: row.change.title),
    "category": (pl.String, lambda row: row.change.category),
    "kind": (pl.String, lambda row: str(row.change.kind)),
    "proposer": (pl.String, lambda row: row.change.proposer),
    "is_control": (pl.Boolean, lambda row: row.change.is_control),
    "base": (pl.String, lambda row: row.base),
    "outcome": (pl.String, lambda row: str(row.verdict.outcome) if row.verdict else "in flight"),
    "status": (pl.String, lambda row: str(row.status)),
    "gain": (pl.Float64, _from_forecast(lambda forecast: bound_gain(forecast.mean))),
    "gain_low": (pl.Float64, _from_forecast(lambda forecast: bound_gain(forecast.low))),
    "gain_high": (pl.Float64, _from_forecast(lambda forecast: bound_gain(forecast.high))),
    "multiplier": (pl.Float64, _from_forecast(lambda forecast: compute_multiple(forecast.mean))),
    "odds": (pl.Float64, _from_forecast(lambda forecast: forecast.odds)),
    "rungs": (pl.Int64, lambda row: len(row.verdict.effects) if row.verdict else None),
    "price": (pl.Float64, lambda row: row.verdict.price if row.verdict else None),
    "commit": (pl.String, lambda row: row.commit or None),
    "reasons": (pl.String, lambda row: "; ".join(row.verdict.reasons) if row.verdict else ""),
}
"""Gains in nats of compute at the target, ``multiplier`` the compute they are worth."""

DIFFS: Columns[ChangeRecord] = {
    "arm": (pl.String, lambda row: row.proposed.arm),
    "title": (pl.String, lambda row: row.change.title),
    "hypothesis": (pl.String, lambda row: row.change.hypothesis),
    "knobs": (pl.String, lambda row: json.dumps(dict(row.change.knobs))),
    "patch": (pl.String, lambda row: row.change.patch),
}

FORECASTS: Columns[ScoredForecast] = {
    "arm": (pl.String, lambda row: row.arm),
    "rung": (pl.String, lambda row: row.effect.rung),
    "predicted": (pl.Float64, lambda row: bound_gain(row.mean)),
    "low": (pl.Float64, lambda row: bound_gain(row.low)),
    "high": (pl.Float64, lambda row: bound_gain(row.high)),
    "came": (pl.Float64, lambda row: row.effect.gain),
    "hit": (pl.Boolean, lambda row: row.is_hit),
}

MODELS: Columns[Account] = {
    "proposer": (pl.String, lambda row: row.proposer),
    "calls": (pl.Int64, lambda row: row.spending.calls),
    "tokens": (pl.Int64, lambda row: row.spending.tokens),
    "usd": (pl.Float64, lambda row: row.spending.usd if row.spending.is_priced else None),
    "calls_of_unknown_price": (pl.Int64, lambda row: row.spending.unpriced),
    "seconds": (pl.Float64, lambda row: row.spending.seconds),
    "changes": (pl.Int64, lambda row: row.n_changes),
    "refused": (pl.Int64, lambda row: row.n_refused),
    "accepted": (pl.Int64, lambda row: row.n_accepted),
}

EXPECTED: Columns[tuple[str, ProposerCalibration]] = {
    "proposer": (pl.String, lambda row: row[0]),
    "where": (pl.String, lambda row: row[1].where),
    "n": (pl.Int64, lambda row: row[1].n),
    "expected": (pl.Float64, lambda row: row[1].expected),
    "came": (pl.Float64, lambda row: row[1].came),
    "error": (pl.Float64, lambda row: row[1].error),
    "n_clear": (pl.Int64, lambda row: row[1].n_clear),
    "n_right": (pl.Int64, lambda row: row[1].n_right),
}


def make_table(columns: Columns[Row], rows: Iterable[Row]) -> pl.DataFrame:
    """Return a table with one row for each of ``rows``."""
    return pl.DataFrame(
        [{name: cell(row) for name, (_, cell) in columns.items()} for row in rows],
        schema={name: kind for name, (kind, _) in columns.items()},
    )


def trial_table(ladder: Ladder, state: StudyState) -> pl.DataFrame:
    """Return one row an ended trial, in the order asked for."""
    ended, costs = state.trials.results, state.trials.costs
    rows = [
        TrialRow(arm, rung, ladder.rung(rung).scale, seed, costs[identity], ended[identity])
        for (arm, rung), seeds in state.trials.requests.items()
        for seed, identity in seeds.items()
        if identity in ended
    ]
    own = {name: (pl.Float64, _metric(name)) for name in ladder.setting.metrics}
    return make_table({**TRIALS, **own}, rows)


def _metric(name: str) -> Callable[[TrialRow], object]:
    """Return the cell of a metric that the setting names."""
    return lambda row: row.result.metrics.get(name)


def effect_table(ladder: Ladder, state: StudyState) -> pl.DataFrame:
    """Return one row a change and rung, as measured by now."""
    analysis, scale = Analysis(ladder, state), {rung.name: rung.scale for rung in ladder.rungs}
    rows = [
        EffectRow(record, scale[effect.rung], effect, state.forecasts.get((arm, effect.rung)))
        for arm, record in state.changes.items()
        for effect in analysis.effects(record.proposed)
    ]
    return make_table(EFFECTS, rows)


def change_table(state: StudyState) -> pl.DataFrame:
    """Return one row a change with its verdict, stacks among them."""
    return make_table(CHANGES, state.changes.values())


def tracked_tables(findings: Findings) -> dict[str, pl.DataFrame]:
    """Return the tables that a tracker shows by name; those of models only where one was asked."""
    ladder, state = findings.ladder, findings.state
    tables = {
        "verdicts": change_table(state),
        "rungs": effect_table(ladder, state),
        "forecasts": make_table(FORECASTS, findings.scored),
        "diffs": make_table(DIFFS, state.changes.values()),
    }
    if called := accounts(ladder, state):
        expected = [(account.proposer, each) for account in called for each in account.foresight]
        tables |= {"models": make_table(MODELS, called), "expected": make_table(EXPECTED, expected)}
    return tables


def write_results_tsv(ladder: Ladder, state: StudyState, path: Path) -> None:
    """Write ``results.tsv`` with autoresearch's columns, so that existing notebooks work.

    One row for each arm's mean on the lowest rung: commit, value, memory, status, description.
    """
    lowest = ladder.rungs[0].name
    rows = []
    for arm in [*state.bases, *state.changes]:
        done = state.trials.losses(arm, lowest)
        values = [result.value for result in done.values() if result.value is not None]
        memory = [result.metrics.get("peak_memory_gb", 0.0) for result in done.values()]
        if not done:
            continue
        record = state.changes.get(arm)
        commit = (record.commit if record else state.bases[arm]) or arm
        status = "discard" if record and not record.commit else "keep"
        rows.append(
            {
                "commit": commit[:7],
                ladder.setting.objective.name: sum(values) / len(values) if values else None,
                "memory_gb": max(memory, default=0.0),
                "status": status if values else "crash",
                "description": record.change.title if record else f"baseline {arm}",
            }
        )
    part = path.with_suffix(".part")
    pl.DataFrame(rows).write_csv(part, separator="\t", float_precision=6)
    part.rename(path)
