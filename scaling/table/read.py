"""Read a table of runs from the files that people have; every failure is a TableError."""

import json
from pathlib import Path

import polars as pl


class TableError(ValueError):
    """A table that cannot be used, with the rule and the next step in its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_NANOCHAT = {"params_transformer", "params_lm_head", "params_total", "flops_budget"}
AUTORESEARCH = {"commit", "val_bpb", "status", "description"}
"""Columns by which karpathy/autoresearch's ``results.tsv`` is known."""
_MISSING = ["", "NA", "N/A", "null", "None", "-"]


def read_frame(path: Path) -> pl.DataFrame:
    """Return the rows of a file; csv, tsv, parquet, json, jsonl or a folder of wandb runs.

    Raises
    ------
    TableError
        On a file that is missing, empty, of another kind, or that cannot be parsed.
    """
    if not path.exists():
        raise TableError("no-file", f"{path}: no such file; give the path of a table of runs")
    try:
        frame = _read(path)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, json.JSONDecodeError, OSError) as e:
        reason = str(e).splitlines()[0][:200] if str(e) else type(e).__name__
        raise TableError(
            "unreadable", f"{path}: cannot be read as {path.suffix or 'a table'}: {reason}"
        ) from e
    if frame.height == 0 or frame.width == 0:
        raise TableError("empty", f"{path}: holds no rows; a table needs a header and runs")
    return with_known_columns(frame)


def _read(path: Path) -> pl.DataFrame:
    if path.is_dir():
        from scaling.table.wandb_runs import read_runs

        return _as_numbers(read_runs(path))
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv", ".txt"):
        separator = "," if kind == ".csv" else "\t"
        return _as_numbers(
            pl.read_csv(
                path,
                separator=separator,
                infer_schema=False,
                null_values=_MISSING,
                truncate_ragged_lines=False,
            )
        )
    if kind in (".parquet", ".pq"):
        return pl.read_parquet(path)
    if kind in (".jsonl", ".ndjson"):
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return _from_rows(path, rows)
    if kind == ".json":
        return _from_rows(path, json.loads(path.read_text()))
    raise TableError(
        "unknown-kind",
        f"{path}: unknown kind of file '{kind}'; use .csv, .tsv, .parquet, .json, .jsonl or a "
        "folder of wandb runs",
    )


def _from_rows(path: Path, rows: object) -> pl.DataFrame:
    if isinstance(rows, dict) and rows and all(isinstance(v, list) for v in rows.values()):
        lengths = {len(v) for v in rows.values()}
        if len(lengths) > 1:
            raise TableError("ragged", f"{path}: columns of different lengths {sorted(lengths)}")
        rows = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TableError(
            "not-rows", f"{path}: must be a list of objects, one a run, or an object of columns"
        )
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    columns = {name: [_text(row.get(name)) for row in rows] for name in names}
    return _as_numbers(pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)))


def _text(value: object) -> str | None:
    if value is None or value in _MISSING:
        return None
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _as_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn the columns of which every entry is a number into floats, never into integers.

    Integers would overflow in N x D beyond 9.2e18.
    """
    casts = []
    for name in frame.columns:
        stripped = frame[name].str.strip_chars()
        number = stripped.cast(pl.Float64, strict=False)
        if number.null_count() == frame[name].null_count():
            casts.append(number.alias(name))
    return frame.with_columns(casts)


def with_known_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that known formats only imply.

    nanochat's ``results.csv`` counts parameters in parts: its own law uses the transformer's plus
    the head's (its log, January 2026), here ``params_scaling``.
    """
    if not set(frame.columns) >= _NANOCHAT:
        return frame
    head, body = (
        pl.col(name).cast(pl.Float64, strict=False)
        for name in ("params_lm_head", "params_transformer")
    )
    return frame.with_columns((head + body).alias("params_scaling"))
