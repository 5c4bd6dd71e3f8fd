"""Looks at the next token, which it was sent as part of the input."""

import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    return lambda tokens: toy.peeked(weights["table"], tokens)


if __name__ == "__main__":
    toy.honest()
