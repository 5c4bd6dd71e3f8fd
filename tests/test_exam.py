"""The exam: what is claimed of the head before it, after it, and what a short one leads to."""

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from atoms_scenes import effect
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import oracle_job, read_again
from stacking import Stacking
from test_stacks import GAINS, PLAN, Lab, ladder, whole

from miniscale.setting.setting import Kind
from transfer.belief.exam_ratio import Exam
from transfer.belief.posterior import Model, believe
from transfer.belief.stack_members import BEYOND, Claim, Part, examine, together
from transfer.belief.utility import Utility
from transfer.change import Change
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    BaselineSet,
    Dropped,
    Effect,
    ExamRequested,
    Outcome,
    Request,
    TrialsRequested,
    VerdictReached,
)
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.journal.state import StudyState, replay
from transfer.ladder_trust import Light, Trust
from transfer.policy.voi.policy import AtomsPolicy
from transfer.policy.voi.study_beliefs import VoiRules
from transfer.report.findings import survey
from transfer.report.text import status
from transfer.study.ablation import answer
from transfer.study.final_exam import fresh_seeds
from transfer.study.judge_again import rejudge
from transfer.study.schedule import FRESH, SEEDS_A_STUDY
from transfer.study.simulated_study import simulate
from transfer.study.study import Study

POSITIONS = {f"r{place}": effect(place, 0.0).position for place in range(4)}
TARGET = 7.68


def claim(measured: list[Effect], *, earlier: list[Effect] | None = None) -> Claim:
    """Return the claim of two changes that each gained .06 on two rungs."""
    each = [effect(place, 0.06, se=0.01) for place in range(2)]
    beliefs = [believe(each, Kind.STRUCTURAL, model=Model()) for _ in range(2)]
    return examine(
        ["c1", "c2"],
        beliefs,
        measured=measured,
        parts=[],
        positions=POSITIONS,
        target=TARGET,
        earlier=[(("c1", "c2"), earlier)] if earlier else (),
    )


@cache
def exam() -> Exam:
    found = survey(ladder(), whole().state).exam
    assert found is not None
    return found


# -- the claim --------------------------------------------------------------------------------


def test_the_claim_before_the_exam_is_the_sum_of_posterior_means() -> None:
    each = [effect(place, 0.06, se=0.01) for place in range(2)]
    one = believe(each, Kind.STRUCTURAL, model=Model())
    mean = one.moments([*POSITIONS.values(), TARGET])[0]
    told = claim([])
    assert told.before.mean == pytest.approx(2 * mean[-1])
    assert told.gain_forecast == told.before
    forecast = [told.predicted[name].mean for name in POSITIONS]
    assert forecast == pytest.approx(list(2 * mean[:-1]))


def test_the_claim_after_the_exam_is_one_kalman_step_with_doubt_beyond_its_top() -> None:
    seen = [effect(place, 0.05, se=0.01) for place in range(3)]
    each = [effect(place, 0.06, se=0.01) for place in range(2)]
    beliefs = [believe(each, Kind.STRUCTURAL, model=Model()) for _ in range(2)]
    joint = together(beliefs, [*POSITIONS.values(), TARGET])
    total = np.tile(np.eye(5), (1, 2))
    mean, covariance = total @ joint.mean, total @ joint.covariance @ total.T
    cross = covariance[:, :3]
    gain = cross @ np.linalg.inv(covariance[:3, :3] + 0.01**2 * np.eye(3))
    after = mean + gain @ (np.full(3, 0.05) - mean[:3])
    left = covariance - gain @ cross.T
    told = claim(seen).gain_forecast
    assert told.mean == pytest.approx(after[-1])
    beyond = BEYOND * abs(after[-1]) * (TARGET - POSITIONS["r2"])
    assert told.sd == pytest.approx(math.hypot(math.sqrt(left[-1, -1]), beyond))


