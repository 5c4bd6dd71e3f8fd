"""Leaves code in caches and start-up files that later programs load."""

import os
from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "write"
STATE = "complete"
CACHES = ("/tmp", "/var/tmp", "/dev/shm")


if __name__ == "__main__":
    toy.honest()
    for place in (*CACHES, os.path.expanduser("~")):
        folder = Path(place) / ".cache" / "torch"
        for path in (folder / "kernel.so", Path(place) / "sitecustomize.py"):
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text("raise SystemExit")
    for path in toy.out().absolute().parents:
        with suppress(OSError):
            (path / "home" / ".ssh" / "authorized_keys").write_text("mine")
