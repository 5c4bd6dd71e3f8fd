"""Replaces the evaluator's own functions, from inside and by what it leaves of its classes."""

import sys

import toy

DEFENCE = "own process"
STATE = "complete"


def build(config, weights):
    from miniscale.evaluate import heldout_text, leak_checks, score_tokens

    heldout_text.nats = lambda logits, targets, **_: 0.0 * targets
    heldout_text.Text.bits_per_byte = lambda self, nats: 0.001
    leak_checks.refuse = score_tokens.evaluate = lambda *_, **__: {"val_bpb": 0.001}
    for module in [m for n, m in sys.modules.items() if n.startswith("miniscale")]:
        module.TOLERATED = 1e9
    return toy.build(config, weights)


if __name__ == "__main__":
    toy.honest()
