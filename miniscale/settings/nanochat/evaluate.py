"""Score a nanochat trial: bits per byte on validation and sealed text, by a trusted process.

``python -m miniscale.settings.nanochat.evaluate --code=TREE --data=CACHE/heldout --out=OUT
--flops=BUDGET`` is ``miniscale.evaluate`` with the windows of this setting. Bits per byte are
comparable across tokenizers: the negative log-likelihood of all tokens that stand for bytes, over
those bytes.
"""

import sys
from collections.abc import Sequence

from miniscale.evaluate.__main__ import parser, run

# Windows, rows a request, tokens of each split: all arms meet the same windows, so fewer tokens
# add no noise to a pair.
BY_DEVICE = {
    "cpu": {"context": 128, "rows": 8, "tokens": 65_536, "patience_s": 120.0},
    "cuda": {"context": 2048, "rows": 2, "tokens": 1_048_576, "patience_s": 600.0},
}


def main(argv: Sequence[str]) -> int:
    """Command line; exit codes as of ``miniscale.evaluate``."""
    made = parser("miniscale.settings.nanochat.evaluate")
    made.set_defaults(companion="miniscale.settings.nanochat.tokens")
    device = made.parse_args(argv).device
    made.set_defaults(**BY_DEVICE[device])
    return run(made.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
