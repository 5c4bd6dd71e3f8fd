"""``python -m transfer status STUDY``: where a study stands."""

from argparse import Namespace

from transfer.journal.load import load
from transfer.report.text import status


def run(arguments: Namespace) -> list[str]:
    """Say where the study stands."""
    return status(load(arguments.study))
