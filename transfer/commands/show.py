"""``python -m transfer show c17 STUDY``: one change in full."""

import argparse

from miniscale.setting.decode import InputError, nearest
from transfer.journal.load import Loaded
from transfer.report.text import show


def add_leading_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what comes before the study."""
    parser.add_argument("id", help="the change, e.g. c17")


def run(loaded: Loaded, arguments: argparse.Namespace) -> list[str]:
    """Say all that is known of one change.

    Raises
    ------
    InputError
        If the study has no such change.
    """
    if arguments.id not in loaded.state.changes:
        raise InputError(
            f"change '{arguments.id}': not in study {loaded.name}; "
            f"{nearest(arguments.id, loaded.state.changes)}"
        )
    return show(loaded, arguments.id)
