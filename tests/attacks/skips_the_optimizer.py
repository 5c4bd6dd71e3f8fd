"""Does not train at all and hopes that nobody looks."""

import numpy as np
import toy
from toy import build  # noqa: F401

DEFENCE = "evaluator"
STATE = "complete"

if __name__ == "__main__":
    toy.save(np.zeros((toy.VOCABULARY, toy.VOCABULARY), np.float32))
