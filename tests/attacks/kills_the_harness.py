"""Signals its parents and every process it can see."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "processes"
STATE = "complete"


def bystanders(seen):
    """Processes of this user that the test started to be killed."""
    for pid in seen:
        with suppress(OSError):
            if b"bystander-of-the-attacks" in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid


if __name__ == "__main__":
    toy.honest()
    seen = {int(path.name) for path in Path("/proc").glob("[0-9]*")}
    for pid in sorted({os.getppid(), *bystanders(seen)}):
        if pid not in (1, os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)
                toy.loot(f"killed {pid}")
