"""``python -m miniscale.evaluate --code=TREE --data=HELDOUT --out=OUT``: score a token model.

Writes OUT/evaluation.json; 0 scored, 4 tampered with, 5 over budget (why is in the file), 1 where
the model itself fails.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate.evaluation_file import report_evaluation
from miniscale.evaluate.model_host import HostTerms, scratch_folder
from miniscale.evaluate.score_tokens import ScoringJob, evaluate
from miniscale.run.worker import BOX_VARIABLE, TRAINER_CPU


def parser(program: str) -> argparse.ArgumentParser:
    """Options of every evaluator of token models."""
    made = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    for name in ("code", "data", "out"):
        made.add_argument(f"--{name}", type=Path, required=True)
    made.add_argument("--flops", type=float, default=None, help="budget of the trial")
    made.add_argument("--stop", type=float, default=1.0, help="share of it that may be spent")
    made.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--framework", default="torch", choices=["torch", "numpy"])
    made.add_argument("--companion", default="", help="module of ours that tunes and counts")
    made.add_argument("--context", type=int, default=128, help="tokens a window")
    made.add_argument("--rows", type=int, default=8, help="windows a request")
    made.add_argument("--tokens", type=int, default=65_536, help="of each split at most")
    made.add_argument("--patience_s", type=float, default=120.0, help="for one answer")
    made.add_argument("--seed", type=int, default=-1, help="of the checks; below 0 it is drawn")
    return made


def run(options: argparse.Namespace) -> int:
    """Evaluate, and leave the scores or the reason why there are none."""
    terms = HostTerms(
        options.code.absolute(),
        framework=options.framework,
        companion=options.companion,
        device=options.device,
        threads=options.threads,
        rows=options.rows,
        context=options.context,
        box=os.environ.get(BOX_VARIABLE, "process"),
        patience_s=options.patience_s,
    )
    job = ScoringJob(
        terms,
        options.data,
        options.out,
        tokens=options.tokens,
        trainer_cpu_s=float(os.environ[TRAINER_CPU]) if TRAINER_CPU in os.environ else None,
        budget_flops=None if options.flops is None else options.flops * options.stop,
    )
    seed = int.from_bytes(os.urandom(8)) if options.seed < 0 else options.seed
    rng = np.random.default_rng(seed)

    def scored() -> dict[str, Any]:
        with scratch_folder(options.out) as folder:
            evaluation = evaluate(job, folder=folder, outside=os.environ, rng=rng)
        evaluation["checks"]["seed"] = str(seed)
        return evaluation

    return report_evaluation(scored, options.out)


def main(argv: Sequence[str]) -> int:
    """Command line."""
    return run(parser("miniscale.evaluate").parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
