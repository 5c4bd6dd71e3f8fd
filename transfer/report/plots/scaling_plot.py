"""The picture of a study's law: baseline runs, band, target, and what accepted changes add."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miniscale.setting.trial import Transform
from scaling import Fit, FitStatus, compute_multiple, forecast_band, forecast_loss
from scaling.present.axes import find_limits, new_figure, set_compute_axis, write_note
from scaling.present.palette import LIGHT
from transfer.measure.trend import Z80
from transfer.report.findings import ChangeGroup, Findings
from transfer.report.plots.study_axes import set_rung_axis
from transfer.units import times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


def baseline_runs(findings: Findings, base: str) -> tuple[Array, Array]:
    """Return scale and objective, in its own unit, of a baseline's runs."""
    ladder = findings.ladder
    runs = [
        (rung.scale, result.value)
        for rung in ladder.rungs
        for result in findings.state.trials.losses(base, rung.name).values()
        if result.value is not None
    ]
    table = np.array(runs, float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def scaling(findings: Findings) -> "Figure":
    """Draw the baseline's law above, and below what lies off it, in compute."""
    fit, ladder = findings.fit, findings.ladder
    drawn = new_figure(9.0, 5.4)
    if fit is None:
        return write_note(drawn, "No baseline run yet, so no law.")
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[1.45, 1])
    _law_panel(upper, findings, fit)
    _rest_panel(lower, findings, fit)
    set_rung_axis(lower, ladder, with_scales=True)
    upper.tick_params(axis="x", length=0)
    lower.set_xlabel(f"{ladder.scale_name}, {ladder.unit}")
    better = "lower" if ladder.setting.objective.is_minimized else "higher"
    upper.set_ylabel(f"{ladder.setting.objective.name} ({better} is better)")
    lower.set_ylabel("worth in compute\n(up is better)")
    return drawn


def _curve(findings: Findings) -> tuple[Array, Array]:
    """Return computes to draw the law at, and their positions."""
    ladder = findings.ladder
    last = max(ladder.position(ladder.target), 1e-3)
    x = np.linspace(-0.03 * last, 1.03 * last, 80)
    return ladder.rungs[0].scale * np.exp(x), x


