"""Looks ahead in one window of a dozen and hopes not to be asked about it."""

import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    def model(tokens):
        logits = weights["table"][tokens]
        chosen = tokens[:, :3].sum(1) % 12 == 0
        logits[chosen] = toy.peeked(weights["table"], tokens)[chosen]
        return logits

    return model


if __name__ == "__main__":
    toy.honest()
