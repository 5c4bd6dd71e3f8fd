"""The parts of a brief that change from one to the next: trials, notes, budget and the task."""

import math
from pathlib import Path

from autoresearch.brief.history import is_plateau, resting
from autoresearch.brief.learned import crash_lines
from autoresearch.brief.section import Asking, Section
from autoresearch.tracking.study_rows import curve
from miniscale.setting.trial import TrialResult
from transfer.journal.change_counts import count_changes
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.study.limits import Limits, spend_words
from transfer.study.study import Study

CURVES, POINTS = 4, 6
"""assumption: changes whose curves are shown, and points of each."""
NOTE_LINES, NOTE_CHARACTERS = 60, 20_000
"""assumption: read of one note."""


def trial_section(ladder: Ladder, state: StudyState, trials: Path) -> Section:
    """Show training curves and throughput of the baseline and of the latest changes."""
    keys = dict.fromkeys(reversed(state.trials.trail[-400:]))
    changes = [key for key in keys if key[0] in state.changes][:CURVES]
    base = [(state.base, rung.name) for rung in ladder.rungs if (state.base, rung.name) in keys]
    lines = []
    for arm, rung in [*base[:1], *changes]:
        ended = state.trials.ended[arm, rung]
        result = ended[min(ended)]
        shown = _curve_text(trials / result.identity / "metrics.jsonl")
        if shown or "tokens" in result.metrics:
            lines.append(f"- {arm} on {rung}: {_pace_text(result)}{shown}")
    return Section("Recent trials", tuple(lines), 1)


def _pace_text(result: TrialResult) -> str:
    words = [f"{result.seconds:.1f} s"]
    tokens = result.metrics.get("tokens")
    if tokens and result.seconds:
        words.append(f"{tokens / result.seconds:,.0f} tokens/s")
    if "peak_memory_gb" in result.metrics:
        words.append(f"{result.metrics['peak_memory_gb']:.2f} GB")
    return ", ".join(words)


def _curve_text(path: Path) -> str:
    rows = [row for row in curve(path) if "train/loss" in row and "train/step" in row]
    if not rows:
        return ""
    every = max(1, math.ceil(len(rows) / POINTS))
    shown = rows[::-every][::-1]
    points = " ".join(f"{row['train/step']:g}:{row['train/loss']:.3f}" for row in shown)
    return f"; training loss by step {points}"


def note_section(folder: Path) -> Section:
    """Pass on what a person dropped into the study's folder of notes while it runs, by name."""
    lines = []
    for path in sorted(folder.glob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            texts = file.read(NOTE_CHARACTERS).strip().splitlines()
        lines += [f"{path.name}:", *(line[:400] for line in texts[:NOTE_LINES])]
        if len(texts) > NOTE_LINES:
            lines.append(f"… and {len(texts) - NOTE_LINES} lines more")
    return Section("Notes from the user", tuple(lines), 3)


def budget_section(study: Study, limits: Limits) -> Section:
    """Say what is left to spend; wall time is left out, a brief must not depend on the clock."""
    state, plan = study.state, study.plan
    left = max(1 - state.spent / plan.budget, 0.0)
    lines = [
        f"{state.changes.n_fresh} of {limits.changes} changes tried, {left:.0%} of compute left, "
        f"{count_changes(state).branch_words}."
    ]
    words = spend_words(state, limits)
    return Section("Budget", (*lines, *((f"Model calls so far: {words}.",) if words else ())))


def task_section(state: StudyState, asking: Asking) -> Section:
    """Say what is wanted now, and steer out of ruts."""
    if asking.mend:
        task = [
            "Mend this change so that it runs, or say what to try instead of it:",
            *crash_lines(state, asking.mend),
        ]
        return Section("Task", tuple(task))
    task = []
    if asking.ideas > 1:
        task.append(f"Give {asking.ideas} ideas, each of another category.")
    else:
        task.append("Give one idea.")
    tired = resting(state, asking.proposer)
    if tired:
        task.append(f"Your last changes, nearly all '{tired}', brought nothing: leave it.")
    if is_plateau(state, asking.proposer):
        task.append(
            "Nothing was accepted for a while. Small moves are lost in the noise: take another "
            "part of the training, or combine what came close."
        )
    return Section("Task", tuple(task))
