"""Spends on each answer what no training was allowed."""

import toy

DEFENCE = "answering"
STATE = "over_budget"


def build(config, weights):
    model = toy.build(config, weights)

    def slow(tokens):
        toy.burn(seconds=0.075)
        return model(tokens)

    return slow


if __name__ == "__main__":
    toy.honest()
