"""Reads what wandb left on disk: LevelDB log framing around protobuf records."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER, FILE_HEADER = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbRun:
    """One run as its file tells it."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    """Metric (or glob) -> the metric it is drawn against."""
    artifacts: list[str] = field(default_factory=list)
    is_ended: bool = False

    def values(self, name: str) -> list[Any]:
        """Return a metric's values in the order logged."""
        return [row[name] for row in self.history if name in row]


def records(path: Path) -> Iterator[bytes]:
    """Yield whole records; a torn last one is left out."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = FILE_HEADER, b""
    while at + HEADER <= len(data):
        room = BLOCK - at % BLOCK
        if room < HEADER:
            at += room
            continue
        size = int.from_bytes(data[at + 4 : at + 6], "little")
        kind = data[at + 6]
        chunk = data[at + HEADER : at + HEADER + size]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(chunk) < size:
            return
        at += HEADER + size
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        if kind in (FULL, LAST):
            yield parts


def read_run(folder: Path) -> WandbRun:
    """Read a run's folder."""
    from wandb.proto import wandb_internal_pb2

    found = WandbRun()
    (path,) = folder.glob("*.wandb")
    for raw in records(path):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.id, found.group = record.run.run_id, record.run.run_group
            found.job_type = record.run.job_type
            found.config |= _items(record.run.config.update)
        elif kind == "config":
            found.config |= _items(record.config.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            found.is_ended = True
        elif kind == "artifact":
            found.artifacts += [entry.path for entry in record.artifact.manifest.contents]
    return found


def _items(items: Any) -> dict[str, Any]:
    """Return key-value records as a mapping; nested keys become mappings again."""
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return found


def read_table(folder: Path, reference: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table that a run's history refers to."""
    table = json.loads((folder / "files" / reference["path"]).read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
