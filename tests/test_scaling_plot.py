"""The figure of a law holds what a reader needs."""

import numpy as np
import pytest

from scaling import fit_form, resample
from scaling.law.law_catalogue import POWER
from scaling.present.axes import render_png
from scaling.report.figures import draw_fit


@pytest.mark.parametrize("n_scales", [3, 5])
def test_a_figure_names_law_interval_and_runs(n_scales: int) -> None:
    compute = np.repeat(10.0 ** np.arange(n_scales), 2)
    fit = fit_form(POWER, compute, loss=1.0 + 2.0 * compute**-0.2)
    ensemble = resample(fit, 20, np.random.default_rng(1))
    figure = draw_fit(ensemble, compute, x_name="FLOPs", title="t")
    assert len(render_png(figure)) > 1000
    words = " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert all(word in words for word in ("95 % interval", "runs", POWER.formula))
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
