"""``python -m transfer report STUDY``: write the report again from the journal."""

from argparse import Namespace

from transfer.journal.load import load
from transfer.report.write import write_results


def run(arguments: Namespace) -> list[str]:
    """Write report and tables; say where the page lies."""
    loaded = load(arguments.study)
    write_results(loaded.ladder, loaded.state, loaded.folder)
    return [str(loaded.folder.report / "index.html")]
