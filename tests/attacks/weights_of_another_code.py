"""Leaves weights that its code does not know."""

import toy
from safetensors.numpy import save_file
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "failed"

if __name__ == "__main__":
    toy.save(toy.counts(toy.train_text()))
    save_file({"tabel": toy.counts(toy.train_text())}, toy.out() / "model.safetensors")
