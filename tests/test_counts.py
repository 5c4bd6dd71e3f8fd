"""Whoever counts a study's changes prints the same numbers: one place computes them."""

import re
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from oracle import oracle_job

from autoresearch.build_study import StudyJob
from autoresearch.console import budget_words
from autoresearch.tracking.study_rows import summary
from transfer.arm import FIRST_BASELINE
from transfer.change import Change
from transfer.events import (
    Accepted,
    BaselineSet,
    Deferred,
    Dropped,
    Event,
    Outcome,
    Proposed,
    VerdictReached,
)
from transfer.journal.change_counts import NOT_COUNTED, count_changes
from transfer.journal.change_record import ChangeStatus
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.journal.state import replay
from transfer.report.findings import survey
from transfer.report.text import status
from transfer.report.write import write_report
from transfer.study.simulated_study import simulate
from transfer.study.study import Study


def judged(arm: str, outcome: Outcome) -> VerdictReached:
    return VerdictReached(arm, outcome, (), None, ("planted",))


@cache
def job() -> StudyJob:
    return oracle_job("policy=greedy")


@cache
def greedy() -> Study:
    """Return a study whose changes are measured again and taken off the branch."""
    return simulate(job().ladder, job().ladder.panel, policy=job().policy, plan=job().plan)


def numbers(text: str) -> dict[str, int]:
    """Return the counts in a line: what is counted -> how many."""
    return {word: int(n) for n, word in re.findall(r"(\d+) ([a-z][a-z, -]*[a-z])", text)}


def test_a_change_measured_again_is_no_change_and_is_counted_by_its_newest_arm() -> None:
    events: list[Event] = [
        BaselineSet(FIRST_BASELINE, "abc"),
        Proposed("c1", "b0", Change("one", patch="1")),
        judged("c1", Outcome.PROVISIONAL),
        Deferred("c1", "sets a knob as another does"),
        Proposed("c2", "b0", Change("one", patch="1"), rescreens="c1"),
        judged("c2", Outcome.REJECTED),
    ]
    counts = count_changes(replay(events))
    assert (counts.n_tried, counts.n_rescreens) == (1, 1)
    assert counts.by_status == {ChangeStatus.REJECTED: 1}


@pytest.mark.parametrize("last", list(Outcome))
def test_what_left_the_branch_is_taken_back_whatever_its_verdict_says(last: Outcome) -> None:
    events: list[Event] = [
        BaselineSet(FIRST_BASELINE, "abc"),
        Proposed("c1", "b0", Change("one", patch="1")),
        judged("c1", Outcome.PROVISIONAL),
        Accepted("c1", "def"),
        judged("c1", last),
        Dropped("c1", "the exam fell short"),
    ]
    counts = count_changes(replay(events))
    assert counts.by_status == {ChangeStatus.TAKEN_BACK: 1}
    assert counts.branch_words == "0 accepted, 1 taken back"


def test_statuses_add_up_to_the_changes_tried() -> None:
    counts = count_changes(greedy().state)
    assert counts.n_rescreens > 0
    assert sum(counts.by_status.values()) == counts.n_tried == len(job().ladder.panel)
    assert counts.n_accepted == len(greedy().state.changes.accepted)


def test_console_status_report_tables_and_tracker_show_the_same_numbers(tmp_path: Path) -> None:
    study, counts = greedy(), count_changes(greedy().state)
    ladder, by_status = study.ladder, {str(s): n for s, n in counts.by_status.items()}
    console = numbers(budget_words(study, job().limits))
    assert budget_words(study, job().limits).startswith(f"{counts.n_tried} of ")
    assert console["accepted"] == counts.n_accepted
    assert console["measured again"] == counts.n_rescreens

    loaded = Loaded("lab", StudyFolder(tmp_path), ladder, study.events, study.state, 1.0)
    lines = status(loaded)
    assert any(f"{counts.n_tried} changes, {counts.n_rescreens} measured" in one for one in lines)
    assert f"verdicts {counts.words}" in lines

    write_report(ladder, study.state, tmp_path)
    assert counts.words in (tmp_path / "index.html").read_text()
    table = pl.read_csv(tmp_path / "changes.csv")
    kept = table.filter(~pl.col("status").is_in([str(s) for s in NOT_COUNTED]))
    assert dict(kept["status"].value_counts().iter_rows()) == by_status

    tracked = summary(survey(ladder, study.state))
    assert tracked["study/changes"] == counts.n_tried
    assert tracked["study/accepted"] == counts.n_accepted
    assert {f"verdicts/{s.name.lower()}": n for s, n in counts.by_status.items()}.items() <= (
        tracked.items()
    )
