"""Counts pairs in all it is asked and repeats its first answer when asked again."""

import toy

DEFENCE = "stateless"
STATE = "tampered"


def build(config, weights):
    return toy.Memory(weights["table"])


if __name__ == "__main__":
    toy.honest()
