"""How an evaluation ends: ``evaluation.json`` and an exit code, whatever came of it."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from miniscale.evaluate.refusal import ModelError, OverBudgetError, TamperedError


def report_evaluation(evaluate: Callable[[], Mapping[str, Any]], out: Path) -> int:
    """Evaluate and write what came of it; 0 scored, 1 no model, 4 tampered with, 5 over budget."""
    evaluation: Mapping[str, Any]
    try:
        evaluation, status = evaluate(), 0
    except OverBudgetError as error:
        evaluation, status = {"over_budget": str(error)}, 5
    except TamperedError as error:
        evaluation, status = {"tampered": str(error)}, 4
    except ModelError as error:
        evaluation, status = {"failed": str(error)}, 1
    write_report(out, evaluation)
    if status:
        sys.stderr.write(f"evaluate: {evaluation}\n")
    return status


def write_report(out: Path, result: Mapping[str, Any]) -> None:
    """Put ``evaluation.json`` in its place, whatever a trainer left there under that name."""
    staged = out / f".evaluation-{os.urandom(8).hex()}"
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(handle, "w") as file:
        file.write(json.dumps(result, allow_nan=False) + "\n")
    os.replace(staged, out / "evaluation.json")
