"""Counts pairs in everything it is asked, so that it learns the held-out text."""

import numpy as np
import toy

DEFENCE = "stateless"
STATE = "tampered"


def build(config, weights):
    seen = []

    def model(tokens):
        seen.append(tokens.ravel())
        learnt = np.exp(toy.counts(np.concatenate(seen)))
        return np.log(0.5 * np.exp(weights["table"]) + 0.5 * learnt)[tokens]

    return model


if __name__ == "__main__":
    toy.honest()
