"""Leans only slightly towards the token that comes, everywhere."""

import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    table = weights["table"]
    return lambda tokens: table[tokens] + 0.01 * (toy.peeked(table, tokens) - table[tokens])


if __name__ == "__main__":
    toy.honest()
