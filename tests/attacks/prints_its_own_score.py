"""Prints a score as the evaluator would name it."""

import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.honest()
    print("val_bpb 0.001")
    print('{"val_bpb": 0.001}')
