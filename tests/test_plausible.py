"""No program, whatever it prints, is believed beyond what seeds, rungs and law can show."""

import io
from dataclasses import replace

import pytest
from fuzz_studies import check, play
from hostile_programs import Case, oracle_ladder

from transfer.events import Confirmed, Outcome
from transfer.journal.change_record import ChangeStatus
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import KnobTrees, MemoryLedger
from transfer.study.study import Study


def study_of(
    base: str,
    *changes: str,
    policy: str = "atoms",
    ledger: MemoryLedger | None = None,
    deterministic: bool = False,
    printed: io.StringIO | None = None,
) -> Study:
    ladder = oracle_ladder()
    ladder = replace(ladder, setting=replace(ladder.setting, deterministic=deterministic))
    case = Case(7, ladder, policy, base, changes)
    trees = KnobTrees(ladder.setting.defaults())
    return play(case, ledger or MemoryLedger(), trees, printed or io.StringIO())


@pytest.mark.parametrize("block", range(8))
def test_no_hostile_program_loses_a_study_or_shows_an_absurd_figure(block: int) -> None:
    results = [check(number) for number in range(1000 + 10 * block, 1010 + 10 * block)]
    assert not {result["number"]: result["wrong"] for result in results if result["wrong"]}


@pytest.mark.parametrize(
    ("base", "change", "why"),
    [
        ("power_law", "zero", "exactly 0 at small"),
        ("power_law", "constant", "the same number to the last digit"),
        ("power_law", "negative_law", "off this ladder's scale (over 1000x)"),
        ("plateau", "tenth_better", "off this ladder's scale (over 1000x)"),
    ],
)
def test_what_is_too_good_or_too_equal_is_suspicious(base: str, change: str, why: str) -> None:
    study = study_of(base, change)
    verdict = study.state.verdict("c1")
    assert verdict.outcome is Outcome.SUSPICIOUS
    assert why in verdict.reasons[0]
    assert study.state.changes["c1"].status is ChangeStatus.SUSPICIOUS
    assert not study.state.changes.accepted


def test_a_real_gain_is_certified_without_a_word() -> None:
    study = study_of("power_law", "better_law")
    assert study.state.verdict("c1").outcome is Outcome.CERTIFIED


def test_a_confirmed_change_takes_its_usual_verdict_and_replays() -> None:
    ledger = MemoryLedger()
    first = study_of("power_law", "zero", ledger=ledger)
    assert first.state.verdict("c1").outcome is Outcome.SUSPICIOUS
    ledger.append(Confirmed("c1", "the error is exactly zero: the data are noise-free"))
    again = study_of("power_law", "zero", ledger=ledger)
    assert again.state.verdict("c1").outcome.is_accepted
    found = rejudge(again.ladder, again.events, policy=again.policy, plan=again.plan)
    assert found["c1"] == again.state.verdict("c1")


def test_copies_are_one_run_and_nothing_is_certified_on_them() -> None:
    printed = io.StringIO()
    study = study_of("deterministic_law", "deterministic_better", printed=printed)
    assert printed.getvalue().count("gave the same number to the last digit") == 1
    effects = study.state.verdict("c1").effects
    assert effects
    assert all(effect.n == 1 for effect in effects)
    assert all(effect.gain_se > 0 for effect in effects)
    assert study.state.verdict("c1").outcome is Outcome.PROVISIONAL
    assert "pass {seed}" in study.state.verdict("c1").reasons[-1]


def test_a_declared_deterministic_program_is_run_once_an_arm() -> None:
    study = study_of("deterministic_law", "deterministic_better", deterministic=True)
    assert all(len(seeds) == 1 for key, seeds in study.state.trials.ended.items() if key[0] == "c1")
    assert study.state.verdict("c1").outcome.is_accepted
