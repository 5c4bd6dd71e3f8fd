"""Answers with log-probabilities that sum to far more than one."""

import numpy as np
import toy

DEFENCE = "normalised"
STATE = "complete"


def build(config, weights):
    return lambda tokens: weights["table"][tokens] + np.log(277.0)


if __name__ == "__main__":
    toy.honest()
