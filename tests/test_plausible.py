"""No program, whatever it prints, is believed beyond what seeds, rungs and law can show."""

import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from fuzz_studies import absurd, check, play, rendered
from hostile_programs import PROGRAMS, Case, oracle_ladder

from miniscale.setting.trial import MetricSource, Objective, Transform
from transfer.events import Confirmed, Outcome
from transfer.journal.change_record import ChangeStatus
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.measure.plausibility import _at_bound
from transfer.report.findings import survey
from transfer.report.text import show, status
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import KnobTrees, MemoryLedger
from transfer.study.study import Study
from transfer.units import GainUnit


def study_of(
    base: str,
    *changes: str,
    policy: str = "atoms",
    ledger: MemoryLedger | None = None,
    deterministic: bool = False,
    printed: io.StringIO | None = None,
    transform: Transform = Transform.NONE,
    is_minimized: bool = True,
) -> Study:
    ladder = oracle_ladder()
    objective = replace(ladder.setting.objective, transform=transform, is_minimized=is_minimized)
    setting = replace(ladder.setting, deterministic=deterministic, objective=objective)
    ladder = replace(ladder, setting=setting)
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


def test_one_pair_of_equal_seeds_makes_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    lowest = oracle_ladder().rungs[0].scale

    def coincident(scale: float, own: Random, shared: Random) -> float:
        return 1.1 if scale == lowest else PROGRAMS["power_law"](scale, own, shared)

    monkeypatch.setattr("hostile_programs.PROGRAMS", {**PROGRAMS, "coincident": coincident})
    ladder = oracle_ladder()
    ladder = replace(ladder, rungs=tuple(replace(r, baseline_seeds=2) for r in ladder.rungs))
    case = Case(7, ladder, "greedy", "coincident", ("worse_law",))
    study = play(case, MemoryLedger(), KnobTrees(ladder.setting.defaults()), io.StringIO())
    assert len(study.state.trials.ended["b0", ladder.rungs[0].name]) == 2
    assert study.analysis.copied == frozenset()


def test_a_declared_deterministic_program_is_run_once_an_arm() -> None:
    study = study_of("deterministic_law", "deterministic_better", deterministic=True)
    assert all(len(seeds) == 1 for key, seeds in study.state.trials.ended.items() if key[0] == "c1")
    assert study.state.verdict("c1").outcome.is_accepted


@pytest.mark.parametrize("transform", list(Transform))
@pytest.mark.parametrize("is_minimized", [True, False])
def test_a_transform_is_undone_and_keeps_the_direction(
    transform: Transform, is_minimized: bool
) -> None:
    objective = Objective("m", is_minimized, MetricSource(line="m {number}"), transform)
    for value in (0.02, 0.5, 0.97):
        assert math.isclose(objective.value(objective.loss(value)), value)
    better, worse = (0.4, 0.6) if is_minimized else (0.6, 0.4)
    assert objective.loss(better) < objective.loss(worse)
    assert all(math.isfinite(objective.loss(v)) for v in (0.0, 1.0, -5.0, 1e300))


@pytest.mark.parametrize("transform", [Transform.ERROR, Transform.LOGIT, Transform.LOG])
def test_an_accuracy_near_one_is_judged_as_what_it_lacks(transform: Transform) -> None:
    study = study_of("accuracy", "better_accuracy", transform=transform, is_minimized=False)
    verdict = study.state.verdict("c1")
    assert verdict.outcome.is_accepted
    assert verdict.effects[-1].gain < math.log(10)
    assert not absurd(rendered(study, is_page=True))


@pytest.mark.parametrize("transform", [Transform.ERROR, Transform.LOGIT])
def test_a_share_beyond_one_is_as_suspicious_as_one(transform: Transform) -> None:
    values = [{0: 1.2, 1: 1.3}, {0: 0.7, 1: 0.8}]
    study = study_of("accuracy", "better_accuracy", transform=transform, is_minimized=False)
    effect = study.state.verdict("c1").effects[-1]
    assert effect.gain > 0
    assert [*_at_bound(study.analysis, effect, *values)] == [
        f"beyond 1 at {effect.rung}, the best that there is"
    ]


def test_a_transform_is_part_of_what_makes_results_comparable() -> None:
    setting = oracle_ladder().setting
    bent = replace(setting, objective=replace(setting.objective, transform=Transform.LOG))
    assert bent.content_digest != setting.content_digest


def test_nothing_is_certified_where_the_baseline_gets_no_better_with_compute() -> None:
    study = study_of("flat", "flat_better")
    verdict = study.state.verdict("c1")
    assert verdict.outcome in (Outcome.PROVISIONAL, Outcome.UNDECIDED, Outcome.SUSPICIOUS)


def test_gains_are_in_the_metric_s_unit_where_no_law_leads_to_compute() -> None:
    printed = io.StringIO()
    study = study_of("flat", "flat", printed=printed)
    loaded = Loaded("x", StudyFolder(Path("x")), study.ladder, study.events, study.state, 1.0)
    findings = survey(study.ladder, study.state)
    assert findings.unit.name == study.ladder.setting.objective.name
    lines = [*printed.getvalue().splitlines(), *status(loaded), *show(loaded, "c1")]
    told = [line for line in lines if "odds" in line and "because" not in line]
    assert told
    assert not [line for line in told if re.search(r"\dx ", line.partition("(")[0])]


def test_a_gain_in_the_metric_s_unit_is_told_uncut() -> None:
    unit = GainUnit("reward", 0.01)
    assert unit.times(500.0) == "+5.0000"
    assert unit.span(400.0, 500.0, 600.0) == "+5.0000 [+4.0000, +6.0000] reward"


def test_a_lawful_baseline_keeps_its_gains_in_compute() -> None:
    study = study_of("power_law", "better_law")
    assert survey(study.ladder, study.state).unit.name == "compute"


@pytest.mark.parametrize("rows", [700, 1500])
def test_a_share_of_few_rows_may_meet_by_chance(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(name: str) -> Callable[[float, Random, Random], float]:
        return lambda *given: round(rows * PROGRAMS[name](*given) / 2) / rows

    coarse = {name: counted(name) for name in ("power_law", "better_law")}
    monkeypatch.setattr("hostile_programs.PROGRAMS", {**PROGRAMS, **coarse})
    outcomes = []
    for seed in range(25):
        ladder = oracle_ladder()
        case = Case(seed, ladder, "atoms", "power_law", ("better_law",))
        trees = KnobTrees(ladder.setting.defaults())
        outcomes.append(play(case, MemoryLedger(), trees, io.StringIO()).state.verdict("c1"))
    assert not [v.reasons for v in outcomes if v.outcome is Outcome.SUSPICIOUS]
