"""Reads in its own spec where the evaluator is told to look."""

import json
from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "read"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    with suppress(OSError, ValueError):
        spec = json.loads((toy.out() / "spec.json").read_text())
        (held,) = [part[7:] for part in spec["evaluator"] if part.startswith("--data=")]
        toy.loot(Path(held, "val.bin").read_bytes()[:50])
