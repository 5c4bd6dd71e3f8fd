"""The figures of the command line: runs, law, band, what came, residuals; drawn with matplotlib."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling.compare_arms import Comparison
from scaling.design import LadderPlan, PlannedRung
from scaling.fit.bootstrap import Ensemble
from scaling.isoflop import Frontier, flops_rule, surface_frontier
from scaling.present.axes import house_style, new_figure, round_number
from scaling.present.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

Array = NDArray[np.float64]
_COLOURS = "viridis"
_INK, _LAW, _TARGET, _FAINT = (LIGHT[name] for name in ("ink", "blue", "orange", "faint"))


def _panels(n: int) -> tuple["Figure", list["Axes"]]:
    """Return a figure of n panels; the first is the tallest."""
    heights = [3.0, *[1.3] * (n - 1)]
    figure = new_figure(7.4, 1.55 * sum(heights))
    axes = figure.subplots(n, 1, height_ratios=heights, squeeze=False)[:, 0]
    return figure, list(axes)


@house_style()
def draw_fit(ensemble: Ensemble, compute: Array, *, x_name: str, title: str) -> "Figure":
    """Draw runs, law and band over compute, and the residuals under them.

    A surface is drawn as its compute-optimal frontier and one curve through each size measured.
    """
    figure, (top, below) = _panels(2)
    fit = ensemble.fit
    loss = np.exp(fit.problem.y)
    if fit.form.n_scales == 1:
        curve = np.geomspace(compute.min() / 1.6, compute.max() * 4, 120)
        draws = ensemble.predict(curve)
        _band(top, curve, np.quantile(draws, [0.025, 0.975], axis=0))
        top.plot(curve, fit(curve), color=_LAW, lw=1.8, label=fit.form.formula)
        top.plot(
            compute, loss, "o", ms=4.5, mfc=LIGHT["paper"], mec=_INK, mew=1, label="runs", zorder=4
        )
    else:
        _draw_surface(figure, top, ensemble, compute, loss)
    _log_axes(top, "", "loss", title)
    top.tick_params(labelbottom=False)
    top.legend(loc="upper right")
    _residuals(below, compute, fit.residuals, top.get_xlim(), x_name)
    return figure


def _draw_surface(
    figure: "Figure", axes: "Axes", ensemble: Ensemble, compute: Array, loss: Array
) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    fit = ensemble.fit
    n, d = np.exp(fit.problem.x + fit.centre[:, None])
    norm = LogNorm(n.min(), n.max())
    cells = np.geomspace(n.min(), n.max(), 6)
    rule = flops_rule(n, d, compute)
    for size in cells:
        near = np.abs(np.log(n / size)) < 0.5
        span = compute[near] if near.any() else compute
        curve = np.geomspace(span.min(), span.max() * 1.5, 60)
        colour = colormaps[_COLOURS](norm(size))
        axes.plot(
            curve, fit(np.full(60, size), curve / (rule(np.log(size)) * size)), color=colour, lw=1
        )
    budgets = np.geomspace(compute.min(), compute.max() * 4, 40)
    frontier = surface_frontier(ensemble, budgets, rule=rule)
    edges = np.array([o.loss for o in frontier.optima]).T
    _band(axes, budgets, edges[1:])
    axes.plot(budgets, edges[0], color=_LAW, lw=2, label="compute-optimal")
    points = axes.scatter(
        compute, loss, c=n, norm=norm, cmap=_COLOURS, s=16, edgecolors="white", lw=0.4, zorder=4
    )
    bar = figure.colorbar(points, ax=axes, pad=0.01, aspect=30, format=_plain_ticks())
    bar.set_label("parameters")


@house_style()
def draw_forecast(
    bands: tuple[Array, Array, Array, Array],
    below: tuple[Array, Array],
    came: tuple[Array, Array, Array, Array, Array],
    *,
    x_name: str,
    title: str,
) -> "Figure":
    """Draw runs, forecasts with intervals against what came, and the misses.

    ``bands`` holds x, mean, low, high of a curve (empty for a surface), ``below`` x and loss of the
    runs fitted, ``came`` x, mean, low, high and the loss measured (NaN where there is none).
    """
    measured = np.isfinite(came[4])
    figure, (top, *misses) = _panels(2 if measured.any() else 1)
    curve, mean, low, high = bands
    if len(curve):
        _band(top, curve, np.array([low, high]))
        top.plot(curve, mean, color=_LAW, lw=1.6, label="law")
    top.plot(*below, "o", ms=4.5, mfc=LIGHT["paper"], mec=_INK, mew=0.9, label="runs fitted")
    x, mean, low, high, loss = came
    bars = np.array([mean - low, high - mean])
    top.errorbar(x, mean, yerr=bars, fmt="none", ecolor=_LAW, alpha=0.45, lw=1.2, zorder=2,
                 label="forecast, 95 %")  # fmt: skip
    if measured.any():
        top.plot(x[measured], loss[measured], "D", ms=3.6, color=_TARGET, label="what came")
    else:
        top.plot(x, mean, "D", ms=5, color=_TARGET, label="forecast")
    _log_axes(top, x_name, "loss", title)
    top.legend(loc="upper right")
    for axes in misses:
        top.tick_params(labelbottom=False)
        top.set_xlabel("")
        half = np.log(high / low) / 2 * 100
        axes.errorbar(x, 0 * x, yerr=half, fmt="none", ecolor=_LAW, alpha=0.45, lw=1.2)
        missed = 100 * np.log(loss[measured] / mean[measured])
        axes.plot(x[measured], missed, "D", ms=3.4, color=_TARGET)
        axes.axhline(0, color=_INK, lw=0.8)
        axes.set(xscale="log", xlim=top.get_xlim(), xlabel=x_name)
        axes.set_ylabel("came less\nforecast, %")
        _finish(axes)
    return figure


@house_style()
def draw_comparison(found: Comparison, *, x_name: str, title: str, confidence: float) -> "Figure":
    """Draw the compute multiplier by scale and at the target, with intervals."""
    figure, (axes,) = _panels(1)
    share = f"{confidence:.0%}".replace("%", " %")
    for gains, colour, mark, label in (
        (found.by_scale, _INK, "o", f"measured, {share}"),
        ((found.target,), _TARGET, "D", "at the target"),
    ):
        x = [g.compute for g in gains]
        mean = np.exp([g.mean for g in gains])
        ends = np.exp([[g.low, g.high] for g in gains]).T
        bars = np.maximum(np.array([mean - ends[0], ends[1] - mean]), 0)
        axes.errorbar(x, mean, yerr=bars, fmt=mark, ms=5, color=colour, capsize=3, label=label)
    axes.axhline(1, color=_FAINT, lw=1)
    axes.set(xscale="log", xlabel=x_name, ylabel="compute multiplier")
    axes.set_title(title)
    axes.legend()
    _finish(axes)
    return figure


@house_style()
def draw_isoflop(
    runs: tuple[Array, Array, Array], frontiers: tuple[Frontier, ...], *, title: str
) -> "Figure":
    """Draw loss over parameters by budget with the optima, and N and D over budgets."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    from scaling.isoflop import budget_rows

    figure, (top, below) = _panels(2)
    n, flops, loss = runs
    norm = LogNorm(flops.min(), flops.max() * 1.01)
    groups = budget_rows(flops)
    for rows in groups:
        order = rows[np.argsort(n[rows])]
        colour = colormaps[_COLOURS](norm(flops[rows].mean()))
        line = "-" if len(groups) < 20 else ""
        top.plot(n[order], loss[order], line, marker="o", ms=3.5, lw=0.8, color=colour)
    scale = ScalarMappable(norm, _COLOURS)
    figure.colorbar(scale, ax=top, pad=0.01, aspect=30, format=_plain_ticks()).set_label("FLOPs")
    marks = {"surface": ("*", _TARGET), "parabola": ("P", _LAW)}
    for frontier in frontiers:
        mark, colour = marks[frontier.method]
        size = np.array([o.parameters for o in frontier.optima]).T
        value = [o.loss[0] for o in frontier.optima]
        top.plot(size[0], value, mark, ms=10, mec="white", mew=0.6, color=colour, zorder=5,
                 label=f"optimum, {frontier.method}")  # fmt: skip
        budget = [o.flops for o in frontier.optima]
        label = f"{frontier.method}: N ~ C^{frontier.a[0]:.3f}"
        below.plot(budget, size[0], mark + "-", ms=7, lw=1.2, color=colour, label=label)
        below.fill_between(budget, size[1], size[2], color=colour, alpha=0.15, lw=0)
    _log_axes(top, "parameters", "loss", title)
    top.legend(loc="upper right")
    below.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel="optimal N")
    below.legend()
    _finish(below)
    return figure


