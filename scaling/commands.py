"""The commands of ``python -m scaling``: each turns a table of runs into a report."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling.compare_arms import Gain, arm_of, compare
from scaling.design import PlannedRung, design
from scaling.fit.bootstrap import paired_runs, variance_components
from scaling.fit.status import FitStatus
from scaling.forecast import Forecast
from scaling.gain import bound_gain, is_off_scale
from scaling.isoflop import Frontier, parabola_frontier, surface_frontier
from scaling.options import Question, ask, load, objective, points, target
from scaling.report.figures import (
    draw_comparison,
    draw_fit,
    draw_forecast,
    draw_isoflop,
    draw_plans,
)
from scaling.report.report import UNKNOWN, Report, Sheet, write_count, write_interval, write_number
from scaling.table.columns import ColumnRole
from scaling.table.read import TableError
from scaling.table.run_table import RunTable
from scaling.weighted_forecast import Extrapolation, extrapolate

if TYPE_CHECKING:
    pass

Array = NDArray[np.float64]
NO_NOISE = (
    "no-noise: one run a scale, and no more scales than the law has parameters: how far seeds "
    "scatter is unknown, and with it every interval; give each arm two seeds at one scale"
)


def fit_command(options: Namespace) -> Report:
    """Fit one law and say what it is worth."""
    question = ask(options)
    ensemble, table, form = question.refit(), question.table, question.form
    fit = ensemble.fit
    rows = tuple(
        (name, write_number(value), write_interval(*ensemble.interval(name), digits=6))
        for name, value in fit.parameters.items()
    )
    parts = variance_components(fit.residuals, _cells(question.scales), len(fit.theta))
    is_replicated = parts.seed_df > 2
    seeds = f"{parts.seed_sd:.3%} ({parts.seed_df} degrees)" if is_replicated else "no replicates"
    facts = (
        ("objective", f"{fit.objective:.10g} ({fit.loss.kind}, sum, delta {fit.loss.delta:g})"),
        ("scaled gradient", f"{fit.scaled_gradient:.1e}"),
        ("second basin", "none found" if fit.second_basin is None else f"{fit.second_basin:+.2%}"),
        ("rows, runs", f"{fit.n_runs}, {len(np.unique(table.run))}"),
        ("resamples", f"{len(ensemble.theta)}, {ensemble.converged_share:.2%} at their optimum"),
        ("residual sd", f"{np.std(fit.residuals):.3%}"),
        ("of seeds", seeds),
        ("FLOPs", table.flops_rule),
    )
    lines = [f"{form.name}: L = {form.formula}", f"{fit.status}: {fit.status.advice}"]
    if form.has_floor and fit.status is FitStatus.FREE_FLOOR:
        lines.append("E is not identified here: read its interval, never its value")
    title = f"{form.name}: {options.name}"
    sheets = (
        Sheet("parameters", ("parameter", "value", "95 % interval"), rows),
        Sheet("fit", ("what", "value"), facts),
    )
    compute = question.compute
    series = {"loss": (compute, table.loss), "law": (compute, fit(*question.scales))}
    figure = draw_fit(ensemble, compute, x_name=question.axis, title=title)
    warnings = (NO_NOISE,) if any(row[2] == UNKNOWN for row in rows) else ()
    return question.report(lines, sheets, figure, series=series, warnings=warnings)


def forecast_command(options: Namespace) -> Report:
    """Forecast runs to come, or check forecasts against runs above a cut."""
    question = ask(options)
    table, scales = question.table, question.scales
    below = question.compute < (options.below or np.inf)
    if options.below and not (below.any() and (~below).any()):
        raise TableError("bad-option", f"--below {options.below:g}: no rows on one of its sides")
    if not options.below and not options.at:
        raise TableError("bad-option", "say where: --at N,D (or --at C), or --below C to check")
    ahead = extrapolate(
        *(s[below] for s in scales),
        loss=table.loss[below],
        run=table.run[below],
        rng=question.make_rng(),
        forms=((question.form, 1.0),) if options.law else None,
        objective=objective(options),
        n=min(options.resamples, 400),
    )
    if options.below:
        where, came = tuple(s[~below] for s in scales), table.loss[~below]
    else:
        where = points(options.at, len(scales))
        came = np.full(len(where[0]), np.nan)
    return _forecast_report(question, ahead, (where, came), below)


def _forecast_report(
    question: Question,
    ahead: Extrapolation,
    points_ahead: tuple[tuple[Array, ...], Array],
    below: NDArray[np.bool_],
) -> Report:
    options, (where, came) = question.options, points_ahead
    runs = question.compute[below], question.table.loss[below]
    forecasts = ahead.forecast(*where, confidence=options.confidence)
    rows = tuple(
        _forecast_row(p, f, c)
        for p, f, c in zip(zip(*where, strict=True), forecasts, came, strict=True)
    )
    lines = [_record(forecasts, came)] if options.below else []
    lines += [
        f"noise of a run {ahead.noise_sd:.2%}, drift beyond the table {ahead.kappa:.2%} by nat"
    ]
    columns = ("scale", "forecast", f"{options.confidence:.0%} interval", "came", "hit")
    sheets = (Sheet("forecasts", columns, rows[:60]), _weights_sheet(ahead))
    mean, low, high = np.array([(f.mean, f.low, f.high) for f in forecasts]).T
    x = question.compute_at(*where)
    figure = draw_forecast(
        _curve(ahead, runs[0], x, options.confidence),
        runs,
        (x, mean, low, high, came),
        x_name=question.axis,
        title=f"forecast: {options.name}",
    )
    series = {"forecast": (x, mean), "low": (x, low), "high": (x, high), "runs": runs}
    return question.report(lines, sheets, figure, series=series)


def compare_command(options: Namespace) -> Report:
    """Say how much compute of the baseline an arm is worth."""
    table = load(options)
    baseline, change = (
        ask(options, table.arm(name)) for name in (options.baseline, options.change)
    )
    arms = [arm_of(one.scales, one.table.loss, _pairs(one.table)) for one in (baseline, change)]
    where = target(options, arms[1].scales)
    comparison = compare(
        *arms,
        form=change.form,
        target=where,
        rng=change.make_rng(),
        confidence=options.confidence,
        objective=objective(options),
    )
    at = [np.array([x]) for x in where]
    factor = float((change.compute_at(*at) / np.prod(where)).item())
    gains, at_target = (
        tuple(replace(gain, compute=gain.compute * factor) for gain in part)
        for part in (comparison.by_scale, (comparison.target,))
    )
    rows = tuple(_gain_row(f"{g.compute:.4g}", g) for g in gains)
    rows += tuple(_gain_row(f"target {g.compute:.4g}", g) for g in at_target)
    share = f"{options.confidence:.0%} interval"
    columns = (change.axis, "log multiplier", share, "multiplier", "runs")
    slope = comparison.slope
    warnings = () if np.isfinite(comparison.target.low) else (NO_NOISE,)
    lines = (
        f"{options.change} against {options.baseline}, read off the baseline's "
        f"{change.form.name} law ({comparison.baseline.status}); positive is better",
        f"the gain changes by {slope.mean:+.4f} {write_interval(slope.low, slope.high, 3)} per nat",
    )
    shown = replace(comparison, by_scale=gains, target=at_target[0])
    title = f"{options.change} / {options.baseline}"
    figure = draw_comparison(shown, x_name=change.axis, title=title, confidence=options.confidence)
    curve = np.array([(g.compute, g.multiplier) for g in gains]).T
    series = {options.change: (curve[0], curve[1])}
    sheets = (Sheet("gains", columns, rows),)
    return change.report(lines, sheets, figure, series=series, warnings=warnings)


def isoflop_command(options: Namespace) -> Report:
    """Find the compute-optimal parameters and tokens, by surface and by parabolas."""
    options.law = options.law or "hoffmann"
    question = ask(options)
    if question.form.n_scales != 2:
        raise TableError("no-law", f"isoflop needs a law of N and D, not '{question.form.name}'")
    ensemble, table = question.refit(), question.table
    size, tokens = question.scales
    flops = question.compute
    warnings: list[str] = []
    frontiers: list[Frontier] = []
    try:
        frontiers = [
            parabola_frontier((size, tokens), table.loss, flops, table.run, question.make_rng())
        ]
    except ValueError as error:
        warnings.append(str(error))
    measured = [o.flops for f in frontiers for o in f.optima]
    budgets = sorted({*options.budget, *measured})
    budgets = budgets or np.geomspace(flops.min(), flops.max(), 5).tolist()
    surface = surface_frontier(ensemble, np.array(budgets), rule=question.flops_rule)
    frontiers.insert(0, surface)
    lines = [f"{ensemble.fit.status}: {ensemble.fit.status.advice}"]
    lines += [
        f"{f.method}: N ~ C^{write_number(f.a[0], 4)} {write_interval(*f.a[1:], digits=4)}, "
        f"D ~ C^{write_number(f.b[0], 4)} {write_interval(*f.b[1:], digits=4)}"
        for f in frontiers
    ]
    title = f"isoflop: {options.name}"
    figure = draw_isoflop((size, flops, table.loss), tuple(frontiers), title=title)
    optima = {f.method: np.array([(o.flops, o.parameters[0]) for o in f.optima]).T
              for f in frontiers}  # fmt: skip
    series = {f"optimal N, {name}": (curve[0], curve[1]) for name, curve in optima.items()}
    sheets = [_frontier_sheet(frontier) for frontier in frontiers]
    return question.report(lines, sheets, figure, series=series, warnings=warnings)


def design_command(options: Namespace) -> Report:
    """Find the cheapest rungs and seeds that resolve a gain."""
    question = ask(options)
    if question.form.n_scales != 1:
        raise TableError("no-law", "design needs a law of one scale: --law power")
    fit, scale = question.refit().fit, question.compute
    levels = np.unique(np.round(np.log(scale), 1))
    if len(levels) > 5:
        levels = levels[np.linspace(0, len(levels) - 1, 5).round().astype(int)]
    parts = variance_components(fit.residuals, _cells(question.scales), len(fit.theta))
    noise = options.noise or (parts.seed_sd if parts.seed_df >= 3 else float(np.std(fit.residuals)))
    rungs = tuple(
        PlannedRung(
            float(c), float(-np.log(fit(c * 1.01) / fit(c))[0] / np.log(1.01)), noise, float(c)
        )
        for c in np.exp(levels)
    )
    goal = options.target or 10 * float(scale.max())
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
    figure = draw_plans(rungs, plans, title=f"design: {options.name}", x_name=question.axis)
    return question.report(lines, (Sheet("plans", columns, rows),), figure)


def _cells(scales: tuple[Array, ...]) -> list[str]:
    return [" ".join(f"{v:.3g}" for v in row) for row in zip(*scales, strict=True)]


def _pairs(table: RunTable) -> NDArray[np.str_]:
    """Return the names to resample by: seeds of one scale are shared between arms."""
    if "seed" not in table.frame.columns:
        return paired_runs(table.run, None)
    roles = (ColumnRole.PARAMETERS, ColumnRole.TOKENS, ColumnRole.FLOPS)
    held = tuple(table.scale(role) for role in roles if role in table.frame.columns)
    cells = zip(_cells(held), table.frame["seed"], strict=True)
    return paired_runs(table.run, [f"{cell} {seed}" for cell, seed in cells])


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


def _weights_sheet(ahead: Extrapolation) -> Sheet:
    rows = tuple(
        (
            m.fit.form.name,
            f"{m.weight:.2f}",
            "" if m.held_out_error is None else f"{m.held_out_error:.2%}",
            str(m.fit.status),
        )
        for m in ahead.members
    )
    return Sheet("forms", ("form", "weight", "error on held-out rungs", "status"), rows)


def _curve(
    ahead: Extrapolation, compute: Array, x: Array, confidence: float
) -> tuple[Array, Array, Array, Array]:
    empty = np.empty(0)
    if ahead.best.form.n_scales == 2:
        return empty, empty, empty, empty
    at = np.geomspace(compute.min(), max(x.max(), compute.max()), 100)
    rows = ahead.forecast(at, confidence=confidence)
    return at, *np.array([(f.mean, f.low, f.high) for f in rows]).T


def _gain_row(where: str, gain: Gain) -> tuple[str, ...]:
    return (
        where,
        f"{bound_gain(gain.mean):+.4f}",
        write_interval(bound_gain(gain.low), bound_gain(gain.high)),
        "off the scale (over 1000x)" if is_off_scale(gain.mean) else f"{gain.multiplier:.4f}x",
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


COMMANDS: Mapping[str, Callable[[Namespace], Report]] = {
    "fit": fit_command,
    "forecast": forecast_command,
    "compare": compare_command,
    "isoflop": isoflop_command,
    "design": design_command,
}
"""Name on the command line -> what it does."""
