"""Stacks: measured together, judged again, taken as one; and a study that is cut anywhere."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from oracle import oracle_job, read_again
from stacking import Additive, Stacking

from autoresearch.proposer.patches import ChangeList
from miniscale.setting.rung import Folders
from transfer.change import Change
from transfer.events import (
    BaselineSet,
    Dropped,
    Event,
    ExamRequested,
    Outcome,
    Proposed,
    RoundClosed,
    RoundClosing,
    RoundReviewed,
    TrialFinished,
    TrialsRequested,
    VerdictReached,
)
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.ladder import Ladder
from transfer.policy.by_trend import TrendPolicy
from transfer.policy.protocol import Policy
from transfer.report.findings import survey
from transfer.report.page.render import render_page
from transfer.report.text import show, status
from transfer.study.judge_again import rejudge
from transfer.study.limits import Limits
from transfer.study.loop import run
from transfer.study.schedule import Schedule
from transfer.study.simulated_study import NOWHERE, QUIET, KnobTrees, MemoryLedger, light_spec
from transfer.study.study import Study
from transfer.study_plan import RoundRule, StudyPlan

PLAN = StudyPlan(
    seed=3,
    in_flight=3,
    budget=40_000.0,
    round=RoundRule(accepts=2, changes=6, budget_share=0.5),
    tops_up=True,
    exam_share=0.2,
)
GAINS = (0.2, 0.0, 0.25, -0.1, 0.0, 0.3, 0.0, 0.2)


@cache
def ladder() -> Ladder:
    return oracle_job().ladder


def idea(number: int, gain: float) -> Change:
    return Change(title=f"idea {number}", patch=f"idea{number} {gain}")


IDEAS = (
    *(idea(n, gain) for n, gain in enumerate(GAINS)),
    Change(title="twin", is_control=True),
    idea(9, 0.15),
)


@dataclass
class Lab:
    """One planted world in which studies are begun, cut and resumed."""

    policy: Policy
    plan: StudyPlan = PLAN
    ideas: tuple[Change, ...] = IDEAS
    clash: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.trees = KnobTrees(ladder().setting.defaults())

    def study(self, events: Sequence[Event] = (), *, cut: int | None = None) -> Study:
        """Run a study from where its events end; up to ``cut`` events more."""
        ledger = Cut(list(events), cut)
        study = Study(
            ladder(),
            policy=self.policy,
            plan=self.plan,
            ledger=ledger,
            trees=self.trees,
            folders=Folders(NOWHERE, NOWHERE),
            data={},
            specs=light_spec,
        )
        try:
            study.start("lab", {})
            run(
                study,
                proposer=ChangeList("lab", self.ideas),
                runner=Additive(ladder(), self.trees, self.clash),
                limits=Limits(99),
                session=QUIET,
            )
        except Killed:
            pass
        return study


class Killed(Exception):
    """The process ended here."""


@dataclass
class Cut(MemoryLedger):
    """A ledger whose writer is killed right after a number of events."""

    left: int | None = None

    def append(self, event: Event) -> None:
        """Keep the event, then be killed if it was the last one."""
        super().append(event)
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise Killed


@cache
def whole() -> Study:
    return Lab(Stacking()).study()


def kinds(events: Sequence[Event], *wanted: type) -> list[Event]:
    return [event for event in events if isinstance(event, wanted)]


def test_accepted_changes_reach_the_branch_only_after_their_stack_was_measured() -> None:
    state = whole().state
    assert len(state.bases) >= 3
    assert [arm for arm, v in state.verdicts().items() if v.outcome is Outcome.CERTIFIED]
    for arm in state.changes.accepted:
        stacks = [members for (_, members) in state.changes.stacks if arm in members]
        assert stacks or arm == "c10"  # the last is alone in its round: nothing to stack with it
    planted = {f"c{n}" for n, gain in enumerate([*GAINS, 0, 0.15], start=1) if gain > 0}
    assert set(state.changes.accepted) <= planted
    assert len(state.changes.accepted) >= 4


def test_nothing_comes_in_while_a_round_closes() -> None:
    is_closing = False
    n_closed = 0
    for event in whole().events:
        if isinstance(event, RoundClosing):
            is_closing = True
        if isinstance(event, RoundClosed):
            is_closing, n_closed = False, n_closed + 1
        if isinstance(event, Proposed) and not event.change.members:
            assert not is_closing
    assert n_closed >= 2


def test_a_new_baseline_takes_over_the_runs_of_the_stack_it_equals() -> None:
    events = whole().events
    place = next(
        n for n, event in enumerate(events) if isinstance(event, BaselineSet) and event.arm == "b1"
    )
    claimed = next(event for event in events[place:] if isinstance(event, TrialsRequested))
    assert {request.arm for request in claimed.requests} == {"b1"}
    assert {request.rung for request in claimed.requests} == {r.name for r in ladder().rungs}
    later = {e.result.identity for e in events[place:] if isinstance(e, TrialFinished)}
    assert not later & {request.identity for request in claimed.requests}


def test_verdicts_of_changes_and_reviews_come_out_again_from_the_journal() -> None:
    study = whole()
    again = rejudge(ladder(), study.events, policy=study.policy, plan=PLAN)
    assert again == study.state.verdicts()
    assert any(reviewed.verdicts for reviewed in kinds(study.events, RoundReviewed))  # type: ignore[attr-defined]


def test_events_of_reviews_and_exams_come_back_as_they_were() -> None:
    events = whole().events
    assert {RoundReviewed, RoundClosing, RoundClosed, ExamRequested} <= {
        type(event) for event in events
    }
    assert [read_again(event) for event in events] == events


@pytest.mark.parametrize("block", range(4))
def test_killed_after_any_event_a_study_with_stacks_ends_the_same(block: int) -> None:
    events = whole().events
    marked = [
        n
        for n, e in enumerate(events)
        if isinstance(
            e,
            (RoundReviewed, RoundClosing, RoundClosed, VerdictReached, BaselineSet, ExamRequested),
        )
    ]
    rng = random.Random(block)
    chosen = [*marked[block::8], *rng.sample(range(len(events) - 1), 8)]
    for place in chosen:
        lab = Lab(Stacking())
        first = lab.study(cut=place + 1)
        assert first.events == events[: place + 1]
        assert lab.study(first.events).events == events, place


def test_killed_after_every_third_event_it_still_ends_the_same() -> None:
    lab, events = Lab(Stacking()), whole().events
    done: list[Event] = []
    for n in range(3, len(events) + 3, 3):
        done = lab.study(done, cut=min(3, len(events) - len(done))).events
        assert done == events[:n]


def test_the_exam_runs_on_seeds_that_nothing_was_chosen_by() -> None:
    events = whole().events
    exam = next(event for event in events if isinstance(event, ExamRequested))
    seeds = {seed for rung in exam.seeds.values() for seed in rung}
    before = {
        request.seed
        for event in events[: events.index(exam)]
        if isinstance(event, TrialsRequested)
        for request in event.requests
    }
    assert seeds.isdisjoint(before)
    assert set(exam.seeds) == {rung.name for rung in ladder().rungs}


def test_members_that_crash_together_do_not_stop_a_study() -> None:
    lab = Lab(Stacking(), clash=("idea0 0.2", "idea2 0.25"))
    state = lab.study().state
    crashed = [
        arm
        for arm in state.changes.judged
        if arm.startswith("g") and not state.verdict(arm).effects
    ]
    assert crashed
    assert not {"c1", "c3"} <= set(state.changes.accepted)
    assert state.stopped is not None
    assert state.stopped.is_final


def test_what_stacks_took_is_what_their_trials_cost_crashed_ones_too() -> None:
    state = Lab(Stacking(), clash=("idea0 0.2", "idea2 0.25")).study().state
    told = Schedule(ladder(), state, policy=Stacking(), plan=PLAN).view().spent_closing
    measured = sum(
        len(state.trials.ended.get((arm, rung.name), ())) * rung.cost
        for arm, one in state.changes.items()
        for rung in ladder().rungs
        if one.change.members and arm not in state.trials.broken
    )
    assert measured != told == state.outlay.closing.value > 0


def test_a_head_that_crashes_is_given_up_and_what_was_stuck_on_it_is_measured_again() -> None:
    plan = replace(PLAN, round=RoundRule(accepts=2, changes=99, budget_share=9.0))
    lab = Lab(TrendPolicy(), plan, clash=("idea0 0.2", "idea2 0.25"))
    study = lab.study()
    state = study.state
    assert {e.arm for e in study.events if isinstance(e, Dropped)} == {"c1", "c3"}
    assert state.bases["b2"] == state.bases["b0"]
    assert any(p.base == "b2" and p.proposed.rescreens for p in state.changes.values())
    assert {"c1", "c3"}.isdisjoint(state.changes.accepted)
    assert state.changes.accepted
    again = rejudge(ladder(), study.events, policy=study.policy, plan=plan)
    assert again == state.verdicts()
    events = study.events
    retreat = next(n for n, event in enumerate(events) if isinstance(event, Dropped))
    for place in range(retreat - 3, retreat + 6):
        again_lab = Lab(TrendPolicy(), plan, clash=lab.clash)
        first = again_lab.study(cut=place)
        assert again_lab.study(first.events).events == events, place


def test_the_reserve_is_left_to_stacks() -> None:
    plan = replace(PLAN, budget=9000.0, exam_share=0.0)
    state = Lab(Stacking(), plan).study().state
    stacks = state.outlay.closing.value
    assert stacks > 0
    assert state.spent - stacks <= plan.budget * (1 - Stacking().reserve) + 1e-6
    assert state.spent <= plan.budget


def test_the_exam_states_what_the_head_gains_beside_what_was_claimed() -> None:
    found = survey(ladder(), whole().state)
    exam = found.exam
    assert exam is not None
    assert exam.is_fresh
    assert exam.arms == tuple(whole().state.changes.accepted)
    assert [e.rung for e in exam.effects] == [rung.name for rung in ladder().rungs]
    planted = sum(gain for n, gain in enumerate([*GAINS, 0, 0.15], 1) if f"c{n}" in exam.arms)
    top = exam.effects[-1]
    assert abs(top.gain - planted) < 5 * top.gain_se + 0.1 * planted
    assert exam.ratio is not None
    assert 0.7 < exam.ratio < 1.4


def test_status_and_report_show_stacks_and_the_exam(tmp_path: Path) -> None:
    state = whole().state
    loaded = Loaded("lab", StudyFolder(tmp_path), ladder(), whole().events, state, PLAN.budget)
    told = "\n".join(status(loaded))
    assert "exam     b2 with c1 c3" in told
    assert "g1   stack of c1 c3" in told
    assert f"{state.changes.n_fresh} changes" in told
    assert "members     c1 c3" in "\n".join(show(loaded, "g1"))
    drawn = dict.fromkeys(("progress", "scaling", "gains", "forecasts"), "<svg></svg>")
    html = render_page(survey(ladder(), state), drawn)
    assert "Exam of the whole" in html
    assert "<h3>Stacks</h3>" in html
