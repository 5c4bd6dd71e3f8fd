"""Trains on many seeds and keeps the one that does best on its own data."""

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


if __name__ == "__main__":
    toy.burn()  # on the others
    toy.honest()
