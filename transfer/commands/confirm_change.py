"""``python -m transfer confirm STUDY c7``: a person vouches for a suspicious change."""

import time
from argparse import Namespace
from contextlib import closing

from miniscale.setting.decode import InputError, nearest
from transfer.events import Confirmed, Outcome
from transfer.journal.load import load
from transfer.journal.store import Journal


def run(arguments: Namespace) -> list[str]:
    """Write down that a change's numbers are to be believed.

    Raises
    ------
    InputError
        If the study has no such change, or it is not suspicious.
    """
    loaded, arm = load(arguments.study), arguments.id
    state = loaded.state
    if arm not in state.changes:
        known = nearest(arm, state.changes)
        raise InputError(f"change '{arm}': not in study {loaded.name}; {known}")
    record = state.changes[arm]
    verdict = record.verdict
    if verdict is None or verdict.outcome is not Outcome.SUSPICIOUS:
        stands = "is in flight" if verdict is None else f"is {verdict.outcome}"
        raise InputError(f"change {arm}: {stands}, and only a suspicious one is confirmed")
    with closing(Journal(loaded.folder.journal, clock=time.time)) as journal:
        journal.append(Confirmed(arm, arguments.why or ""))
    return [
        f"confirmed {arm}  {record.change.title}: it was {'; '.join(verdict.reasons)}",
        "the command that ran the study takes its verdict, and runs what is wanted for it",
    ]
