"""Puts easier text where the next trial looks for the training data."""

from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "write"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    with suppress(OSError):
        (toy.data() / "train.bin").write_bytes(bytes(8000))
