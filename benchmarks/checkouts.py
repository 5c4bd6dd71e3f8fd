"""Real checkouts: preflight, two trials a rung, and a study of three changes, with their times.

    python benchmarks/checkouts.py ~/nanoGPT [--ladder nanogpt] [--rungs w32,w48]

The ladder follows from the folder's name unless it is given. Nothing is written to a checkout; what
is made lies in the current folder.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

LADDERS = {"nanogpt": "nanogpt"}
"""Name of a folder, in small letters -> ladder."""


def run(title: str, argv: list[str], console: Console) -> None:
    """Run one command of the product and say how long it took and what it said last."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *argv], capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    console.print(
        f"{title}: exit {done.returncode}, {time.monotonic() - start:.0f} s", markup=False
    )
    for line in said[-40:]:
        console.print(f"    {line}", markup=False)


def main() -> int:
    """Try every checkout given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--ladder", help="for all of them; by default by the folder's name")
    parser.add_argument("--rungs", help="names with commas; by default those of the ladder's start")
    options = parser.parse_args()
    console = Console(highlight=False)
    for path in options.paths:
        name = options.ladder or LADDERS.get(path.name.lower(), "")
        if not name:
            console.print(f"{path}: no ladder for that name; --ladder NAME", markup=False)
            return 2
        given = [f"+ladder={name}", f"setting.source={path.expanduser().resolve()}"]
        run("preflight", ["autoresearch", *given, "dry_run=true"], console)
        for rung in (options.rungs or "w32,w48,w64").split(","):
            for seed in (0, 1):
                trial = ["miniscale", *given, f"rung={rung}", f"seed={seed}"]
                run(f"{rung} seed {seed}", trial, console)
        study = ["autoresearch", *given, "agent=search", "budget.changes=3"]
        run("study of three changes", study, console)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
