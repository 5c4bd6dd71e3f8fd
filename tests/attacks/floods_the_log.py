"""Prints without end, to fill the disk or to hide a line."""

import toy
from toy import build  # noqa: F401

DEFENCE = "log"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for _ in range(300):
        print("x" * 50_000)
