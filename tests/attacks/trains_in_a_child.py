"""Trains on and on in a process of its own, and reports its own few seconds."""

import subprocess
import sys

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


if __name__ == "__main__":
    subprocess.run([sys.executable, "-c", "import toy; toy.burn()"], check=True)
    toy.honest()
