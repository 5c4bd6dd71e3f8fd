"""``python -m transfer record [ROOT]``: how our own forecasts and odds fared, over all studies."""

from argparse import Namespace

from transfer.report.track_record import lines, survey_root


def run(arguments: Namespace) -> list[str]:
    """Score every claim of the studies under a folder."""
    return lines(survey_root(arguments.root))
