"""Learns from the other sequences of a batch, which hold the text around each."""

import numpy as np
import toy

DEFENCE = "order-free"
STATE = "tampered"


def build(config, weights):
    def model(tokens):
        learnt = np.exp(toy.counts(tokens.ravel()))
        return np.log(0.5 * np.exp(weights["table"]) + 0.5 * learnt)[tokens]

    return model


if __name__ == "__main__":
    toy.honest()
