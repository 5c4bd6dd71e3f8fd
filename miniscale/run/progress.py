"""How far a trial has come, read from the lines its trainer leaves behind."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Progress:
    """The last step that a trainer logged; ``loss`` is None where it is not a number."""

    step: int
    steps: int
    loss: float | None
    seconds: float


def progress(folder: Path) -> Progress | None:
    """Return the last whole line of a trial's ``metrics.jsonl``, or None if there is none yet."""
    try:
        # a trainer may put a link or a pipe there, and we must not follow or wait
        handle = os.open(folder / "metrics.jsonl", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(handle, "rb") as file:
            file.seek(max(0, os.fstat(handle).st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).split(b"\n")[
                :-1
            ]  # what follows the last newline is half written
    except OSError:
        return None
    for line in reversed(lines):
        last_step = _decode(line)
        if last_step is not None:
            return last_step
    return None


def _decode(line: bytes) -> Progress | None:
    try:
        data = json.loads(line)
        loss = data.get("loss")
        return Progress(
            step=int(data["step"]),
            steps=int(data["steps"]),
            loss=None if loss is None else float(loss),
            seconds=float(data.get("seconds", 0.0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None  # a trainer's own lines are welcome, they are just not progress
