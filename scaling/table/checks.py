"""What a table is refused or warned for, one function a rule."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from scaling.table.columns import NUMBERS, SCALES, ColumnRole
from scaling.table.read import TableError

UNIT_LIMIT = 100.0
"""A loss above this is no loss of a model: nats and bits of a byte or token stay under 20."""
GUESS_LIMIT = 12.5
"""Nats of a uniform guess among the 260,000 tokens of the largest usual vocabularies: a table whose
every loss lies above it holds none that learned anything, or no losses."""
_FEWEST_OF = {ColumnRole.PARAMETERS: 1e3, ColumnRole.TOKENS: 1e4, ColumnRole.FLOPS: 1e6}
"""The largest run of a table that is in ones has more."""
_EVEN = 0.01
"""Steps between scales that differ by less than this share are a log's: runs lie apart by factors.
assumption: the tables of `benchmarks/public_tables` hold none that is refused for it."""
_FEWEST_EVEN = 8
_DECAYED = {"true", "1", "1.0", "decayed", "yes", "cool_end", "annealed", "final"}
_UNFINISHED = {
    "State": ("crashed", "failed", "running", "killed"),
    "state": ("crashed", "failed", "running", "killed", "diverged", "timed_out"),
    "status": ("crash", "crashed", "failed", "diverged"),
}


@dataclass(frozen=True)
class Note:
    """Something that a reader of the results has to know."""

    code: str
    text: str


class Notes:
    """Collects warnings, and raises what is not allowed."""

    def __init__(self, allow: frozenset[str]) -> None:
        self.allow = allow
        self.held: list[Note] = []

    def warn(self, code: str, text: str) -> None:
        """Keep a warning."""
        self.held.append(Note(code, text))

    def refuse(self, code: str, text: str) -> None:
        """Raise, unless the reader said that this is all right."""
        if code not in self.allow:
            raise TableError(code, f"{text}, or --allow {code}")
        self.warn(code, text)


def finished(raw: pl.DataFrame, notes: Notes) -> pl.DataFrame:
    """Drop the runs that a tracker or a results file itself calls unfinished or crashed."""
    for name, bad in _UNFINISHED.items():
        if name in raw.columns and raw[name].dtype == pl.String:
            ended = raw.filter(~pl.col(name).fill_null("").str.to_lowercase().is_in(bad))
            if ended.height < raw.height:
                n = raw.height - ended.height
                notes.warn("unfinished", f"{n} rows left out, whose {name} is {' or '.join(bad)}")
            raw = ended
    return raw


def checked_numbers(frame: pl.DataFrame, notes: Notes) -> pl.DataFrame:
    """Refuse losses and scales that are missing, infinite, zero or negative."""
    for role in (r for r in NUMBERS if r in frame.columns):
        values = frame[role].fill_null(np.nan).to_numpy()
        bad = ~(np.isfinite(values) & (values > 0))
        if not bad.any():
            continue
        row = int(np.argmax(bad))
        why = "is missing" if frame[role][row] is None else f"is {values[row]:g}"
        hint = ""
        if role == ColumnRole.FLOPS and values[row] < 0:
            hint = " (an int64 N x D overflows beyond 9.2e18: recompute it in floats)"
        code = "bad-loss" if role == ColumnRole.LOSS else "bad-scale"
        notes.refuse(
            code,
            f"{role} of row {row + 1} {why}{hint}; {int(bad.sum())} rows in all. It must be "
            "positive and finite: leave these runs out",
        )
        frame = frame.filter(pl.Series(~bad))
    if frame.height == 0:
        raise TableError("empty", "no row has both a loss and a scale")
    return frame


def with_flops(frame: pl.DataFrame, notes: Notes) -> tuple[pl.DataFrame, str]:
    """Return the frame with FLOPs where they can be had, and the rule behind them."""
    held = {"parameters", "tokens", "flops"} & set(frame.columns)
    if "flops" in held and len(held) == 2:
        missing, symbol = (
            (ColumnRole.TOKENS, "N") if "parameters" in held else (ColumnRole.PARAMETERS, "D")
        )
        other = (held - {"flops"}).pop()
        derived = (frame["flops"] / (6 * frame[other])).alias(missing)
        largest = float(derived.to_numpy().max())
        if largest < _FEWEST_OF[missing]:
            notes.refuse(
                "units",
                f"{missing} as FLOPs / (6 {other}) reach only {largest:.3g}: is the column "
                f"of {other} something else, or in other units? Name it: --{other} COLUMN",
            )
        notes.warn(f"derived-{missing}", f"{missing} are FLOPs / (6 {other}): the table has none")
        return frame.with_columns(derived), f"as given; {missing} = C / 6 {symbol}"
    if not {"parameters", "tokens"} <= held:
        return frame, "as given" if "flops" in held else "none"
    six = 6 * frame["parameters"] * frame["tokens"]
    if "flops" not in frame.columns:
        return frame.with_columns(six.alias("flops")), "6 N D"
    ratio = float(np.median((frame["flops"] / six).to_numpy()))
    if not 0.01 < ratio < 100:
        notes.refuse(
            "units",
            f"FLOPs are {ratio:.3g} of 6 N D: their units cannot be right (PFLOPs? millions of "
            "parameters?); give all in ones",
        )
    elif not 0.5 < ratio < 2:
        notes.warn("flops-rule", f"FLOPs are {ratio:.3g} of 6 N D: another rule counts them")
    return frame, f"as given, {ratio:.3g} of 6 N D"


def with_log_loss(frame: pl.DataFrame, column: str, notes: Notes) -> pl.DataFrame:
    """Return the frame with the log of perplexities as its loss, in nats."""
    if float(frame["loss"].to_numpy().min()) <= 1:
        raise TableError(
            "units", f"'{column}' holds values of 1 or less, which no perplexity has; name another"
        )
    notes.warn("perplexity", f"'{column}' holds perplexities: their log is the loss, in nats")
    return frame.with_columns(pl.col("loss").log())


def units(frame: pl.DataFrame, notes: Notes) -> None:
    """Refuse a loss that no model has, and warn of scales that seem not to be in ones."""
    highest, lowest = (float(v) for v in (frame["loss"].max(), frame["loss"].min()))  # type: ignore[arg-type]
    if highest > UNIT_LIMIT or lowest > GUESS_LIMIT:
        notes.refuse(
            "units",
            f"losses from {lowest:g} to {highest:g} cannot be nats or bits (what learned stays "
            f"under {GUESS_LIMIT:g}, what diverged under {UNIT_LIMIT:g}); a perplexity is taken "
            "by its log with --perplexity; convert thousandths, leave diverged runs out",
        )
    for role, least in _FEWEST_OF.items():
        if role in frame.columns and float(frame[role].to_numpy().max()) < least:
            largest = float(frame[role].to_numpy().max())
            notes.warn("units", f"{role} reach only {largest:g}: are they in ones?")


def states(frame: pl.DataFrame, notes: Notes) -> None:
    """Refuse decayed and undecayed checkpoints in one table: they lie on different laws."""
    if "state" not in frame.columns:
        return
    states = {str(s).lower() for s in frame["state"].unique().to_list()}
    if states & _DECAYED and states - _DECAYED:
        notes.refuse(
            "mixed-states",
            f"decayed and undecayed checkpoints are mixed ({', '.join(sorted(states)[:6])}): their "
            "losses lie on different laws. Keep one: --state NAME",
        )


def duplicates(frame: pl.DataFrame, notes: Notes) -> None:
    """Refuse rows that repeat a run at the same scale."""
    keys: list[str] = [c for c in ("arm", "run", "seed", "state", *SCALES) if c in frame.columns]
    if all(name.startswith("row ") for name in frame["run"].to_list()):
        keys = [*(k for k in keys if k != "run"), "loss"]
    again = frame.select(keys).is_duplicated()
    if again.any():
        first = frame.filter(again).row(0, named=True)
        notes.refuse(
            "duplicates",
            f"{int(again.sum())} rows repeat a run at the same scale (first: {first['run']}, loss "
            f"{first['loss']:g}): counted twice they narrow every interval. Keep one of each",
        )


def histories(frame: pl.DataFrame, notes: Notes) -> None:
    """Refuse the steps of a run taken as runs: they lie on its learning curve, not on a law.

    A run's rows count through it where they differ in a column of steps and not in size. A table
    that names no runs is taken for a log where such a column differs from row to row, or a scale
    grows by equal steps.
    """
    keys = [c for c in ("run", "arm", "seed", "state", "parameters") if c in frame.columns]
    if all(name.startswith("row ") for name in frame["run"].to_list()):
        keys.remove("run")
    for _, rows in frame.group_by(keys, maintain_order=True) if keys else [((), frame)]:
        reason = _why_history(rows, is_named="run" in keys)
        if reason:
            who = f"run {rows['run'][0]}" if "run" in keys else "one size"
            notes.refuse(
                "history",
                f"{rows.height} rows of {who} are steps of its training ({reason}): they lie on "
                "its learning curve, not on a scaling law. Keep each run's last row: --last",
            )
            return


def _why_history(rows: pl.DataFrame, *, is_named: bool) -> str:
    """Return why the rows of one run, or of one size, are steps of a training; empty if not."""
    steps = [c for c in rows.columns if c.startswith("steps:")]
    counts = [c for c in steps if rows[c].n_unique() == rows.height]
    if counts and rows.height >= (2 if is_named else 3):
        return f"'{counts[0].removeprefix('steps:')}' counts through them"
    for scale in ("tokens", "flops", "seconds"):
        if scale in rows.columns and rows.height >= _FEWEST_EVEN:
            gaps = np.diff(np.sort(rows[scale].to_numpy()))
            if gaps.min() > 0 and np.ptp(gaps) < _EVEN * gaps.mean():
                return f"{scale} grow by equal steps"
    return ""


def last_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the row of each run that has come furthest."""
    keys = [c for c in ("run", "arm", "seed", "state", "parameters") if c in frame.columns]
    if all(name.startswith("row ") for name in frame["run"].to_list()):
        keys.remove("run")
    steps = [c for c in frame.columns if c.startswith("steps:")]
    order = [c for c in (*steps, "tokens", "flops", "seconds") if c in frame.columns][:1]
    ordered = frame.sort(order, maintain_order=True) if order else frame
    return ordered.group_by(keys, maintain_order=True).last() if keys else ordered[-1:]


def several_rows(frame: pl.DataFrame, notes: Notes) -> None:
    """Warn that rows of one run are not independent."""
    keys = ["run", *(c for c in ("arm", "seed") if c in frame.columns)]
    n_runs = frame.select(keys).unique().height
    if n_runs < frame.height:
        notes.warn(
            "several-rows",
            f"{frame.height} rows are {n_runs} runs: checkpoints of a run are not independent, so "
            "whole runs are resampled",
        )


def without_top(frame: pl.DataFrame, n: int, notes: Notes) -> pl.DataFrame:
    """Return the frame without its highest losses, as asked."""
    rest = frame.sort("loss", descending=True, maintain_order=True)[n:]
    if rest.height == 0:
        raise TableError("empty", f"no row is left of {frame.height} after dropping {n}")
    notes.warn("dropped", f"the {n} highest losses were left out, as asked")
    return rest
