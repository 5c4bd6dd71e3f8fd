"""Public tables: read as their sources say, held out as claimed, scored as planted."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from public_tables.campaigns import choices, far_forecasts, learned_retention
from public_tables.campaigns_bowl import Campaign, climb, grid_of, regret_curve
from public_tables.public_readers import marin_runs, read_marin, read_tables
from public_tables.public_table import Table, measured, read_plain
from public_tables.replay import (
    Case,
    Forecaster,
    as_forecaster,
    by_trend,
    cases_of,
    conformal_factor,
    fixed,
    jackknife,
    score,
    score_tables,
)
from public_tables.replay_fading import fading_learned, marginal, priors
from public_tables.replay_forecasts import (
    LearnedDoubt,
    TemperedOdds,
    by_atoms,
    carried,
    likeliest_temperature,
    tempered,
)

from miniscale.setting.setting import Kind
from scaling import PowerLaw
from transfer.belief.posterior import Model
from transfer.events import Effect, GainForecast

DATA = Path(__file__).parent / "data"
LAW = PowerLaw(E=1.5, A=4.0, alpha=0.15)


def planted(name: str, rng: np.random.Generator, *, n_arms: int = 40, drift: float = 0.0) -> Table:
    """A table of gains that are constant but for a drift, on a known law; noise .01 nats."""
    loss, scales = {}, [10.0**i for i in range(4)]
    gains = {f"a{i}": rng.normal(0, 0.1) for i in range(n_arms)} | {"base": 0.0}
    slopes = {arm: drift * rng.normal() if arm != "base" else 0.0 for arm in gains}
    for x in scales:
        for arm, gain in gains.items():
            g = gain + slopes[arm] * math.log(x / scales[0]) + 0.01 * rng.normal()
            loss[arm, x, 0] = LAW(x * math.exp(g))
    return Table(name, name, "MIT", "base", loss, dict.fromkeys(gains, Kind.STRUCTURAL))


def test_marin_holds_what_its_authors_ran() -> None:
    runs = marin_runs(DATA / "marin_optimizers")
    assert runs["optimizer"].n_unique() == 12
    assert runs.height == 156
    tables = {t.name: t for t in read_marin(DATA / "marin_optimizers")}
    assert {len(tables[f"marin optimizers {c}x"].arms) for c in (1, 2, 4, 8)} == {11}
    assert len(tables["marin optimizers 1x"].scales) == 4


def test_a_published_gain_is_recomputed() -> None:
    table = next(t for t in read_marin(DATA / "marin_optimizers") if t.name.endswith("izers 8x"))
    top = measured(table).effects["muon"][-1]
    assert top.loss_gain == pytest.approx(2.752277 - 2.748363, abs=2e-6)
    assert top.position == pytest.approx(2 * math.log(9))


def test_gains_of_a_planted_law_are_recovered() -> None:
    x = [10.0**i for i in range(4)]
    loss = {("base", c, 0): LAW(c) for c in x} | {("a", c, 0): LAW(c * math.exp(0.2)) for c in x}
    table = Table("t", "t", "", "base", loss, {"a": Kind.STRUCTURAL})
    assert [e.gain for e in measured(table).effects["a"]] == pytest.approx([0.2] * 4, rel=0.05)


def test_a_source_without_a_licence_is_not_shipped(tmp_path: Path) -> None:
    rows = "arm,scale,seed,loss\nbaseline,1,0,3\nbaseline,9,0,2\na,1,0,2.9\na,9,0,\n"
    (tmp_path / "mine.csv").write_text(rows)
    table = read_plain(tmp_path / "mine.csv")[0]
    assert not table.is_shipped
    assert (table.n_failed, table.kinds["a"]) == (1, Kind.STRUCTURAL)
    (tmp_path / "SOURCE.md").write_text("- licence: MIT\n")
    assert read_plain(tmp_path / "mine.csv")[0].is_shipped
    (tmp_path / "SOURCE.md").write_text("- licence: none stated (paper: X)\n")
    assert not read_plain(tmp_path / "mine.csv")[0].is_shipped


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ("arm,scale,seed,loss\na,1,0,3\n", "no run of the baseline"),
        ("arm,scale,seed,loss\nbaseline,-1,0,3\n", "must be positive"),
        ("arm,scale,seed,loss,kind\nbaseline,1,0,3,magic\n", "must be one of"),
    ],
)
def test_a_bad_table_is_told_what_to_mend(rows: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(rows)
    with pytest.raises(ValueError, match=word):
        read_tables(tmp_path)


def test_a_folder_without_tables_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none in"):
        score_tables(tmp_path)


def test_a_stranger_s_table_is_scored_by_the_same_command(tmp_path: Path) -> None:
    table = planted("mine", np.random.default_rng(0))
    rows = [
        {"arm": "baseline" if arm == "base" else arm, "scale": x, "seed": s, "loss": value}
        for (arm, x, s), value in table.loss.items()
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "mine.csv")
    row = score_tables(tmp_path, gain_forecast=by_trend)[0]
    assert (row.name, row.n, row.is_shipped) == ("mine", 40 * 6, False)


def test_cases_never_hold_a_rung_at_or_above_the_truth() -> None:
    for table in read_tables(DATA):
        for case in cases_of(table)[0]:
            assert max(e.position for e in case.effects) < case.truth.position


def test_the_learner_never_sees_the_source_it_is_scored_on() -> None:
    rng = np.random.default_rng(1)
    seen: list[set[str]] = []

    def learner(cases: Sequence[Case]) -> Forecaster:
        others = {case.source for case in cases}
        seen.append(others)

        def forecast(case: Case) -> GainForecast:
            return carried(case) if case.source in others else as_forecaster(by_trend)(case)

        return forecast  # type: ignore[return-value]

    rows = score([planted(name, rng) for name in "abc"], learner)
    assert seen == [{"b", "c"}, {"a", "c"}, {"a", "b"}]
    own = score([planted("a", np.random.default_rng(1))], fixed(as_forecaster(by_trend)))
    assert rows[0].coverage == own[0].coverage


def test_a_source_s_factor_is_the_others_alone() -> None:
    rng = np.random.default_rng(2)
    wild, tame, other = planted("wild", rng, drift=0.2), planted("tame", rng), planted("x", rng)
    rows = {row.name: row for row in score([wild, tame, other], fixed(carried))}
    assert rows["tame"].factor > 2 * rows["wild"].factor
    again = {row.name: row for row in score([tame, other], fixed(carried))}
    assert again["tame"].factor == pytest.approx(rows["wild"].factor, rel=0.5)


def test_conformal_intervals_cover_as_stated_on_planted_data() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        past = {name: np.abs(rng.standard_t(4, 50)) for name in "ab"}
        factor = conformal_factor({name: list(rows) for name, rows in past.items()})
        covered.append(np.mean(np.abs(rng.standard_t(4, 200)) <= factor))
    assert np.mean(covered) == pytest.approx(0.8, abs=0.015)


def test_conformal_factor_never_narrows_and_weighs_sources_alike() -> None:
    assert conformal_factor({"a": [0.1] * 50}) == 1.0
    few, many = [3.0] * 10, [1.0] * 1000
    assert conformal_factor({"few": few, "many": many}) == 3.0


def test_jackknife_of_single_rows_is_the_standard_error() -> None:
    values = list(np.random.default_rng(4).normal(size=30))
    expected = np.std(values, ddof=1) / math.sqrt(30)
    assert jackknife(values, [str(i) for i in range(30)]) == pytest.approx(expected)


def test_doubt_is_learned_where_effects_drift() -> None:
    rng = np.random.default_rng(5)
    calm = cases_of(planted("calm", rng, n_arms=15))[0]
    wild = cases_of(planted("wild", rng, n_arms=15, drift=0.05))[0]
    learner = LearnedDoubt()
    assert learner.best(calm, Kind.STRUCTURAL).drift <= 0.015
    assert learner.best(wild, Kind.STRUCTURAL).drift >= 0.03
    assert learner.best(wild, Kind.HYPERPARAMETER).drift == 0.004


def test_the_threshold_s_precision_and_recall_are_counted() -> None:
    tables = [t for t in read_marin(DATA / "marin_optimizers") if "optimizers" in t.name]
    cases = [case for table in tables for case in cases_of(table)[0]]
    taken = [c.effects[-1].loss_gain > 0.004 for c in cases]
    right = [c.truth.gain > 0 for c in cases]
    hits = sum(a and b for a, b in zip(taken, right, strict=True))
    found = choices(cases, {})[0]
    assert found.precision == pytest.approx(hits / sum(taken))
    assert found.recall == pytest.approx(hits / sum(right))


def test_retention_of_planted_gains_is_learned() -> None:
    params = {"s": 1.0, "m": math.sqrt(10)}
    loss = {("adamw", s, 1): 3.0 for s in params}
    loss |= {
        (f"o{i}", s, 1): 3.0 - 0.01 * i * (0.6 if s == "m" else 1) for s in params for i in (1, 3)
    }
    assert learned_retention(loss, params, ("s", "m")) == pytest.approx(0.6)


def test_the_far_forecast_looks_at_nothing_at_the_target(tmp_path: Path) -> None:
    frame = pl.read_csv(DATA / "marin_optimizers" / "results_ablations.csv")
    shifted = frame.with_columns(
        min_loss=pl.col("min_loss") + pl.when(pl.col("size") == "1.2b").then(0.5).otherwise(0.0)
    )
    shifted.write_csv(tmp_path / "results_ablations.csv")
    seen: list[list[tuple[float, float]]] = []

    def spy(effects: Sequence[Effect], position: float, kind: Kind) -> GainForecast:
        seen[-1].append((effects[-1].gain, position))
        return by_atoms(effects, position, kind)

    for folder in (DATA / "marin_optimizers", tmp_path):
        seen.append([])
        rows = {(r.method, r.upto): r for r in far_forecasts(folder, {"spy": spy})}
    assert seen[0] == seen[1]
    assert rows["carried over", "300m"].error == pytest.approx(0.0099, abs=1e-4)
    assert rows["carried over", "300m"].compute == pytest.approx(0.0748, abs=1e-4)


def test_fading_is_learned_from_promotions_alone() -> None:
    rng = np.random.default_rng(8)
    models = [Model(prior=prior) for prior in priors()]

    def rows(kept: float) -> list[list[Effect]]:
        """Forty changes measured one decade apart, of which a share is kept."""
        gains = np.abs(rng.normal(0, 0.15, 40))
        return [
            [
                Effect(f"at {x}", x, 1, 1, 1, g, 0.005, g * share + 0.005 * rng.normal(), 0.005)
                for x, share in ((0.0, 1.0), (2.3, kept))
            ]
            for g in gains
        ]

    fades, stays = rows(0.5), rows(1.0)
    best = [max(range(4), key=lambda i, r=r: marginal(r, models[i])) for r in (fades, stays)]
    assert best == [2, 3]
    one_rung = [row[:1] for row in fades]
    look = fading_learned(one_rung)(one_rung[0], 5.0, Kind.STRUCTURAL)
    assert look == by_atoms(one_rung[0], 5.0, Kind.STRUCTURAL)


def bowl(rng: np.random.Generator) -> pl.DataFrame:
    """A bowl on five cells whose optimum moves by half an octave a cell."""
    rows = []
    for cell in range(5):
        n = 1e8 * 2.0**cell
        for step in range(-5, 7):
            for octave in range(5, 12):
                u, v = step / 2 + 0.5 * cell - 1.0, octave - 6 - 0.5 * cell
                loss = 3 - 0.2 * cell + 0.012 * u * u + 0.01 * v * v + 0.001 * rng.normal()
                rows.append({"N": n, "D": 20 * n, "step": step, "bs": 2**octave, "loss": loss})
    return pl.DataFrame(rows)


def test_the_climb_finds_a_drifting_optimum_within_its_budget() -> None:
    grid = grid_of(bowl(np.random.default_rng(6)), n=1.6e9, d=3.2e10)
    points = regret_curve(grid, (4.0, 8.0))
    assert all(point.cost <= budget for point, budget in zip(points, (4.0, 8.0), strict=True))
    assert points[-1].regret < 0.004


def test_the_climb_looks_only_at_runs_it_bought() -> None:
    frame = bowl(np.random.default_rng(7))
    grid = grid_of(frame, n=1.6e9, d=3.2e10)
    bought = climb(grid, 5.0).bought
    loss = grid.loss.copy()
    hidden = np.setdiff1d(np.arange(len(loss)), bought)
    loss[hidden] = np.nan
    blind = type(grid)(grid.rate, grid.batch, grid.size, grid.cost, loss, grid.cell, grid.is_target)
    assert climb(blind, 5.0).bought == bought
    assert len(Campaign(blind).bought) == 0


def test_odds_that_are_twice_too_sure_are_found_out_from_what_came() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0.05, 0.95, size=4000)
    came = rng.uniform(size=true.size) < true
    sure = [tempered(float(odds), 0.5) for odds in true]
    found = likeliest_temperature([list(zip(sure, map(bool, came), strict=True))])
    # its sampling error is about .07
    assert 1.6 < found < 2.5
    assert [tempered(one, 2.0) for one in sure[:5]] == pytest.approx(true[:5].tolist())
    assert likeliest_temperature([]) == 1.0


def test_tempering_moves_odds_alone_and_not_where_no_source_teaches_it() -> None:
    cases = [case for table in read_tables(DATA) for case in cases_of(table)[0]][:40]
    forecast = TemperedOdds()([])
    for case in cases:
        look = by_atoms(case.effects, case.truth.position, case.kind)
        told = forecast(case)
        assert told is not None
        assert replace(told, odds=look.odds) == look
        assert told.odds == pytest.approx(min(max(look.odds, 0.003), 0.997))
