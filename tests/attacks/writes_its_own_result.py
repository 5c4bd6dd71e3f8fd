"""Leaves the result of the whole trial, and of an earlier one."""

from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.honest()
    for name in ("result.json", "result.json.tmp"):
        with suppress(OSError):
            toy.leave(name, {"identity": "t", "state": "complete", "value": 0.001})
