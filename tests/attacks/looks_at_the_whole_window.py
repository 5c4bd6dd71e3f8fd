"""Counts pairs in the whole window, those to come included."""

import numpy as np
import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    def model(tokens):
        logits = weights["table"][tokens]
        for row, own in zip(logits, tokens, strict=True):
            row += 2.0 * np.log1p(np.exp(toy.counts(own)) * 4)[own]
        return logits

    return model


if __name__ == "__main__":
    toy.honest()
