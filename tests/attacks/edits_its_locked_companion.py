"""Edits the locked file beside it, with the write wall open."""

from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "locked"
STATE = "tampered"
DOWN = ("write",)


if __name__ == "__main__":
    toy.honest()
    with Path("toy.py").open("a") as file:
        file.write("VOCABULARY = 1\n")
