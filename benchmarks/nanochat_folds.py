"""Design nanochat's ladder with every third change held out, in three turns.

    python benchmarks/nanochat_folds.py

Prints, for each turn, the accuracy of the cell chosen in the panel and on the changes held out;
runs nothing, since ``results/nanochat_design.csv`` holds all trials.
"""

import subprocess
import sys
import tempfile

from nanochat_paths import TABLE
from nanochat_sweep import AUDITED, ROOT

TURNS = 3


def said(held: tuple[str, ...], folder: str) -> list[str]:
    """Return the lines of a design that say what was chosen and how far it can be believed."""
    words = ["+setting=nanochat", "trial.compute=2.7e11", f"table={TABLE}", f"out={folder}"]
    argv = [sys.executable, "-m", "transfer", "design", *words]
    done = subprocess.run(
        [*argv, f"holdout_changes=[{','.join(held)}]"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return [line for line in lines if line.startswith(("design", "panel")) or "held out" in line]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS):
            held = AUDITED[turn::TURNS]
            sys.stdout.write("\n".join([f"held out: {', '.join(held)}", *said(held, folder), ""]))


if __name__ == "__main__":
    main()
