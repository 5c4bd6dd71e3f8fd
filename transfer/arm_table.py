"""Runs of a baseline and of changes made elsewhere, read from a file of any kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from miniscale.setting.decode import InputError
from scaling.table.columns import plain
from scaling.table.read import TableError, read_frame

BASELINE = "baseline"
"""The arm that all others of a table are measured against."""
ARMS = ("arm", "name", "change", "variant", "recipe")
SIZES = ("rung", "scale", "size", "flops", "compute")
VALUES = ("value", "loss", "metric")
DIGESTS = ("data", "data_digest", "digest", "corpus")
"""Usual names of columns; the first that is there plays the part."""


@dataclass(frozen=True)
class ArmRow:
    """One run as its table has it.

    number
        Of the row, from 1.
    value
        The objective in its own direction; None where the table holds no finite number.
    path
        The way to shrink that its size lies on; empty where it was not asked for.
    numbers
        Further numbers by the names that were asked for; None where the cell is empty.
    """

    number: int
    arm: str
    size: str
    seed: int
    value: float | None
    path: str
    numbers: Mapping[str, float | None]


@dataclass(frozen=True)
class ArmTable:
    """Rows of a table, its file's name, and the digest of the data behind all of them.

    ``data`` is empty where the table has no such column; ``numbers`` names what it has columns of.
    """

    name: str
    objective: str
    rows: tuple[ArmRow, ...]
    data: str
    numbers: frozenset[str]


def read_arm_table(
    path: Path,
    objective: str,
    *,
    sizes: Sequence[str] = SIZES,
    has_paths: bool = False,
    numbers: Mapping[str, Sequence[str]] | None = None,
) -> ArmTable:
    """Read runs of arms from a csv, tsv, parquet, json or jsonl file.

    Parameters
    ----------
    path
        The file.
    objective
        The objective's name, which its column has, or ``value``, ``loss`` or ``metric``.
    sizes
        Names that the column of sizes may have.
    has_paths
        Whether each size lies on a way to shrink, in a column ``path``.
    numbers
        Name of a further number -> names that its column may have; it may be absent.

    Raises
    ------
    InputError
        For a table that cannot be read, lacks a column, an arm, a size or a seed, holds text where
        a number belongs, or runs on data of several digests.
    """
    try:
        frame = read_frame(path)
    except TableError as error:
        raise InputError(str(error)) from None
    value = column(frame, "objective", (objective, *VALUES))
    extra = {name: held for name, usual in (numbers or {}).items()
             if (held := _column(frame, usual))}  # fmt: skip
    for held in extra.values():
        _check_numbers(frame, held, path.name)
    texts = {"arm": column(frame, "arm", ARMS), "size": column(frame, "size", sizes)}
    texts |= {"path": column(frame, "path", ("path",))} if has_paths else {}
    cells = frame.select(
        *(pl.col(name).cast(pl.String).alias(role) for role, name in texts.items()),
        pl.col(column(frame, "seed", ("seed",))).cast(pl.Int64, strict=False).alias("seed"),
        pl.col(value).cast(pl.Float64, strict=False).alias("value"),
        *(pl.col(held).cast(pl.Float64).alias(f"number {name}") for name, held in extra.items()),
    )
    rows = tuple(
        _row(row, number, path.name, extra) for number, row in enumerate(cells.to_dicts(), start=1)
    )
    return ArmTable(path.name, value, rows, _data_digest(frame, path.name), frozenset(extra))


def column(frame: pl.DataFrame, role: str, usual: Sequence[str]) -> str:
    """Return the column that plays a part.

    Raises
    ------
    InputError
        If there is none.
    """
    name = _column(frame, usual)
    if not name:
        held = ", ".join(frame.columns[:12])
        raise InputError(
            f"table: no column for the {role} among {held}; name one of them '{usual[0]}'"
        )
    return name


def _column(frame: pl.DataFrame, usual: Sequence[str]) -> str:
    by_name = {plain(name): name for name in reversed(frame.columns)}
    exact = next((name for name in usual if name in frame.columns), "")
    return exact or next((by_name[plain(name)] for name in usual if plain(name) in by_name), "")


def _row(row: Mapping[str, object], number: int, table: str, extra: Mapping[str, str]) -> ArmRow:
    """Check a row's arm, size and seed; a number that is none is left out."""
    where, value, seed = f"{table} row {number}", row["value"], row["seed"]
    if row["arm"] is None or row["size"] is None or row.get("path", "") is None:
        raise InputError(f"{where}: arm or size is missing; fill it in or leave the row out")
    if not isinstance(seed, int):
        raise InputError(
            f"{where}: {row['arm']} on {row['size']} has no seed; pairs need one: number an arm's "
            "runs from 0"
        )
    is_number = isinstance(value, float) and abs(value) < float("inf")
    held = {name: row[f"number {name}"] for name in extra}
    return ArmRow(
        number=number,
        arm=str(row["arm"]),
        size=str(row["size"]),
        seed=seed,
        value=value if is_number and isinstance(value, float) else None,
        path=str(row.get("path", "")),
        numbers={name: x if isinstance(x, float) else None for name, x in held.items()},
    )


def _check_numbers(frame: pl.DataFrame, name: str, table: str) -> None:
    """Refuse a column that holds something else than numbers or nothing."""
    texts = frame.get_column(name).cast(pl.String)
    wrong = texts.filter(texts.is_not_null() & texts.cast(pl.Float64, strict=False).is_null())
    if len(wrong):
        raise InputError(
            f"{table}: column '{name}' holds {wrong[0]!r}; it must hold numbers, or be empty where "
            "nothing is known"
        )


def _data_digest(frame: pl.DataFrame, table: str) -> str:
    """Return the digest of the data behind all runs; empty where the table has no such column."""
    name = next((name for name in DIGESTS if name in frame.columns), None)
    held = sorted(set(frame[name].cast(pl.String).drop_nulls())) if name else []
    if len(held) > 1:
        raise InputError(
            f"{table}: column '{name}' holds {len(held)} digests ({', '.join(held[:3])}): runs on "
            "different data are never compared; keep the rows of one"
        )
    return held[0] if held else ""
