"""A study as polars tables: trials, effects, changes, forecasts."""

from pathlib import Path

import polars as pl

from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.study_effects import Analysis

TRIALS = {
    "identity": pl.String,
    "arm": pl.String,
    "rung": pl.String,
    "scale": pl.Float64,
    "seed": pl.Int64,
    "state": pl.String,
    "cause": pl.String,
    "value": pl.Float64,
    "sealed": pl.Float64,
    "seconds": pl.Float64,
    "cost": pl.Float64,
    "memory_gb": pl.Float64,
    "reason": pl.String,
}
EFFECTS = {
    "arm": pl.String,
    "title": pl.String,
    "rung": pl.String,
    "scale": pl.Float64,
    "n": pl.Int64,
    "n_pairs": pl.Int64,
    "n_baseline": pl.Int64,
    "loss_gain": pl.Float64,
    "loss_se": pl.Float64,
    "gain": pl.Float64,
    "gain_se": pl.Float64,
    "forecast": pl.Float64,
    "forecast_low": pl.Float64,
    "forecast_high": pl.Float64,
}
CHANGES = {
    "arm": pl.String,
    "title": pl.String,
    "category": pl.String,
    "kind": pl.String,
    "proposer": pl.String,
    "is_control": pl.Boolean,
    "base": pl.String,
    "outcome": pl.String,
    "status": pl.String,
    "gain": pl.Float64,
    "gain_low": pl.Float64,
    "gain_high": pl.Float64,
    "odds": pl.Float64,
    "rungs": pl.Int64,
    "price": pl.Float64,
    "commit": pl.String,
    "reasons": pl.String,
}


def trials(ladder: Ladder, state: StudyState) -> pl.DataFrame:
    """Return one row a trial, in the order asked for; ``value`` in the objective's unit."""
    rows = []
    for (arm, rung), seeds in state.trials.requests.items():
        for seed, identity in seeds.items():
            result = state.trials.results.get(identity)
            if result is None:
                continue
            rows.append(
                {
                    "identity": identity,
                    "arm": arm,
                    "rung": rung,
                    "scale": ladder.rung(rung).scale,
                    "seed": seed,
                    "state": str(result.state),
                    "cause": str(result.cause),
                    "value": result.value,
                    "sealed": result.metrics.get("sealed_bpb"),
                    "seconds": result.seconds,
                    "cost": state.trials.costs[identity],
                    "memory_gb": result.metrics.get("peak_memory_gb"),
                    "reason": result.reason,
                }
            )
    return pl.DataFrame(rows, schema=TRIALS)


def effects(ladder: Ladder, state: StudyState) -> pl.DataFrame:
    """Return one row a change and rung; positive is better, gains in nats of compute."""
    analysis = Analysis(ladder, state)
    rows = []
    for arm, record in state.changes.items():
        for effect in analysis.effects(record.proposed):
            forecast = state.forecasts.get((arm, effect.rung))
            rows.append(
                {
                    "arm": arm,
                    "title": record.change.title,
                    "rung": effect.rung,
                    "scale": ladder.rung(effect.rung).scale,
                    "n": effect.n,
                    "n_pairs": effect.n_pairs,
                    "n_baseline": effect.n_baseline,
                    "loss_gain": effect.loss_gain,
                    "loss_se": effect.loss_se,
                    "gain": effect.gain,
                    "gain_se": effect.gain_se,
                    "forecast": forecast.mean if forecast else None,
                    "forecast_low": forecast.low if forecast else None,
                    "forecast_high": forecast.high if forecast else None,
                }
            )
    return pl.DataFrame(rows, schema=EFFECTS)


def changes(state: StudyState) -> pl.DataFrame:
    """Return one row a change with its verdict; gains in nats of compute at the target."""
    rows = []
    for arm, record in state.changes.items():
        verdict, change = record.verdict, record.change
        look = verdict.gain_forecast if verdict else None
        rows.append(
            {
                "arm": arm,
                "title": change.title,
                "category": change.category,
                "kind": str(change.kind),
                "proposer": change.proposer,
                "is_control": change.is_control,
                "base": record.base,
                "outcome": str(verdict.outcome) if verdict else "in flight",
                "status": str(record.status),
                "gain": look.mean if look else None,
                "gain_low": look.low if look else None,
                "gain_high": look.high if look else None,
                "odds": look.odds if look else None,
                "rungs": len(verdict.effects) if verdict else None,
                "price": verdict.price if verdict else None,
                "commit": record.commit or None,
                "reasons": "; ".join(verdict.reasons) if verdict else "",
            }
        )
    return pl.DataFrame(rows, schema=CHANGES)


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
