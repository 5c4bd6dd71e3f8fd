"""A number in a file of a trial's output folder, whatever a trainer put there."""

import csv
import fnmatch
import io
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from miniscale.process.number_token import compile_mark
from miniscale.run.reading.printed import LineSearch, Printed
from miniscale.run.reading.series import Series
from miniscale.setting.read_metrics import (
    JSON_BYTES,
    ReadingError,
    as_number,
    parse_json,
    read_plain,
    value_at,
)

TEXT_BYTES = 64_000_000
MOST_ENTRIES = 10_000
DEEPEST = 16
"""Folders and files that are looked through for a pattern. # assumption: loggers nest less"""
Reading = Mapping[str, str]
"""A :class:`miniscale.setting.trial.MetricSource` as plain data."""


def number_in_files(out: str, reading: Reading, *, events: Callable[..., float]) -> float:
    """Return the number that a reading finds in an output folder; it may be non-finite.

    Parameters
    ----------
    out
        The output folder; nothing of the trial may still run.
    reading
        With a ``file``.
    events
        Reads the files of tensorboard and wandb: paths, key and ``take`` to the number.

    Raises
    ------
    ReadingError
        If there is no such file or no such number in it.
    """
    paths = matching_files(out, reading["file"])
    is_events = "tfevents" in reading["file"]
    if len(paths) > 1 and not is_events:
        raise ReadingError(f"{reading['file']}: {len(paths)} files match; name one")
    path = paths[0]
    name = os.path.relpath(path, out)
    if reading["line"]:
        return _in_text(path, name, reading)
    if is_events or name.endswith(".wandb"):
        return events(paths, reading["key"], reading["take"])
    text = read_plain(path, limit_bytes=JSON_BYTES)
    if name.endswith((".csv", ".tsv")):
        return _in_table(text, name, reading)
    if name.endswith((".jsonl", ".ndjson")) or _is_json_lines(text):
        return _in_rows(text, name, reading)
    return _in_value(
        value_at(parse_json(text, name=name), reading["key"], name=name), name, reading
    )


def matching_files(out: str, pattern: str) -> list[str]:
    """Return the plain files of a folder that a name or a pattern with ``*`` means, in order.

    Raises
    ------
    ReadingError
        If there is none, or the only one leads out of the folder.
    """
    if "*" not in pattern:
        path, inside = os.path.join(out, pattern), os.path.realpath(out)
        folder = os.path.realpath(os.path.dirname(path))
        if folder != inside and not folder.startswith(inside + os.sep):
            raise ReadingError(f"{pattern}: leads out of the output folder")
        return [path]
    names, folders = [], [("", 0)]
    entries = 0
    while folders and entries < MOST_ENTRIES:
        folder, depth = folders.pop()
        for name, kind in _entries(os.path.join(out, folder)):
            entries += 1
            inner = os.path.join(folder, name)
            if stat.S_ISDIR(kind) and depth < DEEPEST:
                folders.append((inner, depth + 1))
            elif stat.S_ISREG(kind):
                names.append(inner)
    found = sorted(fnmatch.filter(names, pattern.replace("**/", "*")))
    if not found:
        has = ", ".join(sorted(names)[:8]) or "no file"
        raise ReadingError(f"{pattern}: no file matches; the output folder has {has}")
    return [os.path.join(out, name) for name in found]


def _entries(folder: str) -> Iterator[tuple[str, int]]:
    """Yield names in a folder with their modes; what a trainer closed to us is passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return


def _in_text(path: str, name: str, reading: Reading) -> float:
    search = LineSearch(reading["line"], take=reading["take"], final=reading["final"])
    printed = Printed(search)
    printed.feed(read_plain(path, limit_bytes=TEXT_BYTES))
    printed.finish()
    return search.number(where=name)


def _in_value(value: Any, name: str, reading: Reading) -> float:
    """Return the number in JSON; a list of numbers is a series."""
    what = f"{name}: {reading['key']!r}"
    if not isinstance(value, list):
        return as_number(value, what=what)
    series = Series(reading["take"])
    for item in value:
        series.add(as_number(item, what=what))
    return series.number(where=what)


def _is_json_lines(text: bytes) -> bool:
    first, newline, rest = text.lstrip().partition(b"\n")
    is_object = first.startswith(b"{") and first.rstrip().endswith(b"}")
    return bool(newline) and is_object and rest.lstrip().startswith(b"{")


def _in_rows(text: bytes, name: str, reading: Reading) -> float:
    """Return the number in JSON lines; rows without the key are of another kind, passed over."""
    lines = [line for line in text.splitlines() if line.strip()]
    rows: list[tuple[str, float | str]] = []
    for line in lines:
        try:
            row = parse_json(line, name=name)
        except ReadingError:
            if line is lines[-1]:
                raise ReadingError(f"{name}: its last line is cut: {line[:60]!r}") from None
            continue
        said = line.decode(errors="replace")
        try:
            value = value_at(row, reading["key"], name=name)
        except ReadingError:
            rows.append((said, ""))
            continue
        rows.append((said, str(value) if value is None else as_number(value, what=name)))
    return _of_rows(rows, name, reading)


def _in_table(text: bytes, name: str, reading: Reading) -> float:
    """Return the number in a column; empty cells and headers that come again are passed over."""
    lines = text.decode("utf-8-sig", errors="replace")
    first = lines.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    try:
        table = list(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ReadingError(f"{name}: is no table ({error})") from None
    header = [cell.strip() for cell in table[0]] if table else []
    if reading["key"] not in header:
        columns = ", ".join(column[:80] for column in header[:8])
        raise ReadingError(f"{name}: no column {reading['key']!r}; it has {columns or 'none'}")
    at = header.index(reading["key"])
    cells = [row[at].strip() if at < len(row) else "" for row in table[1:]]
    rows = [
        (delimiter.join(row), "" if cell == reading["key"] else cell)
        for row, cell in zip(table[1:], cells, strict=True)
    ]
    return _of_rows(rows, name, reading)


def _of_rows(rows: Iterable[tuple[str, float | str]], name: str, reading: Reading) -> float:
    """Return the number of a series of rows, each with its text; '' stands for no value."""
    series, is_final = Series(reading["take"]), not reading["final"]
    marks = compile_mark(reading["final"]) if reading["final"] else ()
    for text, value in rows:
        if value != "":
            series.add(value)
            is_final = not marks
        is_final |= any(mark.search(text) for mark in marks)
    if not series.count:
        raise ReadingError(f"{name}: no row has {reading['key']!r}")
    number = series.number(where=f"{name}: {reading['key']!r}")
    if not is_final and math.isfinite(number):
        raise ReadingError(
            f"{name}: no final value, no row with {reading['final']!r} is at or after the last one"
        )
    return number