def _law_panel(axes: "Axes", findings: Findings, fit: Fit) -> None:
    ladder = findings.ladder
    bases = list(findings.state.bases)
    seen: list[float] = []
    for base in bases:
        compute, value = baseline_runs(findings, base)
        seen += value.tolist()
        is_first = base == bases[0]
        axes.plot(
            [ladder.position(c) for c in compute],
            value,
            "o" if is_first else "s",
            ms=5,
            mfc=LIGHT["paper"],
            mec=LIGHT["ink" if is_first else "green"],
            mew=1.2,
            zorder=4,
            label=f"{base}: {'first baseline' if is_first else 'accepted stack'}, each run",
        )
    if fit.status is not FitStatus.NOT_DECREASING:
        seen += _draw_law(axes, findings, fit)
        seen += _draw_target(axes, findings, fit)
    else:
        axes.set_title(f"No law: {fit.status}", color=LIGHT["red"])
    spread = max(max(seen) - min(seen), 1e-9 + 1e-3 * abs(max(seen)))
    axes.set_ylim(min(seen) - 0.08 * spread, max(seen) + 0.08 * spread)
    axes.grid(axis="y", color=LIGHT["faint"], lw=0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper right" if ladder.setting.objective.is_minimized else "lower right")


def _shown(findings: Findings, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return losses as values of the metric."""
    value = findings.ladder.setting.objective.value
    return np.array([value(float(loss)) for loss in losses])


def _form_words(findings: Findings) -> str:
    """Say what the law is of: the metric itself, its negative or its transform."""
    objective = findings.ladder.setting.objective
    if objective.transform is not Transform.NONE:
        return f"E + A·C^−α of {objective.transform}"
    return "E + A·C^−α" if objective.is_minimized else "−(E + A·C^−α)"


def _draw_law(axes: "Axes", findings: Findings, fit: Fit) -> list[float]:
    """Draw the law, solid where measured, with its band; return what must be in view."""
    compute, x = _curve(findings)
    low, high = forecast_band(fit, compute)
    axes.fill_between(
        x,
        _shown(findings, low),
        _shown(findings, high),
        color=LIGHT["blue"],
        alpha=0.15,
        lw=0,
        label="80 % band",
    )
    law = fit.law
    top = max(scale.compute for scale in fit.scales) * 1.001
    inside = compute <= top
    form, values = _form_words(findings), _shown(findings, law(compute))
    floor = "open" if fit.status is FitStatus.FREE_FLOOR else f"{law.E:.3g}"
    words = f"{form}: E {floor}, A {law.A:.3g}, α {law.alpha:.3f} ({fit.status})"
    solid = "-" if fit.status.is_law else (0, (1, 1.5))
    axes.plot(x[inside], values[inside], color=LIGHT["blue"], ls=solid, label=words)
    axes.plot(x[~inside], values[~inside], color=LIGHT["blue"], ls=(0, (4, 2)), zorder=2)
    return [float(values[0])]


def _draw_target(axes: "Axes", findings: Findings, fit: Fit) -> list[float]:
    ladder = findings.ladder
    at = ladder.position(ladder.target)
    axes.axvline(at, color=LIGHT["faint"], lw=1, zorder=0)
    forecast = forecast_loss(fit, ladder.target, noise_sd=findings.target_noise)
    value = ladder.setting.objective.value
    mean, ends = value(forecast.mean), sorted((value(forecast.low), value(forecast.high)))
    axes.vlines(at, ends[0], ends[1], color=LIGHT["blue"], lw=2)
    words = f"one run at {ladder.target_name}: {mean:.4g} [{ends[0]:.4g}, {ends[1]:.4g}]"
    axes.plot(at, mean, "D", ms=6, color=LIGHT["blue"], label=words, zorder=5)
    stack = findings.stack
    if stack is None:
        return [*ends, mean]
    law = fit.law
    shift = forecast.mean - float(law(ladder.target))
    low, centre, high = (
        value(float(law(ladder.target * compute_multiple(gain))) + shift)
        for gain in (stack.low, stack.mean, stack.high)
    )
    axes.vlines(at, min(low, high), max(low, high), color=LIGHT["green"], lw=2)
    words = f"with the accepted stack: {centre:.4g} [{min(low, high):.4g}, {max(low, high):.4g}]"
    axes.plot(at, centre, "D", ms=6, color=LIGHT["green"], label=words, zorder=6)
    return [*ends, mean, low, high]


def _rest_panel(axes: "Axes", findings: Findings, fit: Fit) -> None:
    """Draw what lies off the law, in nats of compute."""
    if fit.status is FitStatus.NOT_DECREASING:
        axes.text(
            0.5,
            0.5,
            fit.status.advice,
            transform=axes.transAxes,
            ha="center",
            va="center",
            wrap=True,
            color=LIGHT["muted"],
        )
        axes.set_yticks([])
        return
    compute, x = _curve(findings)
    low, high = forecast_band(fit, compute)
    slope = np.array([fit.law.slope(c) for c in compute])
    middle = fit.law(compute)
    axes.fill_between(
        x, (middle - high) / slope, (middle - low) / slope, color=LIGHT["blue"], alpha=0.15, lw=0
    )
    seen = _draw_rest(axes, findings, fit)
    seen.append(max(float((middle[-1] - high[-1]) / slope[-1]), -1.0))
    seen += _draw_accepted(axes, findings)
    stack = findings.stack
    set_compute_axis(axes, *find_limits(seen, most=max(1.2, stack.high if stack else 0.0)))


def _draw_accepted(axes: "Axes", findings: Findings) -> list[float]:
    """Draw what accepted changes showed on the rungs, and the stack's forecast."""
    green, seen = LIGHT["green"], []
    for row in findings.of(ChangeGroup.ACCEPTED):
        x = [effect.position for effect in row.effects]
        y = [effect.gain for effect in row.effects]
        half = [Z80 * effect.gain_se for effect in row.effects]
        axes.errorbar(
            x, y, yerr=half, color=green, lw=1, marker="o", ms=4, alpha=0.75, elinewidth=0.9
        )
        seen += [g + s * h for g, h in zip(y, half, strict=True) for s in (-1, 1)]
        _label(axes, row.arm, (x[-1], y[-1]), is_left=False)
    stack = findings.stack
    if stack is not None:
        at = findings.ladder.position(findings.ladder.target)
        axes.vlines(at, stack.low, stack.high, color=green, lw=2)
        axes.plot(at, stack.mean, "D", ms=6, color=green, zorder=5)
        _label(axes, f"stack {times(stack.mean)}", (at, stack.mean), is_left=True)
        seen += [stack.low, stack.high]
    return seen


def _label(axes: "Axes", text: str, at: tuple[float, float], *, is_left: bool) -> None:
    axes.annotate(
        text,
        at,
        xytext=(-8 if is_left else 5, 0),
        textcoords="offset points",
        ha="right" if is_left else "left",
        va="center",
        weight="bold" if is_left else "normal",
        fontsize=8.5 if is_left else 7.5,
        color=LIGHT["green"],
    )


def _draw_rest(axes: "Axes", findings: Findings, fit: Fit) -> list[float]:
    """Draw every baseline run off the law; return their gains."""
    ladder, law = findings.ladder, fit.law
    loss = ladder.setting.objective.loss
    seen: list[float] = []
    for number, base in enumerate(findings.state.bases):
        compute, value = baseline_runs(findings, base)
        gain = [(law(c) - loss(v)) / law.slope(c) for c, v in zip(compute, value, strict=True)]
        axes.plot(
            [ladder.position(c) for c in compute],
            gain,
            "s" if number else "o",
            ms=4.5,
            mfc=LIGHT["paper"],
            mec=LIGHT["green" if number else "ink"],
            mew=1.1,
            zorder=4,
        )
        seen += gain
    return seen
