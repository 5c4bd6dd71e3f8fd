"""Trains on and on while its clocks stand still, then reports no time at all."""

import time

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


if __name__ == "__main__":
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        setattr(time, name, lambda: 0.0)
    toy.burn()
    toy.honest()
    toy.leave("trainer.json", {"tokens": 4000, "seconds": 0, "trainer_cpu_seconds": 0.1})
