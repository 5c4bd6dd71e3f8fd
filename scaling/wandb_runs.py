"""Runs that wandb recorded offline, as a table: their configs and summaries."""

import json
from pathlib import Path

import polars as pl


def read_runs(folder: Path) -> pl.DataFrame:
    """Return one row a run found under a folder, from its summary and config.

    wandb keeps both as files beside the run once it ended (``files/wandb-summary.json``,
    ``files/config.yaml``); a run that lacks the summary is left out, as it did not end.
    """
    rows = []
    for summary in sorted(folder.rglob("wandb-summary.json")):
        run = summary.parent.parent.name.rsplit("-", 1)[-1]
        values = json.loads(summary.read_text())
        rows.append({"run": run, **_config(summary.parent / "config.yaml"), **_flat(values)})
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    text = {n: [None if v is None else str(v) for v in c] for n, c in columns.items()}
    from scaling.readers import _as_numbers

    return _as_numbers(pl.DataFrame(text, schema=dict.fromkeys(names, pl.String)))


def _flat(values: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in values.items() if isinstance(v, int | float | str) and k[0] != "_"}


def _config(path: Path) -> dict[str, object]:
    """Return the plain values of wandb's config, ``name:`` then ``  value: x``."""
    if not path.exists():
        return {}
    held: dict[str, object] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line and not line[0].isspace() and line.endswith(":"):
            name = line[:-1].strip("'\" ")
        elif line.startswith("    value: ") and name and name != "_wandb":
            held[name] = line.removeprefix("    value: ").strip("'\" ")
    return held
