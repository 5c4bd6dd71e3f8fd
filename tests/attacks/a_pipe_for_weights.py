"""Leaves a pipe that nobody writes to where its weights should be."""

import os

import toy
from toy import build  # noqa: F401

DEFENCE = "files"
STATE = "tampered"

if __name__ == "__main__":
    toy.honest()
    (toy.out() / "model.safetensors").unlink()
    os.mkfifo(toy.out() / "model.safetensors")
