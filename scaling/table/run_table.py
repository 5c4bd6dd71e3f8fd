"""A table of runs, checked: columns by role, what is refused, what is warned of, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.fit.form_fit import n_distinct
from scaling.law.form import Form
from scaling.table.checks import (
    Note,
    Notes,
    checked_numbers,
    duplicates,
    finished,
    histories,
    last_rows,
    several_rows,
    states,
    units,
    with_flops,
    with_log_loss,
    without_top,
)
from scaling.table.columns import (
    NUMBERS,
    RECIPES,
    SCALES,
    STEPS,
    TUNED,
    ColumnRole,
    counts_embeddings,
    guess_roles,
    is_perplexity,
    named,
    rivals,
)
from scaling.table.read import AUTORESEARCH, TableError, read_frame, with_known_columns

Array = NDArray[np.float64]

RATIO_SPREAD = 2.0
"""Largest spread of tokens per parameter over which one scale can stand for both."""


@dataclass(frozen=True)
class RunTable:
    """A checked table: one row a run or checkpoint, columns by role, loss to be minimised."""

    frame: pl.DataFrame
    columns: Mapping[ColumnRole, str]
    """The column of the source that plays each part."""
    flops_rule: str
    notes: tuple[Note, ...] = ()
    allow: frozenset[str] = field(default_factory=frozenset)

    @property
    def loss(self) -> Array:
        """Loss by row."""
        return self.frame["loss"].to_numpy()

    @property
    def run(self) -> NDArray[np.str_]:
        """Name of each row's run; rows of one run are resampled together."""
        return np.asarray(self.frame["run"].to_list(), dtype=str)

    def scale(self, role: ColumnRole) -> Array:
        """Return a scale by row.

        Raises
        ------
        TableError
            If the table has no such column.
        """
        if role not in self.frame.columns:
            held = ", ".join(c for c in self.frame.columns if c in SCALES)
            raise TableError(
                "no-scale",
                f"the table has no {role}, only {held}; name its column: --{role} COLUMN",
            )
        return self.frame[role].to_numpy()

    def scales_for(self, form: Form, x: ColumnRole | None = None) -> tuple[Array, ...]:
        """Return the scales of a form, after checking that the table can carry it.

        Raises
        ------
        TableError
            Where a law of one scale is asked for and tokens per parameter spread more than 2x,
            or there are fewer than three scales.
        """
        if form.n_scales == 2:
            scales: tuple[Array, ...] = (
                self.scale(ColumnRole.PARAMETERS),
                self.scale(ColumnRole.TOKENS),
            )
        else:
            scales = (self.scale(x or self.main_scale),)
            self._check_ratio()
        few = min(n_distinct(np.log(s)) for s in scales)
        if few < 3 and "few-scales" not in self.allow:
            raise TableError(
                "few-scales",
                f"{few} different scales: a law needs three, and its floor five; add rungs, or "
                "say --allow few-scales to get a slope that is no law",
            )
        return scales

    @property
    def main_scale(self) -> ColumnRole:
        """The scale that a law of one variable uses: FLOPs, else whatever there is."""
        order = (ColumnRole.FLOPS, ColumnRole.SECONDS, ColumnRole.TOKENS, ColumnRole.PARAMETERS)
        return next(role for role in order if role in self.frame.columns)

    def _check_ratio(self) -> None:
        if not {ColumnRole.PARAMETERS, ColumnRole.TOKENS} <= set(self.frame.columns):
            return
        ratio = self.frame[ColumnRole.TOKENS] / self.frame[ColumnRole.PARAMETERS]
        low, high = np.quantile(ratio.to_numpy(), [0.0, 1.0])
        if high > RATIO_SPREAD * low and "ratio-spread" not in self.allow:
            raise TableError(
                "ratio-spread",
                f"tokens per parameter run from {low:.3g} to {high:.3g}, a spread of "
                f"{high / low:.3g}x; a law of one scale holds up to {RATIO_SPREAD:g}x. Use a law "
                "of both (--law hoffmann), isoflop, or --allow ratio-spread",
            )

    def arm(self, name: str) -> "RunTable":
        """Return the rows of one arm, or of one recipe given as ``COLUMN=VALUE``."""
        column, _, value = name.partition("=")
        column = f"recipe:{column}"
        if column not in self.frame.columns:
            column, value = "arm", name
        rows = self.frame.filter(pl.col(column) == value)
        if rows.height == 0:
            held = ", ".join(sorted(self.frame[column].unique())[:12])
            raise TableError("no-arm", f"no arm '{name}'; the table holds: {held}")
        return replace(self, frame=rows)

    def check_one_recipe(self) -> "RunTable":
        """Return the table if all its runs are of one recipe: others lie on laws of their own.

        Raises
        ------
        TableError
            Where a column that says how runs were made holds several values.
        """
        for column in ("arm", *(c for c in self.frame.columns if c.startswith("recipe:"))):
            values, name = self._recipes(column), column.removeprefix("recipe:")
            if len(values) > 1:
                only = "ARM" if name == "arm" else f"'{name}=VALUE'"
                notes = Notes(self.allow)
                notes.refuse(
                    "pooled",
                    f"runs of {len(values)} kinds of {name} lie in one table "
                    f"({', '.join(values[:6])}): each has a law of its own. Keep one: --only "
                    f"{only}",
                )
                return replace(self, notes=(*self.notes, *notes.held))
        return self

    def _recipes(self, column: str) -> list[str]:
        """Return the recipes that a column tells apart; of a tuned number, those of one scale."""
        frame = self.frame
        if named([column.removeprefix("recipe:")], TUNED):
            scales = [c for c in SCALES if c in frame.columns and c != ColumnRole.SECONDS]
            swept = pl.col(column).n_unique().over(scales or ["arm"]) > 1
            frame = frame.filter(swept)
        return sorted(str(value) for value in frame[column].unique())


