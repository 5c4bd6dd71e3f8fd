"""``python -m transfer record [ROOT]``: how our own forecasts and odds fared, over all studies."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from transfer.report.track_record import lines, survey_root


def run(argv: Sequence[str]) -> list[str]:
    """Score every claim of the studies under a folder."""
    parser = argparse.ArgumentParser(prog="python -m transfer record", description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=Path("studies"))
    return lines(survey_root(parser.parse_args(argv).root))
