"""The table contract: a test for each refusal and warning, formats, and two thousand bad tables."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.law.law_catalogue import HOFFMANN, POWER
from scaling.table.columns import ColumnRole
from scaling.table.read import TableError
from scaling.table.run_table import RunTable, read_table

CHINCHILLA = Path(__file__).parent / "data" / "chinchilla" / "svg_extracted_data.csv"


def runs(n: int = 6, ratio: float = 20.0) -> pl.DataFrame:
    size = 1e6 * 2.0 ** np.arange(n)
    loss = 1.7 + 40 * size**-0.2
    return pl.DataFrame({"run": [f"r{i}" for i in range(n)], "N": size, "D": ratio * size,
                         "loss": loss})  # fmt: skip


def codes(table: RunTable) -> set[str]:
    return {note.code for note in table.notes}


def refused(frame: pl.DataFrame, code: str, match: str, **options: object) -> None:
    with pytest.raises(TableError, match=match) as caught:
        read_table(frame, **options)  # type: ignore[arg-type]
    assert caught.value.code == code


def changed(column: str, value: object, row: int = 2) -> pl.DataFrame:
    frame = runs()
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, strict=False))


def test_a_good_table_is_read_without_a_word() -> None:
    table = read_table(runs())
    assert table.notes == ()
    assert table.flops_rule == "6 N D"
    assert table.scales_for(HOFFMANN)[1].tolist() == runs()["D"].to_list()


def test_decayed_and_undecayed_checkpoints_are_refused_together_and_taken_apart() -> None:
    frame = runs().with_columns(decayed=pl.Series([True, False] * 3))
    refused(frame, "mixed-states", "Keep one: --state")
    assert read_table(frame, state="true").frame.height == 3


def test_rows_of_one_run_are_warned_of_and_carry_their_runs_name() -> None:
    frame = runs().with_columns(run=pl.Series(["a", "a", "b", "b", "c", "c"]))
    table = read_table(frame)
    assert "several-rows" in codes(table)
    assert table.run.tolist() == ["a", "a", "b", "b", "c", "c"]


def history(n: int = 10, **columns: object) -> pl.DataFrame:
    """Return the steps of one training, without the column that counts them."""
    tokens = 1e7 * np.arange(1, n + 1)
    frame = pl.DataFrame({"N": [1e6] * n, "D": tokens, "loss": 2 + 30 * tokens**-0.2})
    return frame.with_columns(**{k: pl.Series(v) for k, v in columns.items()})  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["step", "iter", "_step", "trainer/global_step", "epoch"])
def test_steps_of_one_run_are_not_taken_for_runs(name: str) -> None:
    log = history(4, **{name: [100, 200, 300, 400]})
    refused(log, "history", f"'{name}' counts through them.*--last")
    assert read_table(log, keeps_last=True).frame["tokens"].to_list() == [4e7]
    two = pl.concat([log.with_columns(run=pl.lit(r), N=pl.lit(n)) for r, n in
                     (("a", 1e6), ("b", 2e6))])  # fmt: skip
    refused(two, "history", "4 rows of run a are steps")
    assert read_table(two, keeps_last=True).run.tolist() == ["a", "b"]
    assert "several-rows" in codes(read_table(two, allow=["history"]))


def test_a_log_without_steps_is_known_by_its_equal_gaps() -> None:
    refused(history(), "history", "tokens grow by equal steps")
    by_factors = history().with_columns(D=pl.Series(1e7 * 1.5 ** np.arange(10)))
    assert codes(read_table(by_factors)) == set()


def test_the_last_row_of_each_seed_is_kept_whatever_the_order() -> None:
    rows = [history(5, step=np.arange(5)).with_columns(seed=pl.lit(s), run=pl.lit(f"r{s}"))
            for s in (1, 2)]  # fmt: skip
    shuffled = pl.concat(rows).sample(fraction=1, shuffle=True, seed=3)
    assert read_table(shuffled, keeps_last=True).frame["tokens"].to_list() == [5e7, 5e7]


@pytest.mark.parametrize("name", ["val_ppl", "Perplexity", "eval/ppl"])
def test_perplexity_is_read_by_its_log(name: str) -> None:
    frame = runs().with_columns(pl.col("loss").exp()).rename({"loss": name})
    table = read_table(frame)
    assert table.loss == pytest.approx(runs()["loss"].to_numpy())
    assert "perplexity" in codes(table)
    below = frame.with_columns(pl.col(name) / 100)
    refused(below, "units", "which no perplexity has")


def test_perplexity_called_a_loss_is_asked_about() -> None:
    frame = runs().with_columns((pl.col("loss") + 0.3).exp())
    assert frame["loss"].max() < 100  # type: ignore[operator]
    assert frame["loss"].min() > 12.5  # type: ignore[operator]
    refused(frame, "units", "--perplexity")
    table = read_table(frame, is_perplexity_given=True)
    assert table.loss == pytest.approx((runs()["loss"] + 0.3).to_numpy())


def test_a_loss_beside_its_perplexity_is_the_loss() -> None:
    table = read_table(runs().with_columns(ppl=pl.col("loss").exp()))
    assert table.columns[ColumnRole.LOSS] == "loss"


@pytest.mark.parametrize(("given", "missing"), [("N", "tokens"), ("D", "parameters")])
def test_what_flops_imply_is_derived(given: str, missing: str) -> None:
    flops = (6 * runs()["N"] * runs()["D"]).alias("flops")
    frame = runs().with_columns(flops).select("run", "loss", "flops", given)
    table = read_table(frame)
    other = {"N": "D", "D": "N"}[given]
    assert table.frame[missing].to_list() == pytest.approx(runs()[other].to_list())
    assert f"derived-{missing}" in codes(table)


@pytest.mark.parametrize("column", ["recipe", "dataset", "optimizer", "schedule", "tokenizer"])
def test_runs_of_several_recipes_are_not_one_law(column: str) -> None:
    frame = runs().with_columns(pl.Series(column, ["a", "b"] * 3))
    with pytest.raises(TableError, match="--only") as caught:
        read_table(frame).check_one_recipe()
    assert caught.value.code == "pooled"
    one = "a" if column in ("recipe", "dataset", "optimizer") else f"{column}=a"
    assert read_table(frame).arm(one).check_one_recipe().frame.height == 3
    allowed = read_table(frame, allow=["pooled"]).check_one_recipe()
    assert "pooled" in codes(allowed)


def test_a_sweep_is_no_law_but_a_rate_that_follows_the_size_is_one() -> None:
    follows = runs().with_columns(lr=1 / pl.col("N"))
    assert read_table(follows).check_one_recipe().frame.height == 6
    swept = pl.concat([runs().with_columns(lr=pl.lit(x), loss=pl.col("loss") + x).drop("run")
                       for x in (0.1, 0.2)])  # fmt: skip
    with pytest.raises(TableError, match=r"2 kinds of lr .*--only 'lr=VALUE'"):
        read_table(swept).check_one_recipe()
    assert read_table(swept).arm("lr=0.2").check_one_recipe().frame.height == 6


def test_flops_in_other_units_derive_nothing() -> None:
    frame = pl.DataFrame({"D": [768, 1024, 2048], "flops": [440.0, 700.0, 1600.0],
                          "loss": [3.2, 3.1, 3.0]})  # fmt: skip
    refused(frame, "units", "parameters as FLOPs / .6 tokens. reach only")


def test_an_arm_that_hides_two_recipes_is_seen() -> None:
    frame = runs().with_columns(arm=pl.lit("new"), dataset=pl.Series(["c4", "pile"] * 3))
    with pytest.raises(TableError, match="2 kinds of dataset"):
        read_table(frame).check_one_recipe()


def test_a_law_of_one_scale_is_refused_where_tokens_per_parameter_spread() -> None:
    frame = runs().with_columns(D=pl.Series([2e7, 1e8, 1e8, 1e8, 5e8, 5e9]))
    with pytest.raises(TableError, match="spread of"):
        read_table(frame).scales_for(POWER)
    assert len(read_table(frame).scales_for(HOFFMANN)) == 2
    assert len(read_table(frame, allow=["ratio-spread"]).scales_for(POWER)) == 1


def test_fewer_than_three_scales_are_refused() -> None:
    with pytest.raises(TableError, match="2 different scales: a law needs three"):
        read_table(runs(2)).scales_for(POWER)
    assert len(read_table(runs(2), allow=["few-scales"]).scales_for(POWER)) == 1


def test_products_of_integers_do_not_overflow() -> None:
    frame = pl.DataFrame({"N": [10**11, 10**12, 10**13], "D": [10**12, 10**13, 10**14],
                          "loss": [2.0, 1.9, 1.8]})  # fmt: skip
    assert read_table(frame).frame["flops"].to_list() == pytest.approx([6e23, 6e25, 6e27])


def test_a_product_that_overflowed_before_is_named() -> None:
    frame = runs().with_columns(flops=pl.Series([-8e18, *[1e18] * 5]))
    refused(frame, "bad-scale", "int64 N x D overflows")


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -1.0, 0.0, None])
def test_losses_that_are_no_losses_are_refused_by_row(loss: float | None) -> None:
    refused(changed("loss", loss), "bad-loss", "row 3 is")
    assert read_table(changed("loss", loss), allow=["bad-loss"]).frame.height == 5


@pytest.mark.parametrize("size", [float("nan"), 0.0, -5.0])
def test_scales_that_are_no_scales_are_refused(size: float) -> None:
    refused(changed("N", size), "bad-scale", "parameters of row 3")


def test_duplicate_runs_are_refused() -> None:
    refused(pl.concat([runs(), runs()[:1]]), "duplicates", "Keep one of each")
    refused(pl.concat([runs(), runs()[:1]]).drop("run"), "duplicates", "Keep one of each")


def test_seeds_of_one_scale_are_no_duplicates() -> None:
    frame = pl.concat([runs().with_columns(seed=pl.lit(s)) for s in (1, 2)]).drop("run")
    frame = frame.with_columns(loss=frame["loss"] + 0.001 * frame["seed"])
    assert read_table(frame).frame.height == 12


def test_a_loss_of_three_thousand_is_no_loss() -> None:
    refused(changed("loss", 3000.0), "units", "perplexity")


def test_flops_in_other_units_are_refused_and_another_rule_is_named() -> None:
    six = (6 * runs()["N"] * runs()["D"]).alias("flops")
    refused(runs().with_columns(six / 1e15), "units", "PFLOPs")
    assert "flops-rule" in codes(read_table(runs().with_columns(six * 3)))
    assert read_table(runs().with_columns(six)).flops_rule == "as given, 1 of 6 N D"


def test_parameters_in_millions_are_warned_of() -> None:
    assert "units" in codes(read_table(runs().with_columns(pl.col("N") / 1e6).drop("D")))


def test_text_among_numbers_is_shown() -> None:
    refused(changed("loss", 1.0).with_columns(loss=pl.Series(["2.1", "x", *["3"] * 4])),
            "not-numbers", "'x', not a number")  # fmt: skip


@pytest.mark.parametrize("value", [b"a", [1.0], dt.date(2026, 1, 1), {"a": 1}])
def test_columns_of_other_types_are_refused(value: object) -> None:
    refused(runs().with_columns(loss=pl.Series([value] * 6)), "not-numbers", "not numbers")


def test_columns_are_asked_for_by_name() -> None:
    refused(runs().rename({"loss": "perp"}), "no-loss", "name it: --loss")
    refused(runs().drop("N", "D"), "no-scale", "--flops COLUMN")
    refused(runs(), "no-column", "no column for loss=y", columns={ColumnRole.LOSS: "y"})
    frame = runs().rename({"loss": "perp"})
    assert read_table(frame, columns={ColumnRole.LOSS: "perp"}).loss[0] == runs()["loss"][0]


def test_with_or_without_embeddings_is_said() -> None:
    frame = runs().with_columns(N_no_emb=pl.col("N") / 2)
    assert "rivals" in codes(read_table(frame))
    table = read_table(frame, columns={ColumnRole.PARAMETERS: "N_no_emb"})
    assert any("without embeddings" in note.text for note in table.notes)


def test_the_highest_losses_are_dropped_only_when_asked() -> None:
    assert read_table(CHINCHILLA).frame.height == 245
    table = read_table(CHINCHILLA, drop_top=5)
    assert table.frame.height == 240
    assert {"dropped", "derived-tokens"} <= codes(table)


def test_nanochats_results_are_read_with_its_own_count_of_parameters(tmp_path: Path) -> None:
    head = "flops_budget,depth,model_dim,params_wte,params_value_embeds,params_lm_head,"
    head += "params_transformer,params_scalars,params_total,num_iterations,tokens_trained,"
    head += "val_bpb,core_score,train_time_sec\n"
    path = tmp_path / "results.csv"
    row = "1e18,10,640,21000000,0,21000000,49000000,20,91000020,5000,2621440000,0.91,0.1,900\n"
    path.write_text(head + row + row.replace("1e18,10", "2e18,12").replace("0.91", "0.87"))
    table = read_table(path)
    assert table.columns[ColumnRole.PARAMETERS] == "params_scaling"
    assert table.frame["parameters"].to_list() == [7e7, 7e7]
    assert table.columns[ColumnRole.LOSS] == "val_bpb"


def test_autoresearchs_results_leave_crashes_out_and_take_a_constant_scale(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    path.write_text("commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
                    "a1\t0.998\t44\tkeep\tbaseline\nb2\t0.000000\t0\tcrash\tdouble width\n"
                    "c3\t0.993\t44\tdiscard\tlr\n")  # fmt: skip
    with pytest.raises(TableError, match=r"agent=patches agent\.path=BRANCH.*--set"):
        read_table(path)
    table = read_table(path, constants={ColumnRole.FLOPS: 1e18})
    assert table.loss.tolist() == [0.998, 0.993]
    assert "unfinished" in codes(table)


def test_runs_that_wandb_recorded_offline_are_read(tmp_path: Path) -> None:
    import wandb

    settings = wandb.Settings(silent=True, console="off")
    for i, flops in enumerate((1e15, 1e16, 1e17)):
        run = wandb.init(project="p", mode="offline", dir=tmp_path, settings=settings,
                         config={"flops": flops, "seed": 1, "optimizer": {"lr": 0.1}})  # fmt: skip
        run.log({"val_loss": 9.0})
        run.log({"val_loss": 3.0 - 0.3 * i})
        run.finish()
    wandb.teardown()
    table = read_table(tmp_path / "wandb")
    frame = table.frame.sort("flops")
    assert frame["flops"].to_list() == [1e15, 1e16, 1e17]
    assert frame["loss"].to_list() == pytest.approx([3.0, 2.7, 2.4])
    assert len(set(table.run)) == 3


FORMATS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.write_csv(path),
    "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "parquet": lambda frame, path: frame.write_parquet(path),
    "json": lambda frame, path: path.write_text(json.dumps(frame.to_dicts())),
    "jsonl": lambda frame, path: frame.write_ndjson(path),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_table(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"runs.{kind}"
    FORMATS[kind](runs(), path)
    assert read_table(path).frame.equals(read_table(runs()).frame)


words = st.one_of(
    st.sampled_from(["", "nan", "inf", "-inf", "1e400", "-1", "0", "3,5", "x", "null", "1e18"]),
    st.floats(allow_nan=True).map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.text(max_size=8),
)
headers = st.sampled_from(
    ["loss", "N", "D", "C", "flops", "run", "seed", "arm", "decayed", "State", "status", "", "junk"]
)


@st.composite
def malformed(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a suffix and the bytes of a table that nobody should have written."""
    kind = draw(st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx"]))
    if draw(st.integers(0, 9)) == 0:
        return kind, draw(st.binary(max_size=200))
    names = draw(st.lists(headers, min_size=1, max_size=6))
    rows = draw(st.lists(st.lists(words, max_size=7), max_size=5))
    if kind in (".json", ".jsonl"):
        held = [dict(zip(names, row, strict=False)) for row in rows]
        odd: object = draw(st.sampled_from([held, {"loss": rows}, held[:1], 3, None, [held]]))
        return kind, json.dumps(odd).encode()
    separator = "," if kind == ".csv" else "\t"
    return kind, "\n".join(separator.join(r) for r in [names, *rows]).encode("utf-8", "replace")


@pytest.mark.level1
@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=malformed())
def test_eight_hundred_malformed_tables_end_in_a_clear_error(
    table: tuple[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, content = table
    path = tmp_path_factory.getbasetemp() / f"fuzz{kind}"
    path.write_bytes(content)
    answer = outcome(path)
    if isinstance(answer, TableError):
        assert len(str(answer)) > 20
        assert answer.code
    else:
        assert np.isfinite(answer.loss).all()
        assert (answer.loss > 0).all()


def outcome(path: Path) -> RunTable | TableError:
    try:
        table = read_table(path)
        table.scales_for(POWER)
    except TableError as error:
        return error
    return table
