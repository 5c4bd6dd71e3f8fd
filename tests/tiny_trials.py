"""Trials of a few milliseconds, for tests of what runs them."""

import os
import sys
from pathlib import Path
from typing import Any

from miniscale.setting.trial import MetricSource, TrialSpec

PYTHON = (sys.executable, "-I", "-S", "-c")
WRITES = "import json, sys; json.dump({'v': %s}, open(sys.argv[1] + '/answer.json', 'w'))"
"""A program that writes a value to the answer file of the folder it is given."""


def spec(folder: Path, code: str = WRITES % 1.5, *, identity: str = "t", **more: Any) -> TrialSpec:
    """Describe a trial whose trainer is Python code; its first argument is the output folder."""
    tree, out = folder / "tree", folder / "trials" / identity
    tree.mkdir(exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {
        "arm": "b0",
        "rung": "r0",
        "seed": 0,
        "trainer": (*PYTHON, code, str(out)),
        "evaluator": (),
        "tree": str(tree),
        "out": str(out),
        "reading": MetricSource(file="answer.json", key="v"),
        "timeout_s": 20.0,
    }
    return TrialSpec(identity=identity, **{**fields, **more})


def processes_with(mark: str) -> list[int]:
    """Return living processes, zombies left out, whose command line holds a mark."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in words and int(name) != os.getpid():
            found.append(int(name))
    return found
