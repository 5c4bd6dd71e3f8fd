"""Opening a study's folder to look at it; nothing in it is changed."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from miniscale.setting.decode import InputError
from transfer.events import Event
from transfer.journal.folder import StudyFolder
from transfer.journal.state import StudyState, replay
from transfer.journal.store import read_journal
from transfer.ladder import Ladder, decode_ladder


@dataclass(frozen=True)
class Loaded:
    """A study as its folder tells it."""

    name: str
    folder: StudyFolder
    ladder: Ladder
    events: list[Event]
    state: StudyState
    budget: float


def load(path: Path) -> Loaded:
    """Read a study's folder.

    Raises
    ------
    InputError
        If there is no study, or its journal is damaged.
    """
    folder = StudyFolder(path.expanduser().resolve())
    if not folder.exists:
        near = sorted(p.parent.name for p in folder.path.parent.glob("*/study.json"))
        known = f"there are {', '.join(near)}" if near else "there is none beside it"
        raise InputError(f"{path}: no study here ({known}); name a study's folder")
    config = json.loads(folder.config.read_text())["config"]
    roots = [Path(root) for root in config.get("roots", [])]
    ladder = decode_ladder(config["ladder"], roots=roots)
    budget = float(config["budget"]["compute"] or ladder.budget)
    events, _ = read_journal(folder.journal)
    return Loaded(
        name=folder.path.name,
        folder=folder,
        ladder=replace(ladder, budget=budget),
        events=events,
        state=replay(events),
        budget=budget,
    )
