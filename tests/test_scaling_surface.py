"""Fits of forms: the published Chinchilla optimum, planted laws, derivatives, invariances."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_coordinates import coordinates_of

from scaling import FitObjective, FitStatus, LossKind, fit_form
from scaling.fit.bootstrap import resample, resample_weights, variance_components
from scaling.fit.newton import Problem, polish
from scaling.law.form import Form
from scaling.law.law_catalogue import COUPLED, HOFFMANN, LAWS, POWER, TIED

PUBLISHED = {"A": 477.826, "B": 2143.417, "E": 1.817218, "alpha": 0.347310, "beta": 0.367172}
OBJECTIVE = 0.001018274018
SHOWN = {"A": 5e-4, "B": 5e-4, "E": 5e-7, "alpha": 1e-6, "beta": 1e-6}
"""Half the last digit published; the exponents' last digit was cut off, not rounded."""


def chinchilla() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path = Path(__file__).parent / "data" / "chinchilla" / "svg_extracted_data.csv"
    table = pl.read_csv(path).sort("loss", descending=True)[5:]
    n, c = table["Model Size"].to_numpy(), table["Training FLOP"].to_numpy()
    return n, c / (6 * n), table["loss"].to_numpy()


N, D, LOSS = chinchilla()


def published_starts() -> np.ndarray:
    """Return the grid of Hoffmann et al., appendix D.2, as (a, b, e, alpha, beta)."""
    wide, narrow = np.arange(0, 26, 5.0), np.arange(0, 2.1, 0.5)
    return np.array(list(itertools.product(wide, wide, np.arange(-1, 1.1, 0.5), narrow, narrow)))


def as_coordinates(starts: np.ndarray, centre: np.ndarray) -> np.ndarray:
    a, b, e, alpha, beta = starts.T
    return np.stack([e, a - alpha * centre[0], b - beta * centre[1], alpha, beta], axis=1)


def test_the_published_chinchilla_optimum_comes_out_digit_by_digit() -> None:
    fit = fit_form(HOFFMANN, N, D, loss=LOSS)
    assert fit.n_runs == 240
    assert fit.status is FitStatus.CONVERGED
    for name, value in PUBLISHED.items():
        assert fit.parameters[name] == pytest.approx(value, abs=SHOWN[name])
    assert fit.objective == pytest.approx(OBJECTIVE, rel=1e-9)
    assert fit.scaled_gradient < 1e-8
    assert all(digits in str(fit) for digits in ("477.8259", "2143.417", "1.817218", "0.3473105"))


def test_it_is_reached_from_hoffmanns_values_where_others_stop_early() -> None:
    own = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    best = fit_form(HOFFMANN, N, D, loss=LOSS)
    start = coordinates_of(HOFFMANN, own, best.centre)
    fit = fit_form(HOFFMANN, N, D, loss=LOSS, starts=start)
    np.testing.assert_allclose(fit.theta, best.theta, rtol=1e-7)


@pytest.mark.level1
def test_it_is_reached_from_all_4500_published_starts() -> None:
    best = fit_form(HOFFMANN, N, D, loss=LOSS)
    raw = as_coordinates(published_starts(), best.centre)
    starts = HOFFMANN.project(raw, best.problem.y, best.problem.x)
    fit = fit_form(HOFFMANN, N, D, loss=LOSS, starts=starts)
    assert fit.start_objectives.shape == (4500,)
    np.testing.assert_allclose(fit.start_objectives, OBJECTIVE, rtol=1e-9)


@pytest.mark.level1
def test_the_published_intervals_of_4000_resamples_come_out() -> None:
    fit = fit_form(HOFFMANN, N, D, loss=LOSS)
    ensemble = resample(fit, 4000, np.random.default_rng(42))
    assert ensemble.converged_share >= 0.999
    assert ensemble.interval("E") == pytest.approx((1.769, 1.871), abs=0.01)
    assert ensemble.interval("alpha") == pytest.approx((0.317, 0.373), abs=0.005)
    assert ensemble.interval("beta") == pytest.approx((0.331, 0.415), abs=0.005)


