"""A trial that diverges is run once more on a new seed; twice on a rung is diverged."""

from dataclasses import replace

import pytest
from oracle import oracle_job, read_again

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.decode import InputError
from miniscale.setting.trial import TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import result_of
from transfer.change import Change
from transfer.events import Outcome, StepChosen
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import simulate
from transfer.study.study import Study

JOB = oracle_job()
PLAN = replace(JOB.plan, seed=3, exam_share=0.0)
GAIN = Change(title="gain", knobs={"gain": 0.15})


def diverging(named: frozenset[tuple[str, str, int]]) -> InProcessRunner:
    """Return the oracle trainer, but for trials named as (arm, rung, seed)."""

    def result(spec: TrialSpec) -> TrialResult:
        if (spec.arm, spec.rung, spec.seed) in named:
            return TrialResult(spec.identity, TrialState.DIVERGED, reason="the objective is nan")
        return result_of(spec)

    return InProcessRunner(result)


def study(*named: tuple[str, str, int], policy: str = "trend") -> Study:
    """Play one gain of 15 %; trials are named by arm, rung and how many seeds came before."""
    at = frozenset((arm, rung, 3000 + n) for arm, rung, n in named)
    chosen = oracle_job(f"policy={policy}").policy
    return simulate(JOB.ladder, [GAIN], policy=chosen, plan=PLAN, runner=diverging(at))


def retries(played: Study) -> list[StepChosen]:
    return [e for e in played.events if isinstance(e, StepChosen) and e.is_retry]


@pytest.mark.parametrize("policy", ["trend", "atoms", "greedy", "ttest"])
def test_a_change_that_diverges_once_gets_a_new_seed_and_goes_on(policy: str) -> None:
    played = study(("c1", "small", 0), policy=policy)
    whole = simulate(
        JOB.ladder, [GAIN], policy=played.policy, plan=PLAN, runner=InProcessRunner(result_of)
    )
    again, *others = retries(played)  # a stack of it alone is the same trials
    assert all(played.state.changes[other.arm].change.members == ("c1",) for other in others)
    assert again.reason == "diverged on small, seed 3000: once more on a new seed"
    asked = played.state.trials.requests["c1", "small"]
    assert max(asked) >= 3001
    assert asked.keys() <= played.state.trials.requests["b0", "small"].keys()  # still paired
    assert played.state.verdict("c1").outcome is whole.state.verdict("c1").outcome
    assert played.state.verdict("c1").outcome.is_accepted


@pytest.mark.parametrize("policy", ["trend", "atoms"])
def test_a_change_that_diverges_twice_on_a_rung_is_diverged(policy: str) -> None:
    played = study(("c1", "small", 1), ("c1", "small", 2), policy=policy)
    verdict = played.state.verdict("c1")
    assert len(retries(played)) == 1
    assert verdict.outcome is Outcome.REJECTED
    assert "diverged twice on small, seed 3001: the objective is nan" in verdict.reasons


def test_each_rung_has_its_own_second_chance() -> None:
    played = study(("c1", "small", 0), ("c1", "medium", 1))
    assert [again.rung for again in retries(played)] == ["small", "medium"]
    assert played.state.verdict("c1").outcome.is_accepted


def test_a_baseline_that_diverges_once_gets_a_new_seed_and_twice_ends_the_study() -> None:
    played = study(("b0", "top", 0))
    assert sorted(played.state.trials.requests["b0", "top"])[:2] == [3000, 3001]
    assert played.state.verdict("c1").outcome.is_accepted
    with pytest.raises(InputError, match="baseline b0 on top, seed 3000: diverged"):
        study(("b0", "top", 0), ("b0", "top", 1))


def test_a_second_chance_is_journaled_and_judged_again_alike() -> None:
    played = study(("c1", "medium", 0), policy="atoms")
    events = [read_again(event) for event in played.events]
    assert events == played.events
    again = rejudge(JOB.ladder, events, policy=played.policy, plan=PLAN)
    assert again == played.state.verdicts()