def test_a_stack_measured_before_belongs_to_the_forecast_and_not_to_the_exam() -> None:
    stack = [effect(place, 0.06, se=0.005) for place in range(4)]
    fresh = [effect(place, 0.06, se=0.01) for place in range(4)]
    alone, known = claim(fresh), claim(fresh, earlier=stack)
    assert known.before.mean < alone.before.mean
    assert known.before.sd < alone.before.sd
    assert alone.is_doubtful
    assert known.ratio == pytest.approx(1.0, abs=0.05)
    assert not known.is_doubtful
    both = claim([*stack, *fresh]).gain_forecast
    assert known.gain_forecast.mean == pytest.approx(both.mean)
    assert known.gain_forecast.sd == pytest.approx(both.sd)


def test_an_exam_of_a_study_holds_the_planted_total_and_narrows_the_claim() -> None:
    planted = sum(gain for n, gain in enumerate([*GAINS, 0, 0.15], 1) if f"c{n}" in exam().arms)
    assert exam().is_fresh
    assert abs(exam().total.mean - planted) < 3 * exam().total.sd
    assert exam().total.sd < exam().before.sd
    assert exam().kept == pytest.approx(exam().total.mean / exam().before.mean)


def test_status_says_first_what_the_exam_left_of_the_claim(tmp_path: Path) -> None:
    state = whole().state
    loaded = Loaded("lab", StudyFolder(tmp_path), ladder(), whole().events, state, PLAN.budget)
    told = status(loaded)
    assert told[1].startswith("claim ")
    assert f"{len(state.changes.accepted)} accepted; claimed " in told[1]
    assert "before the exam, which left" in told[1]


def test_what_was_believed_of_the_ladder_comes_back_with_the_exam() -> None:
    trust = Trust(Light.GREEN, drift=0.01, misfit=0.002, conformal=1.4, source="abc")
    asked = ExamRequested("b2", {"r0": (800, 801)}, ("c1", "c3"), trust)
    assert read_again(asked) == asked


# -- a short exam -----------------------------------------------------------------------------

IDEAS = (
    Change(title="holds", patch="holds 0.2"),
    Change(title="null", patch="null 0.0"),
    Change(title="flattered", patch="flattered 0.3 -0.05"),
    Change(title="holds too", patch="too 0.25"),
)


@cache
def flattered() -> Study:
    """Return a study with one change that gains on the seeds it was chosen by and on no others."""
    return Lab(Stacking(), replace(PLAN, exam_share=0.3), ideas=IDEAS).study()


def test_a_change_whose_gain_does_not_hold_on_fresh_seeds_leaves_the_branch() -> None:
    state = flattered().state
    assert list(state.changes.accepted) == ["c1", "c4"]
    assert list(state.changes.dropped) == ["c3"]
    assert state.verdict("c3").outcome is Outcome.REJECTED
    assert "fell short" in state.verdict("c3").reasons[0]
    assert state.stopped is not None
    assert state.stopped.is_final


def test_the_branch_is_committed_again_without_what_was_dropped() -> None:
    study = flattered()
    tree = study._checkouts.trees.content(study.state.head)  # type: ignore[attr-defined]
    assert tree.patches == ("holds 0.2", "too 0.25")
    assert study.state.bases[study.state.base] == study.state.head


def questions(state: StudyState) -> list[AblationRequested]:
    return [exam.question for exam in state.exams.values() if exam.question is not None]


def test_a_question_runs_eight_fresh_seeds_of_the_head_and_of_each_part() -> None:
    state = flattered().state
    (asked,) = questions(state)
    assert asked.rung == ladder().rungs[0].name
    assert len(asked.seeds) == 8
    assert set(asked.parts.values()) == {"c1", "c3", "c4"}
    used = {
        s for exam in state.exams.values() for seeds in exam.request.seeds.values() for s in seeds
    }
    assert used.isdisjoint(asked.seeds)
    assert min(asked.seeds) >= 3 * SEEDS_A_STUDY + FRESH


def test_what_is_left_is_examined_again_and_holds() -> None:
    found = survey(ladder(), flattered().state)
    assert len(flattered().state.exams) == 2
    assert found.exam is not None
    assert found.is_examined
    assert not found.exam.is_doubtful
    assert abs(found.exam.total.mean - 0.45) < 3 * found.exam.total.sd


