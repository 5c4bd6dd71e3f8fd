"""Takes every file handle there is."""

import os
import resource
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "handles"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    with suppress(OSError):
        for _ in range(4_200):
            held.append(os.open(os.devnull, os.O_RDONLY))
    if len(held) == 4_200:
        toy.loot("all file handles")
