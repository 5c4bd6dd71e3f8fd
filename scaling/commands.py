"""The commands of ``python -m scaling``: each turns a table of runs into a report."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.compare_arms import Gain, arm_of, compare
from scaling.design import PlannedRung, design
from scaling.fit.bootstrap import Ensemble, paired_runs, resample, variance_components
from scaling.fit.form_fit import fit_form
from scaling.fit.status import FitStatus
from scaling.forecast import Forecast
from scaling.isoflop import Frontier, parabola_frontier, surface_frontier
from scaling.law.form import Form
from scaling.options import form_of, load, objective, points, target, x_role
from scaling.report.figures import (
    draw_comparison,
    draw_fit,
    draw_forecast,
    draw_isoflop,
    draw_plans,
)
from scaling.report.report import Report, Sheet, write_count, write_interval, write_number
from scaling.table.columns import ColumnRole
from scaling.table.read import TableError
from scaling.table.run_table import RunTable
from scaling.weighted_forecast import Extrapolation, extrapolate

Array = NDArray[np.float64]


def fit_command(options: Namespace) -> Report:
    """Fit one law and say what it is worth."""
    table, form, scales, ensemble = _fitted(options)
    fit = ensemble.fit
    rows = tuple(
        (name, write_number(value), write_interval(*ensemble.interval(name), digits=6))
        for name, value in fit.parameters.items()
    )
    parts = variance_components(fit.residuals, _cells(scales), len(fit.theta))
    facts = (
        ("objective", f"{fit.objective:.10g} ({fit.loss.kind}, sum, delta {fit.loss.delta:g})"),
        ("scaled gradient", f"{fit.scaled_gradient:.1e}"),
        ("second basin", "none found" if fit.second_basin is None else f"{fit.second_basin:+.2%}"),
        ("rows, runs", f"{fit.n_runs}, {len(np.unique(table.run))}"),
        ("resamples", f"{len(ensemble.theta)}, {ensemble.converged_share:.2%} at their optimum"),
        ("residual sd", f"{np.std(fit.residuals):.3%}"),
        (
            "of seeds",
            f"{parts.seed_sd:.3%} ({parts.seed_df} degrees)"
            if parts.seed_df > 2
            else "no replicates",
        ),
        ("FLOPs", table.flops_rule),
    )
    lines = [f"{form.name}: L = {form.formula}", f"{fit.status}: {fit.status.advice}"]
    if form.has_floor and fit.status is FitStatus.FREE_FLOOR:
        lines.append("E is not identified here: read its interval, never its value")
    compute = _compute(table, scales)
    figure = draw_fit(ensemble, compute, x_name=_axis(table), title=f"{form.name}: {options.name}")
    sheets = (
        Sheet("parameters", ("parameter", "value", "95 % interval"), rows),
        Sheet("fit", ("what", "value"), facts),
    )
    series = {
        "loss": (compute.tolist(), table.loss.tolist()),
        "law": (compute.tolist(), fit(*scales).tolist()),
    }
    return Report(
        f"fit {options.name}", tuple(lines), sheets, _notes(table), figure, series, _axis(table)
    )


def forecast_command(options: Namespace) -> Report:
    """Forecast runs to come, or check forecasts against runs above a cut."""
    table = load(options)
    form = form_of(options.law, table)
    forms = ((form, 1.0),) if options.law else None
    scales = table.scales_for(form, x_role(options))
    compute = _compute(table, scales)
    below = compute < (options.below or np.inf)
    if options.below and not (below.any() and (~below).any()):
        raise TableError("bad-option", f"--below {options.below:g}: no rows on one of its sides")
    if not options.below and not options.at:
        raise TableError("bad-option", "say where: --at N,D (or --at C), or --below C to check")
    found = extrapolate(
        *(s[below] for s in scales),
        loss=table.loss[below],
        run=table.run[below],
        rng=np.random.default_rng(options.resample_seed),
        forms=forms,
        objective=objective(options),
        n=min(options.resamples, 400),
    )
    if options.below:
        where, came = tuple(s[~below] for s in scales), table.loss[~below]
    else:
        where = points(options.at, len(scales))
        came = np.full(len(where[0]), np.nan)
    rows = compute[below], table.loss[below]
    return _forecast_report(options, table, found, (where, came), rows)


def _forecast_report(
    options: Namespace,
    table: RunTable,
    found: Extrapolation,
    ahead: tuple[tuple[Array, ...], Array],
    below: tuple[Array, Array],
) -> Report:
    where, came = ahead
    both = (ColumnRole.PARAMETERS, ColumnRole.TOKENS)
    factor = _factor(table, tuple(table.scale(r) for r in both)) if len(where) == 2 else 1.0
    forecasts = found.forecast(*where, confidence=options.confidence)
    rows = tuple(
        _forecast_row(p, f, c)
        for p, f, c in zip(zip(*where, strict=True), forecasts, came, strict=True)
    )
    lines = [_record(forecasts, came)] if options.below else []
    lines += [
        f"noise of a run {found.noise_sd:.2%}, drift beyond the table {found.kappa:.2%} by nat"
    ]
    columns = ("scale", "forecast", f"{options.confidence:.0%} interval", "came", "hit")
    sheets = (Sheet("forecasts", columns, rows[:60]), _weights_sheet(found))
    values = np.array([(f.mean, f.low, f.high) for f in forecasts]).T
    x = np.prod(np.stack(where), axis=0) * factor
    figure = draw_forecast(
        _curve(found, below[0], x, options.confidence),
        below,
        (x, *values, came),
        x_name=_axis(table),
        title=f"forecast: {options.name}",
    )
    series = {"forecast": (x.tolist(), values[0].tolist())}
    series |= {"low": (x.tolist(), values[1].tolist()), "high": (x.tolist(), values[2].tolist())}
    series |= {"runs": (below[0].tolist(), below[1].tolist())}
    return Report(
        f"forecast {options.name}", tuple(lines), sheets, _notes(table), figure, series,
        _axis(table),
    )  # fmt: skip


def compare_command(options: Namespace) -> Report:
    """Say how much compute of the baseline an arm is worth."""
    table = load(options)
    ours, theirs = table.arm(options.baseline), table.arm(options.change)
    form = form_of(options.law, table)
    x = x_role(options)
    arms = [arm_of(part.scales_for(form, x), part.loss, _pairs(part)) for part in (ours, theirs)]
    scales = arms[1].scales
    goal = target(options, scales)
    found = compare(
        *arms,
        form=form,
        target=goal,
        rng=np.random.default_rng(options.resample_seed),
        confidence=options.confidence,
        objective=objective(options),
    )
    factor = _factor(theirs, tuple(scales)) if len(scales) == 2 else 1.0
    gains = [_rescaled(gain, factor) for gain in found.by_scale]
    at_target = _rescaled(found.target, factor)
    rows = tuple(_gain_row(f"{g.compute:.4g}", g) for g in gains)
    rows += (_gain_row(f"target {at_target.compute:.4g}", at_target),)
    share = f"{options.confidence:.0%} interval"
    columns = (_axis(table), "log multiplier", share, "multiplier", "runs")
    slope = found.slope
    lines = (
        f"{options.change} against {options.baseline}, read off the baseline's {form.name} law "
        f"({found.baseline.status}); positive is better",
        f"the gain changes by {slope.mean:+.4f} {write_interval(slope.low, slope.high, 3)} per nat",
    )
    shown = replace(found, by_scale=tuple(gains), target=at_target)
    figure = draw_comparison(
        shown, x_name=_axis(table), title=f"{options.change} / {options.baseline}",
        confidence=options.confidence,
    )  # fmt: skip
    series = {options.change: ([g.compute for g in gains], [g.multiplier for g in gains])}
    return Report(
        f"compare {options.name}", lines, (Sheet("gains", columns, rows),), _notes(theirs), figure,
        series, _axis(table),
    )  # fmt: skip


def isoflop_command(options: Namespace) -> Report:
    """Find the compute-optimal parameters and tokens, by surface and by parabolas."""
    options.law = options.law or "hoffmann"
    table, form, scales, ensemble = _fitted(options)
    if form.n_scales != 2:
        raise TableError("no-law", f"isoflop needs a law of N and D, not '{form.name}'")
    factor = _factor(table, scales)
    flops = _compute(table, scales)
    rng = np.random.default_rng(options.resample_seed)
    warnings = list(_notes(table))
    frontiers: list[Frontier] = []
    try:
        frontiers = [parabola_frontier((scales[0], scales[1]), table.loss, flops, table.run, rng)]
    except ValueError as error:
        warnings.append(str(error))
    held = [o.flops for f in frontiers for o in f.optima]
    budgets = sorted({*options.budget, *held})
    budgets = budgets or np.geomspace(flops.min(), flops.max(), 5).tolist()
    frontiers.insert(0, surface_frontier(ensemble, np.array(budgets), flops_per_nd=factor))
    sheets = tuple(_frontier_sheet(frontier) for frontier in frontiers)
    lines = [f"{ensemble.fit.status}: {ensemble.fit.status.advice}"]
    lines += [
        f"{f.method}: N ~ C^{write_number(f.a[0], 4)} {write_interval(*f.a[1:], digits=4)}, "
        f"D ~ C^{write_number(f.b[0], 4)} {write_interval(*f.b[1:], digits=4)}"
        for f in frontiers
    ]
    figure = draw_isoflop(
        (scales[0], flops, table.loss), tuple(frontiers), title=f"isoflop: {options.name}"
    )
    series = {
        f"optimal N, {f.method}": (
            [o.flops for o in f.optima],
            [o.parameters[0] for o in f.optima],
        )
        for f in frontiers
    }
    return Report(f"isoflop {options.name}", tuple(lines), sheets, tuple(warnings), figure, series)


def design_command(options: Namespace) -> Report:
    """Find the cheapest rungs and seeds that resolve a gain."""
    table, form, scales, ensemble = _fitted(options)
    if form.n_scales != 1:
        raise TableError("no-law", "design needs a law of one scale: --law power")
    fit = ensemble.fit
    levels = np.unique(np.round(np.log(scales[0]), 1))
    if len(levels) > 5:
        levels = levels[np.linspace(0, len(levels) - 1, 5).round().astype(int)]
    parts = variance_components(fit.residuals, _cells(scales), len(fit.theta))
    noise = options.noise or (parts.seed_sd if parts.seed_df >= 3 else float(np.std(fit.residuals)))
    rungs = tuple(
        PlannedRung(
            float(c), float(-np.log(fit(c * 1.01) / fit(c))[0] / np.log(1.01)), noise, float(c)
        )
        for c in np.exp(levels)
    )
    goal = options.target or 10 * float(scales[0].max())
    plans = design(rungs, target=goal, gain=float(np.log(options.gain)), rho=options.rho,
                   confidence=options.confidence)  # fmt: skip
    columns = (*(f"{r.compute:.3g}" for r in rungs), "sd of gain", "power", "cost")
    rows = tuple(
        (*(str(s) for s in p.seeds), f"{p.gain_sd:.4f}", f"{p.power:.0%}", f"{p.cost:.3g}")
        for p in plans
    )
    reached = plans[0].power >= 0.8
    lines = (
        f"to resolve a gain of {options.gain:g}x at {goal:.3g}, seeds by rung for each arm;"
        f" noise of a run {noise:.3%}, seeds correlated {options.rho:g}",
        "cheapest first" if reached else "no plan reaches a power of 80 %: the best are shown",
    )
    figure = draw_plans(rungs, plans, title=f"design: {options.name}", x_name=_axis(table))
    return Report(
        f"design {options.name}", lines, (Sheet("plans", columns, rows),), _notes(table), figure
    )


def _fitted(options: Namespace) -> tuple[RunTable, Form, tuple[Array, ...], Ensemble]:
    table = load(options)
    form = form_of(options.law, table)
    scales = table.scales_for(form, x_role(options))
    fit = fit_form(form, *scales, loss=table.loss, objective=objective(options), n_polished=12)
    rng = np.random.default_rng(options.resample_seed)
    return table, form, scales, resample(fit, options.resamples, rng, run=table.run)


def _compute(table: RunTable, scales: tuple[Array, ...]) -> Array:
    """Return FLOPs, or the one scale there is."""
    return table.scale(ColumnRole.FLOPS) if len(scales) == 2 else scales[0]


def _axis(table: RunTable) -> str:
    return {"flops": "FLOPs"}.get(table.main_scale, str(table.main_scale))


def _factor(table: RunTable, scales: tuple[Array, ...]) -> float:
    """Return FLOPs per parameter and token."""
    return float(np.median(table.scale(ColumnRole.FLOPS) / (scales[0] * scales[1])))


def _cells(scales: tuple[Array, ...]) -> list[str]:
    return [" ".join(f"{v:.3g}" for v in row) for row in zip(*scales, strict=True)]


def _notes(table: RunTable) -> tuple[str, ...]:
    held = [f"{note.code}: {note.text}" for note in table.notes]
    arms = sorted(table.frame["arm"].unique().to_list())
    if len(arms) > 1:
        held.append(f"arms: {len(arms)} arms lie in one table ({', '.join(arms[:6])}): --only ARM")
    return tuple(held)


def _pairs(table: RunTable) -> NDArray[np.str_]:
    """Return the names to resample by: seeds of one scale are shared between arms."""
    seed = "seed" if "seed" in table.frame.columns else None
    return paired_runs(table.run, _named(table, seed) if seed else None)


def _named(table: RunTable, seed: str) -> list[str]:
    held = [
        c
        for c in (ColumnRole.PARAMETERS, ColumnRole.TOKENS, ColumnRole.FLOPS)
        if c in table.frame.columns
    ]
    frame = table.frame.select(
        *(pl.col(c).map_elements(lambda v: f"{v:.3g}", pl.String) for c in held), seed
    )
    return [" ".join(str(v) for v in row) for row in frame.iter_rows()]


def _forecast_row(point: tuple[float, ...], forecast: Forecast, came: float) -> tuple[str, ...]:
    where = ", ".join(f"{v:.4g}" for v in point)
    hit = "" if np.isnan(came) else ("hit" if forecast.contains(came) else "miss")
    seen = "" if np.isnan(came) else write_number(came, 6)
    return (
        where,
        write_number(forecast.mean, 6),
        write_interval(forecast.low, forecast.high, 5),
        seen,
        hit,
    )


def _record(forecasts: list[Forecast], came: Array) -> str:
    hits = [f.contains(float(c)) for f, c in zip(forecasts, came, strict=True)]
    missed = np.abs(np.log(came / np.array([f.mean for f in forecasts])))
    return (
        f"{sum(hits)} of {len(hits)} runs above the cut fell into their intervals "
        f"({np.mean(hits):.0%}); mean error {missed.mean():.2%}, worst {missed.max():.2%}"
    )


def _weights_sheet(found: Extrapolation) -> Sheet:
    rows = tuple(
        (
            m.fit.form.name,
            f"{m.weight:.2f}",
            "" if m.held_out_error is None else f"{m.held_out_error:.2%}",
            str(m.fit.status),
        )
        for m in found.members
    )
    return Sheet("forms", ("form", "weight", "error on held-out rungs", "status"), rows)


def _curve(
    found: Extrapolation, compute: Array, x: Array, confidence: float
) -> tuple[Array, Array, Array, Array]:
    empty = np.empty(0)
    if found.best.form.n_scales == 2:
        return empty, empty, empty, empty
    at = np.geomspace(compute.min(), max(x.max(), compute.max()), 100)
    rows = found.forecast(at, confidence=confidence)
    return at, *np.array([(f.mean, f.low, f.high) for f in rows]).T


def _rescaled(gain: Gain, factor: float) -> Gain:
    return replace(gain, compute=gain.compute * factor)


def _gain_row(where: str, gain: Gain) -> tuple[str, ...]:
    return (
        where,
        f"{gain.mean:+.4f}",
        f"[{gain.low:+.4f}, {gain.high:+.4f}]",
        f"{gain.multiplier:.4f}x",
        str(gain.n_runs),
    )


def _frontier_sheet(frontier: Frontier) -> Sheet:
    rows = tuple(
        (
            f"{o.flops:.3g}",
            *(
                f"{write_count(v[0])} [{write_count(v[1])}, {write_count(v[2])}]"
                for v in (o.parameters, o.tokens)
            ),
            f"{o.loss[0]:.4f} {write_interval(*o.loss[1:])}",
            f"{o.tokens[0] / o.parameters[0]:.3g}",
        )
        for o in frontier.optima
    )
    columns = ("FLOPs", "parameters", "tokens", "loss", "D / N")
    return Sheet(f"optimum by {frontier.method}", columns, rows)