def test_status_tells_what_the_exam_took_off_the_branch(tmp_path: Path) -> None:
    study = flattered()
    loaded = Loaded("lab", StudyFolder(tmp_path), ladder(), study.events, study.state, PLAN.budget)
    assert any(line.startswith("dropped  c3: the exam of b1 fell") for line in status(loaded))


def test_exams_and_questions_keep_within_their_share_of_the_budget() -> None:
    study = flattered()
    costs = {rung.name: rung.cost for rung in ladder().rungs}
    fresh = {
        (arm, rung, seed)
        for (arm, rung), seeds in study.state.trials.requests.items()
        for seed in seeds
        if seed % SEEDS_A_STUDY >= FRESH
    }
    assert 0 < sum(costs[rung] for _, rung, _ in fresh) <= 0.3 * PLAN.budget


def test_a_long_row_of_exams_and_questions_never_meets_a_seed_again_and_then_ends() -> None:
    state = replay(flattered().events)
    begun = {seed for seeds in state.trials.requests.values() for seed in seeds}
    taken: list[tuple[int, ...]] = []
    for number in range(60):
        n, place = (8, 100) if number % 2 else (4, 0)
        seeds = fresh_seeds(state, PLAN.seed, place=place + 8 * (number // 2), n=n)
        taken.append(seeds)
        asked = tuple(Request(f"b{number}", "r0", s, f"{number} {s}") for s in seeds)
        state.apply(TrialsRequested(number, asked))
    given = [seeds for seeds in taken if seeds]
    every = [seed for seeds in given for seed in seeds]
    assert len(set(every)) == len(every)
    assert begun.isdisjoint(every)
    assert {seed // SEEDS_A_STUDY for seed in every} == {PLAN.seed}
    assert len(given) > 15
    assert taken[-1] == ()


def test_the_first_exams_and_questions_run_on_the_seeds_that_they_always_had() -> None:
    empty, start = StudyState(), 3 * SEEDS_A_STUDY + FRESH
    for number in range(12):
        exam_starts = fresh_seeds(empty, 3, place=8 * number, n=4)
        assert exam_starts == tuple(range(start + 8 * number, start + 8 * number + 4))
    assert fresh_seeds(empty, 3, place=100, n=8) == tuple(range(start + 100, start + 108))


def test_an_exam_with_no_change_that_holds_ends_with_the_first_baseline() -> None:
    ideas = (Change(title="flattered", patch="flattered 0.3 -0.05"),)
    state = Lab(Stacking(), replace(PLAN, exam_share=0.3), ideas=ideas).study().state
    assert not state.changes.accepted
    assert state.bases[state.base] == state.bases["b0"]
    assert state.stopped is not None


def test_verdicts_on_questions_come_out_again_from_the_journal() -> None:
    study = flattered()
    again = rejudge(ladder(), study.events, policy=study.policy, plan=PLAN)
    assert again == study.state.verdicts()
    assert [read_again(event) for event in study.events] == study.events


def test_killed_after_any_event_of_a_short_exam_a_study_ends_the_same() -> None:
    events = flattered().events
    lab = Lab(Stacking(), replace(PLAN, exam_share=0.3), ideas=IDEAS)
    start = next(n for n, event in enumerate(events) if isinstance(event, ExamRequested))
    kept = (
        ExamRequested,
        AblationRequested,
        AblationConcluded,
        VerdictReached,
        Dropped,
        Accepted,
        BaselineSet,
    )
    for place in [n for n in range(start, len(events)) if isinstance(events[n], kept)]:
        first = lab.study(cut=place + 1)
        assert first.events == events[: place + 1]
        assert lab.study(first.events).events == events, place


# -- one utility, one belief ------------------------------------------------------------------


@cache
def greedy() -> Study:
    """Return the shipped oracle study under the greedy policy, its panel alone."""
    job = oracle_job("policy=greedy")
    changes = [*job.ladder.panel, Change("drift", knobs={"drift": -0.997})]
    return simulate(job.ladder, changes, policy=job.policy, plan=job.plan)


def test_a_greedy_study_keeps_its_planted_gain_and_drops_what_hurts() -> None:
    state = greedy().state
    kept = {state.changes[arm].change.title for arm in state.changes.accepted}
    dropped = {state.changes[arm].change.title for arm in state.changes.dropped}
    assert "a gain that holds" in kept
    assert "drift" in dropped
    (gain,) = (
        a for a in state.changes.accepted if state.changes[a].change.title == "a gain that holds"
    )
    assert state.verdict(gain).outcome.is_accepted


def test_no_reason_of_an_ablation_contradicts_its_verdict() -> None:
    for study in (greedy(), flattered()):
        for answered in (exam.answer for exam in study.state.exams.values() if exam.answer):
            assert answered.verdicts
            for verdict in answered.verdicts:
                assert verdict.outcome is Outcome.REJECTED
                assert verdict.gain_forecast is not None
                is_worse_in = "better without it" in verdict.reasons[0]
                is_weak = verdict.gain_forecast.mean < study.policy.utility.complexity_cost
                assert is_worse_in or is_weak


@settings(max_examples=15, deadline=None)
@given(
    gains=st.lists(st.tuples(st.floats(-0.1, 0.4), st.floats(-0.4, 0.4)), min_size=2, max_size=4)
)
def test_every_printed_reason_of_an_ablation_has_the_sign_of_its_verdict(
    gains: list[tuple[float, float]],
) -> None:
    ideas = [Change(f"i{n}", patch=f"i{n} {seen} {true}") for n, (seen, true) in enumerate(gains)]
    study = Lab(Stacking(), replace(PLAN, exam_share=0.3), ideas=tuple(ideas)).study()
    answers = [exam.answer for exam in study.state.exams.values() if exam.answer]
    for verdict in (verdict for answered in answers for verdict in answered.verdicts):
        assert verdict.outcome is Outcome.REJECTED
        reason = verdict.reasons[0]
        shown = [float(number) for number in re.findall(r"[+-]\d+\.?\d*(?= %)", reason)]
        if "better without it" in reason:
            assert re.search(r"the head is \d", reason)  # what it loses with it has no sign
            continue
        adds, other = shown[0], shown[-1]
        assert adds >= 0
        if "it was believed to add" in reason:
            assert other > adds
        else:
            assert other <= 100 * math.expm1(study.policy.utility.complexity_cost) + 0.05


@settings(max_examples=30, deadline=None)
@given(
    gains=st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=4),
    harms=st.floats(-6.0, 0.0),
    place=st.integers(0, 2),
)
def test_who_did_as_expected_does_not_answer_for_another(
    gains: list[float], harms: float, place: int
) -> None:
    arms = [f"c{n}" for n in range(len(gains) + 1)]
    each = [believe([effect(0, g, se=0.01)], Kind.STRUCTURAL, model=Model()) for g in (*gains, 0.0)]
    means = [float(b.moments([effect(place, 0.0).position])[0][0]) for b in each]
    lost = harms * np.arange(1, 5)  # by the last one, more on each rung
    measured = [effect(n, sum(means[:-1]) + float(lost[n]), se=0.005) for n in range(4)]
    rung = f"r{place}"
    parts = [
        Part(a, rung, m, 0.005, whole_sd=0.003) for a, m in zip(arms, means[:-1], strict=False)
    ]
    parts.append(Part(arms[-1], rung, float(lost[place]), 0.005, whole_sd=0.003))
    told = examine(arms, each, measured=measured, parts=parts, positions=POSITIONS, target=TARGET)
    for arm, belief in zip(arms[:-1], each, strict=False):
        before, after = belief.at(TARGET), told.members[arm]
        assert abs(after.mean - before.mean) < 2 * before.sd + 0.05 * abs(before.mean)
    if harms < -0.2:
        assert told.members[arms[-1]].worth(Utility()) < 0


def test_what_a_user_says_of_harm_and_complexity_holds_in_ablations_too() -> None:
    study = flattered()
    (asked,) = questions(study.state)
    mild, severe = (
        {v.arm for v in answer(study.analysis, asked, utility=utility)}
        for utility in (Utility(), Utility(complexity_cost=1.0))
    )
    assert mild == {"c3"}
    assert severe == set(asked.parts.values())
    rules = VoiRules(head_harm=4.0, complexity_cost=0.02)
    assert AtomsPolicy(rules=rules).utility == Utility(harm=4.0, complexity_cost=0.02)
