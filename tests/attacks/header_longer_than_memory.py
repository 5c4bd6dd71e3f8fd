"""Leaves weights whose header claims to be an exabyte long."""

import toy
from toy import build  # noqa: F401

DEFENCE = "weights"
STATE = "tampered"

if __name__ == "__main__":
    toy.honest()
    blob = (1 << 60).to_bytes(8, "little") + b"{}"
    (toy.out() / "model.safetensors").write_bytes(blob)
