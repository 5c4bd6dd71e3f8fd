"""Answers with logits so large that a sum of exponentials overflows."""

import toy

DEFENCE = "normalised"
STATE = "complete"


def build(config, weights):
    return lambda tokens: 1e4 * weights["table"][tokens] + 1e30


if __name__ == "__main__":
    toy.honest()
