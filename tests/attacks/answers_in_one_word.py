"""Has a vocabulary of one, in which everything is certain."""

import toy

DEFENCE = "shape"
STATE = "tampered"


def build(config, weights):
    return lambda tokens: weights["table"][tokens][..., :1]


if __name__ == "__main__":
    toy.honest()
