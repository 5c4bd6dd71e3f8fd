"""What a tracker is told of a study, as plain rows; the journal stays the truth."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.setting.trial import TrialResult
from scaling import bound_gain, compute_multiple, forecast_band, forecast_loss
from transfer.events import Accepted, Event, Request, VerdictReached
from transfer.journal.change_counts import count_changes
from transfer.journal.change_record import ChangeStatus
from transfer.journal.spending import added
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.report.findings import Findings
from transfer.report.plots.scaling_plot import baseline_runs
from transfer.report.proposer_accounts import accounts

Record = dict[str, Any]
CURVE_POINTS = 40
"""Most rows of a trial's curve that are sent on."""


@dataclass(frozen=True)
class TrialCard:
    """One trial as a run of its own: what it was, where its curve lies, what came."""

    identity: str
    name: str
    tags: tuple[str, ...]
    config: Record
    summary: Record
    curve: Path


def trial_card(
    ladder: Ladder, state: StudyState, request: Request, result: TrialResult, trials: Path
) -> TrialCard:
    """Describe an ended trial; ``trials`` is the study's folder of trials."""
    rung, proposed = ladder.rung(request.rung), state.changes.get(request.arm)
    config: Record = {
        "arm": request.arm,
        "rung": request.rung,
        "seed": request.seed,
        "scale": rung.scale,
        **{f"rung.{name}": value for name, value in rung.params.items()},
    }
    if proposed is not None:
        config |= {"title": proposed.change.title, "kind": str(proposed.change.kind)}
        config |= {f"knob.{name}": value for name, value in proposed.change.knobs.items()}
    summary: Record = {
        "state": str(result.state),
        "cause": str(result.cause),
        "seconds": result.seconds,
        **{name: value for name, value in result.metrics.items() if math.isfinite(value)},
    }
    if result.value is not None:
        summary[ladder.setting.objective.name] = result.value
    else:
        summary["reason"] = result.reason[-500:]
    return TrialCard(
        identity=request.identity,
        name=re.sub(r"[^\w.-]+", "-", f"{request.arm}-{request.rung}-s{request.seed}"),
        tags=(f"rung:{request.rung}", f"arm:{request.arm}", str(result.state)),
        config=config,
        summary=summary,
        curve=trials / request.identity / "metrics.jsonl",
    )