def read_table(
    source: Path | str | pl.DataFrame,
    *,
    columns: Mapping[ColumnRole, str] | None = None,
    constants: Mapping[ColumnRole, float] | None = None,
    state: str | None = None,
    drop_top: int = 0,
    is_perplexity_given: bool = False,
    keeps_last: bool = False,
    allow: Sequence[str] = (),
) -> RunTable:
    """Read and check a table of runs.

    Parameters
    ----------
    source
        A path (csv, tsv, parquet, json, jsonl, a folder of wandb runs) or a frame.
    columns, constants
        By role the column, where the guess by name is not right, or one value for all rows.
    state, drop_top, keeps_last
        What is kept: checkpoints of a state, all but the highest losses, each run's last row.
    is_perplexity_given
        The loss column holds perplexities; where its name says so that needs not be said.
    allow
        Codes of refusals to turn into warnings.

    Raises
    ------
    TableError
        With a code; its message has the value, the rule and the next step.

    Examples
    --------
    >>> frame = pl.DataFrame({"N": [1e6, 2e6, 4e6], "D": [2e7, 4e7, 8e7], "loss": [4.0, 3.6, 3.3]})
    >>> table = read_table(frame)
    >>> table.flops_rule, table.frame["flops"].to_list()
    ('6 N D', [120000000000000.0, 480000000000000.0, 1920000000000000.0])
    """
    notes = Notes(frozenset(allow))
    raw = finished(_rows(source), notes)
    chosen = _choose(raw, columns or {}, constants or {}, notes)
    frame = _canonical(raw, chosen, constants or {})
    frame = checked_numbers(_kept(frame, state, keeps_last), notes)
    if is_perplexity_given or is_perplexity(chosen[ColumnRole.LOSS]):
        frame = with_log_loss(frame, chosen[ColumnRole.LOSS], notes)
    frame, rule = with_flops(frame, notes)
    for check in (units, states, duplicates, histories, several_rows):
        check(frame, notes)
    frame = without_top(frame, drop_top, notes) if drop_top else frame
    return RunTable(frame, chosen, rule, tuple(notes.held), notes.allow)


def _kept(frame: pl.DataFrame, state: str | None, keeps_last: bool) -> pl.DataFrame:
    if state is not None and "state" in frame.columns:
        frame = frame.filter(pl.col("state").str.to_lowercase() == state.lower())
    return last_rows(frame) if keeps_last else frame


def _rows(source: Path | str | pl.DataFrame) -> pl.DataFrame:
    raw = (
        with_known_columns(source) if isinstance(source, pl.DataFrame) else read_frame(Path(source))
    )
    if raw.height == 0:
        raise TableError("empty", "the table holds no rows; it needs a header and runs")
    return raw


