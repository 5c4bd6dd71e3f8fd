"""``python -m transfer report STUDY``: write the report again from the journal."""

import argparse

from transfer.journal.load import Loaded
from transfer.report.tables import write_results_tsv
from transfer.report.write import write_report


def run(loaded: Loaded, arguments: argparse.Namespace) -> list[str]:
    """Write report and tables; say where the page lies."""
    folder = loaded.folder
    write_results_tsv(loaded.ladder, loaded.state, folder.path / "results.tsv")
    write_report(loaded.ladder, loaded.state, folder.report, audits=folder.path.parent)
    return [str(folder.report / "index.html")]
