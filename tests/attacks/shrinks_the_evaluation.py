"""Answers only for half of what was asked."""

import toy

DEFENCE = "shape"
STATE = "tampered"


def build(config, weights):
    return lambda tokens: weights["table"][tokens][:, : tokens.shape[1] // 2]


if __name__ == "__main__":
    toy.honest()