def curve(path: Path) -> list[Record]:
    """Read a trial's curve, thinned to :data:`CURVE_POINTS` rows; the last one is kept.

    Lines that are no JSON objects, and values that are no finite numbers, are left out.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    thinned = lines[:: -max(1, math.ceil(len(lines) / CURVE_POINTS))][::-1]
    return [row for row in map(_curve_row, thinned) if row]


def _curve_row(line: bytes) -> Record:
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        f"train/{name}": value
        for name, value in data.items()
        if name != "steps" and isinstance(value, int | float) and math.isfinite(value)
    }


def history(events: Iterable[Event]) -> list[Record]:
    """Return one row a verdict or accept, on the axis of trials."""
    state, rows = StudyState(), []
    for event in events:
        state.apply(event)
        if isinstance(event, VerdictReached | Accepted):
            rows.append(history_row(state, event))
    return rows


def history_row(state: StudyState, event: VerdictReached | Accepted) -> Record:
    """Return where a study stands just after an event; gains in nats of compute."""
    forecasts = [state.verdict(arm).gain_forecast for arm in state.changes.accepted]
    row: Record = {
        **_counts(state),
        "study/judged": len(state.changes.judged),
        "study/multiplier": compute_multiple(
            math.fsum(forecast.mean for forecast in forecasts if forecast)
        ),
    }
    if isinstance(event, VerdictReached) and event.gain_forecast is not None:
        row |= {
            "study/gain": bound_gain(event.gain_forecast.mean),
            "study/odds": event.gain_forecast.odds,
        }
    return row


def _counts(state: StudyState) -> Record:
    """Return how far a study is and what it cost; of models only where one was called."""
    counts, total = count_changes(state), added(state.spending.values())
    row = {
        "study/trials": len(state.trials.results),
        "study/changes": counts.n_tried,
        "study/rescreens": counts.n_rescreens,
        "study/accepted": counts.n_accepted,
        "study/taken_back": counts[ChangeStatus.TAKEN_BACK],
        "study/spent": state.spent,
    }
    if total.calls:
        row |= {"models/calls": total.calls, "models/tokens": total.tokens}
        row |= {"models/usd": total.usd} if total.is_priced else {}
        row |= {"models/calls_of_unknown_price": total.unpriced} if total.unpriced else {}
    return row


def scaling_rows(findings: Findings) -> list[Record]:
    """Return law, band, runs and target as rows on the axis ``scaling/compute``."""
    fit, ladder = findings.fit, findings.ladder
    if fit is None:
        return []
    value = ladder.setting.objective.value
    low_end = ladder.rungs[0].scale
    grid = np.geomspace(low_end, max(ladder.target, low_end * 1.001), 40)
    lows, highs = forecast_band(fit, grid)
    rows: list[Record] = []
    for compute, low, high in zip(grid, lows, highs, strict=True):
        ends = sorted((value(float(low)), value(float(high))))
        rows.append(
            {
                "scaling/compute": float(compute),
                "scaling/law": value(float(fit.law(float(compute)))),
                "scaling/band_low": ends[0],
                "scaling/band_high": ends[1],
            }
        )
    for base in findings.state.bases:
        for compute, run in zip(*baseline_runs(findings, base), strict=True):
            rows.append({"scaling/compute": float(compute), f"scaling/runs_{base}": float(run)})
    at_target = forecast_loss(fit, ladder.target)
    rows.append({"scaling/compute": ladder.target, "scaling/target": value(at_target.mean)})
    if findings.stack is not None:
        moved = float(fit.law(ladder.target * compute_multiple(findings.stack.mean)))
        moved += at_target.mean - float(fit.law(ladder.target))
        rows.append({"scaling/compute": ladder.target, "scaling/target_accepted": value(moved)})
    return rows


def summary(findings: Findings) -> Record:
    """Return the study's figures, each with its interval."""
    state, fit, stack = findings.state, findings.fit, findings.stack
    figures_by_name: Record = {
        **_counts(state),
        "study/refused_though_better_at_lowest_rung": len(findings.refuted),
        "forecasts/n": len(findings.scored),
        "forecasts/hits": findings.n_hits,
    }
    for status, n in count_changes(state).by_status.items():
        figures_by_name[f"verdicts/{status.name.lower()}"] = n
    if fit is not None:
        at_target = forecast_loss(fit, findings.ladder.target)
        value = findings.ladder.setting.objective.value
        ends = sorted((value(at_target.low), value(at_target.high)))
        figures_by_name |= {
            "fit/E": value(fit.law.E),
            "fit/A": fit.law.A,
            "fit/alpha": fit.law.alpha,
            "fit/status": str(fit.status),
            "fit/n_runs": fit.n_runs,
            "fit/n_scales": fit.n_scales,
            "fit/target": value(at_target.mean),
            "fit/target_low": ends[0],
            "fit/target_high": ends[1],
        }
    if stack is not None and findings.unit.per_nat:
        figures_by_name["stack/gain"] = stack.mean * findings.unit.per_nat
        figures_by_name |= {"stack/gain_unit": findings.unit.name, "stack/odds": stack.odds}
    elif stack is not None:
        figures_by_name |= {
            "stack/multiplier": compute_multiple(stack.mean),
            "stack/multiplier_low": compute_multiple(stack.low),
            "stack/multiplier_high": compute_multiple(stack.high),
            "stack/odds": stack.odds,
        }
    for account in accounts(findings.ladder, state):
        for one in account.foresight:
            figures = dataclasses.asdict(one)
            where = f"expected/{account.proposer}/{figures.pop('where')}"
            figures_by_name |= {f"{where}/{name}": value for name, value in figures.items()}
    return figures_by_name
