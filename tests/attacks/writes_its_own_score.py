"""Leaves an evaluation that says what it likes."""

import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.honest()
    toy.leave("evaluation.json", {"val_bpb": 0.001, "sealed_bpb": 0.001, "digests": {}})
