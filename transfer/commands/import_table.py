"""``python -m transfer import STUDY TABLE``: runs made elsewhere, at the target too."""

import time
from argparse import Namespace

from transfer.journal.load import load
from transfer.study.import_runs import take


def run(arguments: Namespace) -> list[str]:
    """Enter the table's runs into the study's journal and say what came in."""
    return take(load(arguments.study), arguments.table, clock=time.time)
