"""A reading that is kept up as a study grows says the same as one made from nothing."""

from dataclasses import dataclass, field, replace

import pytest
from atoms_scenes import change_view, effect, view

from transfer.belief.exam_ratio import beliefs_of
from transfer.belief.posterior import model_for
from transfer.belief.utility import Utility
from transfer.bench.worlds.catalogue import maker
from transfer.bench.worlds.world import world_runner
from transfer.events import GainForecast, Outcome
from transfer.ladder_trust import Trust
from transfer.policy.protocol import ChangeView, Decision, Evidence, Review, StudyView
from transfer.policy.voi.policy import AtomsPolicy
from transfer.policy.voi.study_beliefs import PolicyContext, VoiRules, read_study
from transfer.policy.voi.study_totals import Tally
from transfer.study.simulated_study import KnobTrees, light_spec, simulate


@dataclass(frozen=True)
class Twice:
    """The policy beside one that remembers nothing; it keeps what the two do not agree on."""

    kept: AtomsPolicy = field(default_factory=AtomsPolicy)
    differ: list[object] = field(default_factory=list)
    seen: list[PolicyContext] = field(default_factory=list)
    name: str = "twice"
    utility: Utility = field(default_factory=Utility)

    @property
    def reserve(self) -> float:
        return self.kept.reserve

    def decide(self, evidence: Evidence) -> Decision:
        found = self.kept.decide(evidence)
        self._compare(found, AtomsPolicy().decide(replace(evidence, view=blank(evidence.view))))
        self._compare_readings(evidence.view)
        return found

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        found = self.kept.foresee(evidence, rung)
        self._compare(
            found, AtomsPolicy().foresee(replace(evidence, view=blank(evidence.view)), rung)
        )
        return found

    def review(self, view: StudyView) -> Review:
        found = self.kept.review(view)
        self._compare(found, AtomsPolicy().review(blank(view)))
        return found

    def _compare_readings(self, view: StudyView) -> None:
        assert view.ladder is not None
        kept, fresh = (read_study(v, view.ladder, VoiRules()) for v in (view, blank(view)))
        self.seen[:] = [kept]
        for one in ("model", "price", "edits", "prior_digest", "room"):
            self._compare(getattr(kept, one), getattr(fresh, one))
        self._compare(kept.tally.on_base(view.base), walked(view, view.base))

    def _compare(self, kept: object, fresh: object) -> None:
        if kept != fresh:
            self.differ.append((kept, fresh))


def blank(view: StudyView) -> StudyView:
    """Return a view in whose study nothing was computed yet."""
    return replace(view, scratch={})


def walked(view: StudyView, base: str) -> list[ChangeView]:
    """Return a baseline's single changes as a walk over all change views finds them."""
    return [s for s in view.change_views.values() if not s.change.members and s.base == base]


@pytest.mark.level1
def test_every_number_of_a_study_is_the_same_from_memory_and_from_nothing() -> None:
    world = maker("Drift")(3)  # edits of knobs among its ideas
    world = replace(world, plan=replace(world.plan, budget=1100.0))
    policy, trees = Twice(), KnobTrees(world.ladder.setting.defaults())
    study = simulate(
        world.ladder,
        world.changes(),
        policy=policy,
        plan=world.plan,
        runner=world_runner(world, trees),
        trees=trees,
        specs=light_spec,
    )
    assert not policy.differ
    last = policy.seen[0]
    assert study.state.round.n_closed > 2
    assert len(study.state.bases) > 1
    assert last.model.prior.weights  # it learned
    # and the exam starts from what was believed before the study taught anything
    arms = [arm for arm in study.state.changes.accepted if study.state.verdict(arm).effects]
    assert arms
    for belief in beliefs_of(study.analysis, arms, None):
        assert belief.model is model_for(Trust())
        assert not belief.model.prior.weights


def test_a_tally_follows_a_scene_that_does_not_go_on_from_the_last() -> None:
    one = view(change_view("c1", (effect(0, 0.03),)), change_view("c2", (effect(0, 0.01),)))
    other = view(change_view("c9", (effect(0, 0.02),), base="b1"))
    tally = Tally()
    for at in (one, other, one):
        tally.follow(at)
    assert tally.n_singles == 2
    assert tally.on_rung("b0", "r0") == list(one.change_views.values())
    assert not tally.on_base("b1")


def test_a_tally_forgets_a_verdict_that_was_taken_back_and_an_effect_that_went() -> None:
    taken = change_view("c1", (effect(0, 0.03),), outcome=Outcome.PROVISIONAL)
    left = change_view("c1", (), outcome=Outcome.REJECTED, change=taken.change)
    tally = Tally()
    tally.follow(view(taken))
    assert tally.accepted() == [verdict for _, verdict in tally.teaching()] == [taken.verdict]
    stamp = tally.stamp(("b0", "r0"))
    tally.follow(view(left))
    assert tally.accepted() == tally.teaching() == tally.on_rung("b0", "r0") == []
    assert tally.stamp(("b0", "r0")) != stamp


def test_verdicts_teach_up_to_the_first_change_without_one() -> None:
    judged = [change_view(f"c{n}", (effect(0, 0.01),), outcome=Outcome.REJECTED) for n in (1, 3)]
    waiting = change_view("c2", (effect(0, 0.01),))
    tally = Tally()
    tally.follow(view(judged[0], waiting, judged[1]))
    assert [verdict.arm for _, verdict in tally.teaching()] == ["c1"]
    done = change_view("c2", waiting.effects, outcome=Outcome.REJECTED, change=waiting.change)
    tally.follow(view(judged[0], done, judged[1]))
    assert [verdict.arm for _, verdict in tally.teaching()] == ["c1", "c2", "c3"]
