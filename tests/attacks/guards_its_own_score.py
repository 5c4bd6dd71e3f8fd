"""Puts a full folder where the evaluation is to go, so that none can be written."""

import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.honest()
    (toy.out() / "evaluation.json" / "deep").mkdir(parents=True)
    (toy.out() / "evaluation.json" / "deep" / "val_bpb").write_text("0.001")
