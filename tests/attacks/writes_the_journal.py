"""Appends a result of its own to the study's journal."""

from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "write"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for path in toy.guesses("journal.jsonl"):
        with suppress(OSError):
            if path.exists():
                with path.open("a") as file:
                    file.write('{"value": 0.001}')
