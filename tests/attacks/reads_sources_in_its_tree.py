"""Reads the source that lies in its own tree, by several names."""

from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "hidden"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    toy.take(Path("data/source.bin"))
    toy.take(Path(f"../{Path.cwd().name}/data/../data/source.bin"))
    for path in (*Path().rglob("*.bin"), *Path("data").glob("*")):
        toy.take(path)
