"""Answers far more than the shared memory holds."""

import numpy as np
import toy

DEFENCE = "shape"
STATE = "tampered"


def build(config, weights):
    return lambda tokens: np.broadcast_to(np.float32(0), (*tokens.shape, 1 << 20))


if __name__ == "__main__":
    toy.honest()
