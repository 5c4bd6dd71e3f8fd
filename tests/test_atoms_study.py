"""The atoms policy in the real study: verdicts come out again, and what it takes is real."""

import math
import random
import zlib
from functools import cache
from pathlib import Path

import pytest
from atoms_scenes import ladder

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.trial import TrialResult, TrialSpec, TrialState
from miniscale.settings.oracle.planted_law import Planted
from transfer.change import Change
from transfer.events import Outcome, VerdictReached
from transfer.journal.folder import StudyFolder
from transfer.journal.load import Loaded
from transfer.ladder_trust import Light, Trust
from transfer.policy.voi.policy import AtomsPolicy
from transfer.report.text import show
from transfer.study.judge_again import rejudge
from transfer.study.simulated_study import KnobTrees, light_spec, simulate
from transfer.study.study import Study
from transfer.study_plan import StudyPlan

POLICY = AtomsPolicy()
PLAN = StudyPlan(trust=Trust(light=Light.GREEN), budget=3000.0, idea_cost=2.0, tops_up=True)


def planter(trees: KnobTrees) -> InProcessRunner:
    """Return a runner whose patches are planted gains, as numbers; a stack's is their sum."""

    def result(spec: TrialSpec) -> TrialResult:
        patches = [patch.split() for patch in trees.content(spec.tree).patches]
        gain, drift = (sum(float(patch[n]) for patch in patches) for n in (0, 1))
        idea = zlib.crc32(spec.tree.encode())
        scale = ladder().rung(spec.rung).scale
        planted = Planted(compute=scale, seed=spec.seed, gain=gain, drift=drift, idea=idea)
        return TrialResult(spec.identity, TrialState.COMPLETE, value=planted.loss())

    return InProcessRunner(result)


@cache
def played(seed: int) -> Study:
    """Play a study of 150 ideas: 25 % hold, 5 % reverse within the ladder, 40 % lose."""
    rng = random.Random(seed)
    changes = []
    for n in range(150):
        size, kind = 0.05 * math.exp(0.5 * rng.gauss(0, 1)), rng.random()
        gain = size if kind < 0.3 else -size if kind < 0.7 else 0.0
        drift = -size / 2.5 if 0.25 <= kind < 0.3 else 0.0
        changes.append(Change(title=f"idea {n}", patch=f"{gain} {drift} {n}"))
    trees = KnobTrees(ladder().setting.defaults())
    return simulate(
        ladder(),
        changes,
        policy=POLICY,
        plan=PLAN,
        trees=trees,
        specs=light_spec,
        runner=planter(trees),
    )


def truth(study: Study, arm: str) -> float:
    gain, drift, _ = map(float, study.state.changes[arm].change.patch.split())
    return gain + drift * ladder().position(ladder().target)


@pytest.mark.level1
def test_every_verdict_comes_out_again_from_the_journal() -> None:
    study = played(0)
    fresh = AtomsPolicy()
    again = rejudge(study.ladder, study.events, policy=fresh, plan=PLAN)
    judged = {event.arm: event for event in study.events if isinstance(event, VerdictReached)}
    assert len(judged) > 150
    assert again == judged


@pytest.mark.level1
def test_every_verdict_names_its_prior_and_show_tells_it(tmp_path: Path) -> None:
    study = played(0)
    verdicts = [event for event in study.events if isinstance(event, VerdictReached)]
    assert all(verdict.prior for verdict in verdicts)
    assert 1 < len({verdict.prior for verdict in verdicts}) <= 1 + len(verdicts) // 60  # learned
    loaded = Loaded(
        "toy", StudyFolder(tmp_path), study.ladder, study.events, study.state, PLAN.budget
    )
    assert f"prior       {study.state.verdict('c7').prior}" in show(loaded, "c7")


@pytest.mark.level1
def test_what_is_certified_gains_at_the_target_and_reversing_changes_are_not() -> None:
    certified, accepted = [], []
    for seed in range(6):
        study = played(seed)
        for arm in study.state.changes.accepted:
            gain = truth(study, arm)
            accepted.append(gain > 0)
            if study.state.verdict(arm).outcome is Outcome.CERTIFIED:
                certified.append(gain > 0)
    # two thirds of ideas gain nothing: of blind accepts a third would be right
    assert len(certified) >= 5
    assert sum(certified) >= len(certified) - 1
    assert sum(accepted) >= 0.8 * len(accepted)


@pytest.mark.level1
def test_a_round_after_one_that_accepted_nothing_has_a_stack_of_its_own() -> None:
    study = played(0)
    stacks = [one.change.members for arm, one in study.state.changes.items() if arm[0] == "g"]
    waiting = sum(
        isinstance(event, VerdictReached) and event.arm[0] == "c" and event.outcome.is_accepted
        for event in study.events
    )
    assert waiting > 0
    assert (
        len({members for members in stacks if len(members) > 2}) >= study.state.round.n_closed - 2
    )


@pytest.mark.level1
def test_stacks_take_no_more_than_their_share_of_the_budget() -> None:
    study = played(0)
    costs = {rung.name: rung.cost for rung in study.ladder.rungs}
    taken = sum(
        costs[rung] * len(seeds)
        for (arm, rung), seeds in study.state.trials.requests.items()
        if arm.startswith("g")
    )
    # parts decided on in one batch do not see each other's cost, only their own share
    rules = POLICY.rules
    assert 0 < taken <= (rules.closing_share + rules.parts_share) * PLAN.budget
    assert study.state.spent <= PLAN.budget
