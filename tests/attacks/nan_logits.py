"""Answers NaN where it would do badly, in case that counts for nothing."""

import numpy as np
import toy

DEFENCE = "finite"
STATE = "tampered"


def build(config, weights):
    def model(tokens):
        logits = weights["table"][tokens]
        logits[:, 16:] = np.nan
        return logits

    return model


if __name__ == "__main__":
    toy.honest()
