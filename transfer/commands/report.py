"""``python -m transfer report STUDY``: write the report again from the journal."""

import argparse

from transfer.journal.load import Loaded
from transfer.report.write import write_results


def run(loaded: Loaded, arguments: argparse.Namespace) -> list[str]:
    """Write report and tables; say where the page lies."""
    write_results(loaded.ladder, loaded.state, loaded.folder)
    return [str(loaded.folder.report / "index.html")]
