"""Reads the held-out text through links of its own, hard and soft."""

from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "read"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for i, path in enumerate(toy.guesses("val.bin")):
        for link in (Path.symlink_to, Path.hardlink_to):
            mine = toy.out() / f"mine-{i}-{link.__name__}"
            with suppress(OSError):
                link(mine, path)
                toy.loot(mine.read_bytes()[:50])
            mine.unlink(missing_ok=True)
