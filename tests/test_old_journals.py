"""Journals of earlier formats and formulas open for ever, and say again what they said."""

import gzip
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from oracle import oracle_job

from transfer.events import Judged
from transfer.findings import survey
from transfer.journal import read_journal
from transfer.rejudge import rejudge
from transfer.state import replay

JOURNALS = sorted((Path(__file__).parent / "data" / "journals").iterdir())


def numbers(value: Any) -> list[float]:
    """Return all floats of nested data, in order."""
    if isinstance(value, float):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [n for item in items for n in numbers(item)] if isinstance(value, dict | tuple) else []


def without_floats(verdict: Judged) -> Judged:
    return replace(verdict, effects=(), outlook=None, price=0.0)


@pytest.mark.parametrize("folder", JOURNALS, ids=lambda path: path.name)
def test_an_old_journal_gives_its_stored_verdicts_again(folder: Path) -> None:
    events, repairs = read_journal(folder)
    job = oracle_job("study.seed=2")
    stored = {event.arm: event for event in events if isinstance(event, Judged)}
    again = rejudge(job.ladder, events, policy=job.policy, budget=job.plan.budget)
    assert not repairs
    assert replay(events).method == int(folder.name.removeprefix("method"))
    assert len(stored) == 9
    for arm, verdict in stored.items():
        assert without_floats(again[arm]) == without_floats(verdict)
        # not to the last digit: that is another machine's
        told, now = (numbers(asdict(one)) for one in (verdict, again[arm]))
        assert now == pytest.approx(told, rel=1e-9, abs=1e-12)


def test_a_study_by_the_atoms_of_the_fourth_formulas_is_judged_again_as_it_was(
    tmp_path: Path,
) -> None:
    packed = Path(__file__).parent / "data" / "atoms_method4" / "00000000-1.jsonl.gz"
    (tmp_path / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    events, repairs = read_journal(tmp_path)
    job = oracle_job("study.seed=2", "policy=atoms")
    stored = {event.arm: event for event in events if isinstance(event, Judged)}
    again = rejudge(job.ladder, events, policy=job.policy, budget=job.plan.budget)
    assert not repairs
    assert replay(events).method == 4
    assert len(stored) == 12
    assert again.keys() == stored.keys()
    for arm, verdict in stored.items():
        assert without_floats(again[arm]) == without_floats(verdict)
        told, now = (numbers(asdict(one)) for one in (verdict, again[arm]))
        assert now == pytest.approx(told, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("folder", JOURNALS, ids=lambda path: path.name)
def test_an_old_journal_can_be_looked_at(folder: Path) -> None:
    events, _ = read_journal(folder)
    found = survey(oracle_job().ladder, replay(events))
    assert len(found.rows) == 9
    assert found.stack is not None
    assert found.exam is None or not found.exam.is_fresh