def _choose(
    raw: pl.DataFrame,
    given: Mapping[ColumnRole, str],
    constants: Mapping[ColumnRole, float],
    notes: Notes,
) -> dict[ColumnRole, str]:
    missing = [f"{role}={name}" for role, name in given.items() if name not in raw.columns]
    if missing:
        raise TableError(
            "no-column",
            f"no column for {', '.join(missing)}; the table has: {', '.join(raw.columns[:20])}",
        )
    chosen = _filled(raw, guess_roles(raw.columns), notes) | dict(given)
    if ColumnRole.LOSS not in chosen:
        raise TableError(
            "no-loss",
            f"no column looks like a loss among: {', '.join(raw.columns[:20])}; name it: "
            "--loss COLUMN",
        )
    if not (set(chosen) | set(constants)) & set(SCALES):
        if set(raw.columns) >= AUTORESEARCH:
            raise TableError(
                "one-size",
                "an autoresearch results.tsv: its runs share one size and one time, so no law "
                "goes through them. Judge its commits anew: python -m autoresearch +ladder=NAME "
                "agent=patches agent.path=BRANCH; or give the size: --set flops=1e18",
            )
        raise TableError(
            "no-scale",
            "no column looks like a scale (parameters, tokens, FLOPs, seconds) among: "
            f"{', '.join(raw.columns[:20])}; name one, e.g. --flops COLUMN or --set flops=1e18",
        )
    for role in NUMBERS:
        others = rivals(role, raw.columns, chosen[role]) if role in chosen else []
        if others and role not in given:
            notes.warn("rivals", f"{role} is read from '{chosen[role]}', not from {others}")
    if (
        ColumnRole.PARAMETERS in chosen
        and counts_embeddings(chosen[ColumnRole.PARAMETERS]) is not None
    ):
        counts = "with" if counts_embeddings(chosen[ColumnRole.PARAMETERS]) else "without"
        notes.warn(
            "embeddings", f"parameters '{chosen[ColumnRole.PARAMETERS]}' are {counts} embeddings"
        )
    return chosen


def _filled(raw: pl.DataFrame, guess: dict[ColumnRole, str], notes: Notes) -> dict[ColumnRole, str]:
    """Return the guesses without scales that most rows lack."""
    for role in SCALES:
        name = guess.get(role)
        if name is not None and raw[name].null_count() > raw.height / 2:
            notes.warn("sparse", f"'{name}' is empty in most rows and is not read as {role}")
            del guess[role]
    return guess


def _canonical(
    raw: pl.DataFrame, chosen: Mapping[ColumnRole, str], constants: Mapping[ColumnRole, float]
) -> pl.DataFrame:
    """Return the frame with a column a role; numbers as floats, names as text."""
    columns: dict[str, pl.Series] = {}
    for role, name in chosen.items():
        series = raw[name]
        columns[role] = _number(series, name) if role in NUMBERS else _word(series)
    for role, value in constants.items():
        columns[role] = pl.Series([float(value)] * raw.height)
    rest = [name for name in raw.columns if name not in chosen.values()]
    for name in named(rest, (*RECIPES, *TUNED)):
        columns[f"recipe:{name}"] = _word(raw[name]).fill_null("none")
    for name in named(rest, STEPS):
        columns[f"steps:{name}"] = raw[name]
    frame = pl.DataFrame(columns)
    if "arm" not in frame.columns:
        frame = frame.with_columns(pl.lit("all").alias("arm"))
    if "run" not in frame.columns:
        names = pl.Series([f"row {i}" for i in range(frame.height)])
        frame = frame.with_columns(names.alias("run"))
    return frame.with_columns(pl.col("run").fill_null("unnamed"), pl.col("arm").fill_null("none"))


def _word(series: pl.Series) -> pl.Series:
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object, pl.Duration):
        raise TableError("nested", f"column '{series.name}' holds {series.dtype}; names are text")
    return series.cast(pl.String, strict=False)


def _number(series: pl.Series, name: str) -> pl.Series:
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise TableError("not-numbers", f"column '{name}' holds {series.dtype}, not numbers")
    number = series.cast(pl.Float64, strict=False)
    lost = number.is_null() & series.is_not_null()
    if lost.any():
        row = int(lost.arg_true()[0])
        raise TableError(
            "not-numbers",
            f"column '{name}' row {row + 1} holds '{str(series[row])[:40]}', not a number; mend "
            "it, or leave its runs out",
        )
    return number