def _band(axes: "Axes", x: Array, edges: Array) -> None:
    axes.fill_between(x, edges[0], edges[1], color=_LAW, alpha=0.18, lw=0, label="95 % interval")


def _residuals(
    axes: "Axes", x: Array, residual: Array, limits: tuple[float, float], x_name: str
) -> None:
    axes.axhline(0, color=_INK, lw=0.8)
    axes.plot(x, 100 * residual, "o", ms=3, color=_LAW, alpha=0.7)
    axes.set(xscale="log", xlim=limits, xlabel=x_name)
    axes.set_ylabel("residual, %")
    _finish(axes)


def _log_axes(axes: "Axes", x_name: str, y_name: str, title: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set(xscale="log", yscale="log", xlabel=x_name, ylabel=y_name)
    axes.set_title(title)
    _finish(axes)
    axes.set_yticks(_round_ticks(*axes.get_ylim()))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes: "Axes") -> None:
    """Draw a grid, and write powers of ten as the tables do."""
    from matplotlib.ticker import LogFormatter

    axes.grid(color=_FAINT, lw=0.6, zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(_plain_ticks())
            axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))


def _plain_ticks() -> "FuncFormatter":
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: round_number(value))


def _round_ticks(low: float, high: float) -> Array:
    """Return about six round numbers between two bounds."""
    step = (high - low) / 6
    size = 10 ** np.floor(np.log10(step))
    step = size * min((1, 2, 2.5, 5, 10), key=lambda m: abs(m * size - step))
    return np.asarray(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step)


@house_style()
def draw_plans(
    rungs: tuple[PlannedRung, ...], plans: list[LadderPlan], *, title: str, x_name: str
) -> "Figure":
    """Draw the seeds by rung of the best plans."""
    figure, (axes,) = _panels(1)
    for i, plan in enumerate(plans):
        x = np.array([r.compute for r in rungs]) * 1.05 ** (i - len(plans) / 2)
        label = f"{plan.cost:.3g}: power {plan.power:.0%}"
        axes.vlines(x, 0, plan.seeds, lw=5, alpha=0.85, color=f"C{i}", label=label)
    axes.set(xscale="log", xlabel=x_name, ylabel="seeds of each arm")
    axes.set_title(title)
    axes.legend(title="cost")
    _finish(axes)
    return figure
