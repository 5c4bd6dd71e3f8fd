"""Starts processes until no more are to be had."""

import shutil
import subprocess
import time
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "processes"
STATE = "over_budget"


if __name__ == "__main__":
    toy.honest()
    for _ in range(80):
        with suppress(OSError):
            subprocess.Popen([toy.leftovers(), "20"], executable=shutil.which("sleep"))
    time.sleep(4)
