"""Runs that wandb recorded offline, as a table: one row a run, its config and last summary.

An offline run is one file: seven bytes of header, then LevelDB's log framing (blocks of 32 KiB,
records cut into chunks with a header of seven bytes) around protobuf records. wandb's own package
is imported for the record's schema only, when such a folder is read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

_BLOCK, _HEAD = 32768, 7
_WHOLE, _FIRST, _LAST = 1, 2, 4


def read_runs(folder: Path) -> pl.DataFrame:
    """Return one row a run found under a folder, as text; a torn record ends its run.

    Columns are the config's names (nested ones joined by dots) and the summary's, the summary
    winning; ``State`` is ``finished`` or ``running``.
    """
    rows = [_row(path) for path in sorted(folder.rglob("*.wandb"))]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def _row(path: Path) -> dict[str, str]:
    from wandb.proto import wandb_internal_pb2

    schema: Any = wandb_internal_pb2
    held: dict[str, str] = {"run": path.stem.removeprefix("run-"), "State": "running"}
    config: dict[str, str] = {}
    summary: dict[str, str] = {}
    for raw in _records(path.read_bytes()):
        record = schema.Record.FromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            held["run"] = record.run.run_id or held["run"]
            config |= _items(record.run.config.update)
        elif kind == "config":
            config |= _items(record.config.update)
        elif kind == "summary":
            summary |= _items(record.summary.update)
        elif kind == "history":
            summary |= _items(record.history.item)
        elif kind == "exit":
            held["State"] = "crashed" if record.exit.exit_code else "finished"
    return held | config | summary


def _items(items: object) -> dict[str, str]:
    """Return the plain values of protobuf items; nested objects are flattened."""
    values: dict[str, str] = {}
    for item in items:  # type: ignore[attr-defined]
        name = item.key or ".".join(item.nested_key)
        if not name.startswith("_"):
            values |= _flat(name, json.loads(item.value_json))
    return values


def _flat(name: str, value: object) -> dict[str, str]:
    if isinstance(value, dict):
        if set(value) == {"value"}:
            return _flat(name, value["value"])
        return {
            k: v for key, held in value.items() for k, v in _flat(f"{name}.{key}", held).items()
        }
    return {name: str(value)} if isinstance(value, str | int | float) else {}


def _records(data: bytes) -> Iterator[bytes]:
    at, parts = _HEAD, b""
    while at + _HEAD <= len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEAD:
            at += room
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        chunk = data[at + _HEAD : at + _HEAD + size]
        if not _WHOLE <= kind <= _LAST or len(chunk) < size:
            return
        at += _HEAD + size
        parts = chunk if kind in (_WHOLE, _FIRST) else parts + chunk
        if kind in (_WHOLE, _LAST):
            yield parts
