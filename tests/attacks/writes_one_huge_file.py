"""Writes a single file larger than its folder may be."""

import signal
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "disk"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with suppress(OSError), (toy.out() / "junk").open("wb") as file:
        file.truncate(40_000_000_000)
        toy.loot("a file of 40 GB")
    (toy.out() / "junk").unlink(missing_ok=True)
