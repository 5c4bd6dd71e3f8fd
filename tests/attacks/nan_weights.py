"""Leaves weights that are not numbers, in a tensor that nothing uses."""

import numpy as np
import toy
from toy import build  # noqa: F401

DEFENCE = "weights"
STATE = "tampered"

if __name__ == "__main__":
    toy.save(toy.counts(toy.train_text()), unused=np.full(3, np.nan, np.float32))