PLANTED = {
    "power": {"E": 1.7, "A": 900.0, "alpha": 0.2},
    "no-offset": {"A": 30.0, "alpha": 0.05},
    "log-linear": {"c": 8.0, "b1": 0.13},
    "hoffmann": {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37},
    "tied": {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0},
    "coupled": {"E": 1.7, "A": 2e3, "B": 9e3, "alpha": 0.42, "beta": 0.43, "k": 0.8},
    "kaplan": {"Nc": 8.8e13, "Dc": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095},
    "surface-no-offset": {"A": 7.0, "alpha": 0.06, "B": 900.0, "beta": 0.3},
    "surface-log-linear": {"c": 8.6, "b1": 0.14, "b2": 0.13},
}


def scales_of(form: Form) -> tuple[np.ndarray, ...]:
    return (6 * N * D,) if form.n_scales == 1 else (N, D)


def planted(form: Form) -> np.ndarray:
    x = np.log(np.stack(scales_of(form)))
    theta = coordinates_of(form, PLANTED[form.name], np.zeros(len(x)))
    return np.exp(form.log_loss(theta[None], x)[0])


@pytest.mark.parametrize("form", LAWS.values(), ids=lambda form: form.name)
def test_every_law_comes_back_from_the_losses_it_makes(form: Form) -> None:
    fit = fit_form(form, *scales_of(form), loss=planted(form), n_polished=4)
    np.testing.assert_allclose(fit(*scales_of(form)), planted(form), rtol=1e-7)
    for name, value in PLANTED[form.name].items():
        assert fit.parameters[name] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("form", LAWS.values(), ids=lambda form: form.name)
def test_derivatives_are_those_of_the_value(form: Form) -> None:
    fit = fit_form(form, *scales_of(form), loss=LOSS)
    theta, x = fit.theta[None] + 0.03, fit.problem.x
    at = form.evaluate(theta, x)
    np.testing.assert_allclose(at.log_loss, form.log_loss(theta, x), rtol=1e-12)
    for p, step in enumerate(1e-6 * np.eye(theta.shape[1])):
        numeric = (form.log_loss(theta + step, x) - form.log_loss(theta - step, x)) / 2e-6
        np.testing.assert_allclose(at.jacobian[:, p], numeric, atol=1e-7)
    push = np.random.default_rng(0).normal(size=(1, len(LOSS)))
    analytic = form.curvature(theta, x, push, at)
    np.testing.assert_allclose(analytic, Form.curvature(form, theta, x, push, at), atol=1e-5)


@pytest.mark.parametrize("form", LAWS.values(), ids=lambda form: form.name)
def test_printed_parameters_and_coordinates_undo_each_other(form: Form) -> None:
    fit = fit_form(form, *scales_of(form), loss=LOSS)
    np.testing.assert_allclose(
        coordinates_of(form, fit.parameters, fit.centre), fit.theta, atol=1e-8
    )


@pytest.mark.parametrize("kind", LossKind)
def test_no_loss_finds_anything_better_by_looking_around(kind: LossKind) -> None:
    fit = fit_form(HOFFMANN, N, D, loss=LOSS, objective=FitObjective(kind))
    rng = np.random.default_rng(1)
    size = 10.0 ** rng.uniform(-6, -1, (500, 1))
    around = fit.theta + size * rng.standard_normal((500, 5))
    residual = fit.problem.y - HOFFMANN.log_loss(around, fit.problem.x)
    assert (fit.loss.value(residual, np.ones((1, 240))) > fit.objective * (1 - 1e-7)).all()


