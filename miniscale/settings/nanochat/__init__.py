"""A miniature nanochat: one dial, real text, a budget in FLOPs. See train.py."""
