"""Bets infinitely much on its guess."""

import numpy as np
import toy

DEFENCE = "finite"
STATE = "tampered"


def build(config, weights):
    table = weights["table"]
    return lambda tokens: np.where(table == table.max(1, keepdims=True), np.inf, table)[tokens]


if __name__ == "__main__":
    toy.honest()