@settings(max_examples=25, deadline=None)
@given(unit=st.floats(1e-12, 1e12), size=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_units_and_the_order_of_rows_do_not_matter(unit: float, size: float, seed: int) -> None:
    plain = fit_form(HOFFMANN, N, D, loss=LOSS)
    order = np.random.default_rng(seed).permutation(len(N))
    other = fit_form(HOFFMANN, N[order] * unit, D[order], loss=LOSS[order] * size)
    assert other.parameters["E"] == pytest.approx(plain.parameters["E"] * size, rel=1e-6)
    assert other.parameters["alpha"] == pytest.approx(plain.parameters["alpha"], rel=1e-6)
    assert other.parameters["A"] == pytest.approx(
        plain.parameters["A"] * size * unit ** plain.parameters["alpha"], rel=1e-4
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_resample_is_the_fit_to_its_own_rows(seed: int) -> None:
    fit = fit_form(HOFFMANN, N, D, loss=LOSS)
    ensemble = resample(fit, 1, np.random.default_rng(seed))
    rows = np.repeat(np.arange(240), ensemble.weight[0].astype(int))
    alone = fit_form(HOFFMANN, N[rows], D[rows], loss=LOSS[rows], n_polished=4)
    assert ensemble.objective[0] == pytest.approx(alone.objective, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(names=st.lists(st.sampled_from("abcdef"), min_size=4, max_size=30), seed=st.integers(0, 99))
def test_rows_of_a_run_are_drawn_together(names: list[str], seed: int) -> None:
    if len(set(names)) < 2:
        names = [*names, "g", "h"]
    weights = resample_weights(names, 20, np.random.default_rng(seed))
    for name in set(names):
        columns = weights[:, np.array(names) == name]
        assert (columns == columns[:, :1]).all()


def test_resampling_rows_of_a_run_apart_would_narrow_the_interval() -> None:
    rng = np.random.default_rng(3)
    shape = np.repeat(np.arange(20), 8)
    compute = np.geomspace(1e15, 1e19, 160)
    loss = (1.7 + 2e3 * compute**-0.21) * np.exp(0.01 * rng.standard_normal(20)[shape])
    fit = fit_form(POWER, compute, loss=loss)
    spread = [
        np.std(resample(fit, 300, rng, run=run).predict(1e20)) for run in (shape, np.arange(160))
    ]
    assert spread[0] > 1.5 * spread[1]


def test_tying_the_exponents_is_the_coupled_and_free_forms_limit() -> None:
    loss = planted(TIED)
    free, coupled = (fit_form(form, N, D, loss=loss) for form in (HOFFMANN, COUPLED))
    assert free.parameters["alpha"] == pytest.approx(free.parameters["beta"], rel=1e-5)
    assert coupled.parameters["k"] == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("compute", "loss", "status"),
    [
        ([1, 10], [4, 3], FitStatus.TOO_FEW_SCALES),
        ([1, 10, 100], [4, 3, 2.5], FitStatus.FREE_FLOOR),
        ([1, 10, 100, 1000, 1e4, 1e5], [32, 16, 8, 4, 2, 1.0], FitStatus.FLOOR_AT_BOUND),
        ([1, 2, 4, 8, 16], [2, 2.1, 2.2, 2.3, 2.4], FitStatus.NOT_DECREASING),
    ],
)
def test_a_form_says_what_its_fit_is_worth(
    compute: list[float], loss: list[float], status: FitStatus
) -> None:
    fit = fit_form(POWER, compute, loss=loss)
    assert fit.status is status
    assert fit.status.advice


def test_a_polish_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.fit.form_fit.polish", partial(polish, n_steps=1))
    assert fit_form(HOFFMANN, N, D, loss=LOSS).status is FitStatus.NOT_CONVERGED


def test_an_optimum_is_not_claimed_before_it_is_reached() -> None:
    best = fit_form(HOFFMANN, N, D, loss=LOSS)
    problem = Problem(HOFFMANN, best.problem.y, best.problem.x)
    done = polish(problem, best.theta[None] + 0.1, np.ones((1, 240)), (1e-3,), n_steps=2)
    assert not done.is_converged.any()


@pytest.mark.parametrize("loss", [-1.0, 0.0, np.nan, np.inf])
def test_losses_without_a_logarithm_are_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="leave out runs that diverged"):
        fit_form(POWER, [1, 10, 100], loss=[3, 2, loss])


def test_the_seeds_share_of_the_scatter_is_told_from_the_scales() -> None:
    rng = np.random.default_rng(5)
    scale = np.repeat(np.arange(300), 3)
    residual = 0.004 * rng.standard_normal(300)[scale] + 0.002 * rng.standard_normal(900)
    parts = variance_components(residual, scale)
    assert parts.seed_sd == pytest.approx(0.002, rel=0.15)
    assert parts.scale_sd == pytest.approx(0.004, rel=0.2)
    assert parts.sd(4) == pytest.approx(np.hypot(parts.scale_sd, parts.seed_sd / 2))
