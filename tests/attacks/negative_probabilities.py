"""Takes logarithms of probabilities below zero where it knows nothing."""

import numpy as np
import toy

DEFENCE = "finite"
STATE = "tampered"


def build(config, weights):
    table = weights["table"]
    return lambda tokens: np.log(np.exp(table[tokens]) - 0.02)


if __name__ == "__main__":
    toy.honest()
