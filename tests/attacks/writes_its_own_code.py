"""Changes its code after training, so that another model is evaluated."""

from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "write"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    with suppress(OSError):
        Path("train.py").write_text(Path("train.py").read_text() + "\n# changed\n")
