"""Figures of laws; matplotlib is imported when one is drawn."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.fit.ladder_fit import Fit
from scaling.forecast import forecast_band, forecast_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _LAW, _TARGET, _FAINT = "#1f2933", "#1b6ca8", "#c4501b", "#9aa5b1"


def plot_law(
    fit: Fit,
    points: tuple[ArrayLike, ArrayLike],
    *,
    target: float | None = None,
    target_name: str = "target",
    noise_sd: float = 0.0,
    confidence: float = 0.8,
    title: str = "",
    compute_name: str = "compute",
    loss_name: str = "loss",
) -> "Figure":
    """Draw runs, their law with its interval, and the forecast at the target.

    Parameters
    ----------
    fit : Fit
        The law and its ensemble.
    points : tuple of array-like
        Compute and loss of every run.
    target : float, optional
        Compute at which to mark the forecast.
    target_name, title, compute_name, loss_name : str
        Words; units belong into the names of the axes.
    noise_sd, confidence : float
        As for :func:`scaling.forecast_loss`.

    Returns
    -------
    Figure
        Belongs to no window; save it with ``figure.savefig``.
    """
    from matplotlib.figure import Figure

    compute, loss = (np.atleast_1d(np.asarray(values, float)) for values in points)
    figure = Figure(figsize=(7.0, 4.6), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    ends = np.array([compute.min(), compute.max(), target or compute.max()])
    curve = np.geomspace(ends.min() / 1.6, ends.max() * 1.6, 160)
    low, high = forecast_band(fit, curve, noise_sd=noise_sd, confidence=confidence)
    share = f"{confidence:.0%}".replace("%", " %")
    axes.fill_between(curve, low, high, color=_LAW, alpha=0.16, lw=0, label=f"{share} interval")
    _draw_law(axes, fit, curve, compute.max())
    axes.plot(compute, loss, "o", ms=5.5, mfc="white", mec=_INK, mew=1.2, label="runs", zorder=4)
    if target is not None:
        forecast = forecast_loss(fit, target, noise_sd=noise_sd, confidence=confidence)
        _draw_target(axes, target, target_name, (forecast.mean, forecast.low, forecast.high))
    _dress(axes, compute_name, loss_name, title)
    return figure


def _draw_law(axes: "Axes", fit: Fit, curve: NDArray[np.float64], measured: float) -> None:
    """Draw the law, solid where it was measured and dashed beyond."""
    law = fit.law
    text = f"$L = {law.E:.3g} + A\\,C^{{-{law.alpha:.3f}}}$ ({fit.status})"
    inside = curve[curve <= measured * 1.02]
    beyond = curve[curve >= measured]
    axes.plot(inside, law(inside), color=_LAW, lw=1.8, label=text)
    axes.plot(beyond, law(beyond), color=_LAW, lw=1.8, ls=(0, (4, 2)))


def _draw_target(
    axes: "Axes", target: float, name: str, forecast: tuple[float, float, float]
) -> None:
    mean, low, high = forecast
    axes.axvline(target, color=_TARGET, lw=0.9, ls=":", zorder=1)
    axes.errorbar(
        target,
        mean,
        yerr=[[max(mean - low, 0)], [max(high - mean, 0)]],
        fmt="D",
        ms=6,
        color=_TARGET,
        capsize=4,
        lw=1.6,
        zorder=5,
        label=f"{name}: {mean:.4g} [{low:.4g}, {high:.4g}]",
    )


def _dress(axes: "Axes", compute_name: str, loss_name: str, title: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log", xlabel=compute_name, ylabel=loss_name)
    axes.set_title(title, loc="left", fontsize=11, color=_INK, fontweight="bold")
    low, high = axes.get_ylim()
    if high / low > 8:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.set_yticks(_round_ticks(low, high))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.grid(color=_FAINT, alpha=0.35, lw=0.6)
    axes.tick_params(colors=_INK, labelsize=9, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="best")


def _round_ticks(low: float, high: float) -> NDArray[np.float64]:
    """Return about six round numbers between two bounds."""
    step = (high - low) / 6
    size = 10 ** np.floor(np.log10(step))
    step = size * min((1, 2, 2.5, 5, 10), key=lambda m: abs(m * size - step))
    return np.asarray(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step)
