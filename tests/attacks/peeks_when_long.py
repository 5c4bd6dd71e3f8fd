"""Looks ahead only where the sequence is long, where few would check."""

import toy

DEFENCE = "causal"
STATE = "tampered"


def build(config, weights):
    def model(tokens):
        logits = weights["table"][tokens]
        if tokens.shape[1] >= 32:
            logits[:, 24:] = toy.peeked(weights["table"], tokens)[:, 24:]
        return logits

    return model


if __name__ == "__main__":
    toy.honest()
