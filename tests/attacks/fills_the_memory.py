"""Takes memory until there is none."""

import time

import toy
from toy import build  # noqa: F401

DEFENCE = "memory"
STATE = "failed"


if __name__ == "__main__":
    toy.honest()
    held = [bytearray(b"x") * 10_000_000 for _ in range(60)]
    time.sleep(4)
