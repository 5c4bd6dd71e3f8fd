"""How changes stand to a ladder's constraints, for every reader of a study."""

import math
from collections.abc import Mapping

import polars as pl

from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.constraint_standing import ConstraintStanding, ConstraintState
from transfer.measure.study_effects import Analysis
from transfer.report.tables import Columns, make_table

Standings = Mapping[str, tuple[ConstraintStanding, ...]]
"""Arm -> how it stands to each constraint."""

COLUMNS: Columns[tuple[str, ConstraintStanding]] = {
    "arm": (pl.String, lambda row: row[0]),
    "constraint": (pl.String, lambda row: row[1].constraint.words),
    "rung": (pl.String, lambda row: row[1].rung),
    "value": (pl.Float64, lambda row: row[1].value),
    "low": (pl.Float64, lambda row: row[1].low if math.isfinite(row[1].low) else None),
    "high": (pl.Float64, lambda row: row[1].high if math.isfinite(row[1].high) else None),
    "standing": (pl.String, lambda row: str(row[1].standing)),
    "note": (pl.String, lambda row: row[1].note),
}
"""Values in the constraint's own terms: a factor, a difference, the number; 80 % intervals."""


def find_standings(ladder: Ladder, state: StudyState) -> Standings:
    """Return how every change measured so far stands, stacks among them."""
    if not ladder.constraints:
        return {}
    analysis = Analysis(ladder, state)
    found = {arm: analysis.standings(one.proposed) for arm, one in state.changes.items()}
    return {arm: standings for arm, standings in found.items() if standings}


def constraint_table(standings: Standings) -> pl.DataFrame:
    """Return one row a change and constraint, on the rung that decides."""
    return make_table(COLUMNS, [(arm, one) for arm, each in standings.items() for one in each])


def limit_words(ladder: Ladder, standings: Standings) -> list[str]:
    """Say of each constraint how changes stand: ``memory <= 1.1x: 2 kept, 1 open (c4)``."""
    told = []
    for constraint in ladder.constraints:
        words = []
        for state in ConstraintState:
            arms = [
                arm
                for arm, each in standings.items()
                if any(one.constraint == constraint and one.standing is state for one in each)
            ]
            names = "" if state is ConstraintState.KEPT else f" ({' '.join(arms)})"
            words += [f"{len(arms)} {state}{names}"] if arms else []
        told.append(f"{constraint.words}: {', '.join(words) or 'no change measured yet'}")
    return told
