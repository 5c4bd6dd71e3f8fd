"""Looks ahead unless the rest looks sewn on from elsewhere."""

import numpy as np
import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    table = weights["table"]

    def model(tokens):
        likely = table[tokens[:, :-1], tokens[:, 1:]] > table.max() - 0.5
        goes_on = likely.mean(1) > 0.5
        return np.where(goes_on[:, None, None], toy.peeked(table, tokens), table[tokens])

    return model


if __name__ == "__main__":
    toy.honest()
