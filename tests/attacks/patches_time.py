"""Replaces every clock, so that no time passes."""

import time

import toy

DEFENCE = "own process"
STATE = "complete"


def build(config, weights):
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        setattr(time, name, lambda: 0.0)
    return toy.build(config, weights)


if __name__ == "__main__":
    toy.honest()
