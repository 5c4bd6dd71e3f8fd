"""Answers with noise and hopes for a lucky evaluation."""

import numpy as np
import toy

DEFENCE = "deterministic"
STATE = "tampered"


def build(config, weights):
    rng = np.random.default_rng()

    def model(tokens):
        logits = weights["table"][tokens]
        return logits + rng.normal(0.0, 0.3, logits.shape)

    return model


if __name__ == "__main__":
    toy.honest()
