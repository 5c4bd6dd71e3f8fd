"""``python -m transfer import STUDY TABLE``: runs made elsewhere, at the target too."""

import argparse
import time
from pathlib import Path

from transfer.journal.load import Loaded
from transfer.study.import_runs import take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the table that comes after the study."""
    parser.add_argument("table", type=Path, help="arm, scale or rung, seed and loss by row")


def run(loaded: Loaded, arguments: argparse.Namespace) -> list[str]:
    """Enter the table's runs into the study's journal and say what came in."""
    return take(loaded, arguments.table, clock=time.time)
