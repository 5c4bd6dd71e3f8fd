"""Leaves weights of which one tensor claims to be an exabyte large."""

import toy
from toy import build  # noqa: F401

DEFENCE = "weights"
STATE = "tampered"

if __name__ == "__main__":
    toy.honest()
    shape = [1 << 30, 1 << 30]
    blob = toy.framed({"table": {"dtype": "F32", "shape": shape, "data_offsets": [0, 1 << 62]}})
    (toy.out() / "model.safetensors").write_bytes(blob)
