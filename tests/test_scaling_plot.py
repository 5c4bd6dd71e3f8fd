"""The figure of a law holds what a reader needs."""

import io

import numpy as np
import pytest

from scaling import PowerLaw, fit_power_law
from scaling.report.law_plot import plot_law


@pytest.mark.parametrize("n_scales", [1, 2, 3, 5])
def test_a_figure_names_law_interval_runs_and_target(n_scales: int) -> None:
    compute = np.repeat(10.0 ** np.arange(n_scales), 2)
    loss = PowerLaw(E=1.0, A=2.0, alpha=0.2)(compute)
    figure = plot_law(
        fit_power_law(compute, loss), (compute, loss), target=1e7, target_name="d5", title="t"
    )
    figure.savefig(io.BytesIO())
    words = " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert all(word in words for word in ("80 % interval", "runs", "d5", "$L ="))
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
