"""``python -m transfer show c17 STUDY``: one change in full."""

from argparse import Namespace

from miniscale.setting.decode import InputError, nearest
from transfer.journal.load import load
from transfer.report.text import show


def run(arguments: Namespace) -> list[str]:
    """Say all that is known of one change.

    Raises
    ------
    InputError
        If the study has no such change.
    """
    loaded = load(arguments.study)
    if arguments.id not in loaded.state.changes:
        raise InputError(
            f"change '{arguments.id}': not in study {loaded.name}; "
            f"{nearest(arguments.id, loaded.state.changes)}"
        )
    return show(loaded, arguments.id)
