"""Writes files until the disk is full."""

import os
import time
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "disk"
STATE = "over_budget"


if __name__ == "__main__":
    toy.honest()
    for i in range(60):
        with suppress(OSError):
            (toy.out() / f"junk-{i}").write_bytes(os.urandom(1_000_000))
    time.sleep(4)
