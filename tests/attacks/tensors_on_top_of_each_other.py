"""Leaves weights whose tensors share their bytes."""

import toy
from toy import build  # noqa: F401

DEFENCE = "weights"
STATE = "tampered"

if __name__ == "__main__":
    toy.honest()
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    blob = toy.framed({"table": entry, "twin": entry})
    (toy.out() / "model.safetensors").write_bytes(blob)
