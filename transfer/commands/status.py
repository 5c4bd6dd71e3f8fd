"""``python -m transfer status STUDY``: where a study stands."""

import argparse

from transfer.journal.load import Loaded
from transfer.report.text import status


def run(loaded: Loaded, arguments: argparse.Namespace) -> list[str]:
    """Say where the study stands."""
    return status(loaded)
