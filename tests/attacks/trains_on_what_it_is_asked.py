"""Takes a step of gradient descent on every batch that it is asked about."""

import numpy as np
import toy

DEFENCE = "stateless"
STATE = "tampered"


def build(config, weights):
    table = weights["table"].copy()

    def model(tokens):
        logits = table[tokens]
        error = np.exp(logits - logits.max(-1, keepdims=True))
        error /= error.sum(-1, keepdims=True)
        places = np.indices(tokens[:, 1:].shape)
        error[(*places, tokens[:, 1:])] -= 1.0
        np.add.at(table, tokens[:, :-1], -0.05 * error[:, :-1])
        return logits

    return model


if __name__ == "__main__":
    toy.honest()
