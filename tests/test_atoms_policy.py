"""The atoms policy: what it does next, what it takes, and what a review certifies."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from atoms_scenes import (
    GREEN,
    SCALES,
    change_view,
    crash_on,
    effect,
    evidence,
    idea,
    ladder,
    view,
)

from miniscale.setting.setting import Kind
from transfer.change import Change
from transfer.events import Action, Effect, Outcome, VerdictReached
from transfer.ladder_trust import Light, Trust
from transfer.policy.protocol import ChangeView, Review, StudyView
from transfer.policy.voi.policy import AtomsPolicy
from transfer.policy.voi.study_beliefs import VoiRules, read_study

POLICY = AtomsPolicy()


def flat(gain: float, rungs: int = 4, *, se: float = 0.008, n: int = 2) -> tuple[Effect, ...]:
    return tuple(effect(place, gain, se=se, n=n) for place in range(rungs))


def price(policy: AtomsPolicy, at: StudyView) -> float:
    """Return the price of compute in a view of the study."""
    return read_study(at, ladder(), policy.rules).price


def test_a_new_change_starts_on_the_lowest_rung() -> None:
    decision = POLICY.decide(evidence(()))
    assert (decision.action, decision.rung, decision.seeds) == (Action.PROMOTE, "r0", 2)


def test_a_loss_on_two_rungs_stops() -> None:
    decision = POLICY.decide(evidence(flat(-0.05, 2)))
    assert decision.outcome is Outcome.REJECTED


def test_a_promising_change_is_climbed_or_repeated_not_taken_on_one_run() -> None:
    decision = POLICY.decide(evidence((effect(0, 0.04, se=0.02),)))
    assert decision.action in (Action.PROMOTE, Action.REPEAT)
    assert "promise" in decision.reasons[-1]


def test_a_gain_that_held_on_every_rung_is_taken_provisionally() -> None:
    decision = POLICY.decide(evidence(flat(0.05)))
    assert decision.outcome is Outcome.PROVISIONAL
    assert decision.gain_forecast is not None
    assert decision.gain_forecast.odds > 0.9


def test_a_gain_that_is_gone_at_the_top_is_scale_bound() -> None:
    fading = tuple(effect(p, g, se=0.005, n=4) for p, g in enumerate((0.06, 0.03, 0.0, -0.03)))
    assert POLICY.decide(evidence(fading)).outcome is Outcome.SCALE_BOUND


def test_no_hyperparameter_edit_is_taken_by_one_rung_alone() -> None:
    dear = AtomsPolicy(rules=VoiRules(price_greed=1e4))
    change = idea(kind=Kind.HYPERPARAMETER)
    seen = (effect(0, 0.3, se=0.005, n=8),)
    decision = dear.decide(evidence(seen, change=change))
    assert (decision.action, decision.rung) == (Action.PROMOTE, "r1")
    assert "drifts" in decision.reasons[-1]


def test_dear_compute_stops_what_cheap_compute_goes_on_with() -> None:
    seen = (effect(0, 0.02, se=0.02),)
    cheap, dear = (AtomsPolicy(rules=VoiRules(price_greed=g)) for g in (0.1, 1e3))
    assert not cheap.decide(evidence(seen)).is_verdict
    assert dear.decide(evidence(seen)).is_verdict


def test_compute_gets_cheaper_where_the_budget_would_outlast_the_ideas() -> None:
    few = [change_view(f"c{n}", (), outcome=Outcome.REJECTED) for n in range(90)]
    knowing = AtomsPolicy(rules=VoiRules(ideas=100))
    late, early = view(*few, spent=400.0), view(*few[:5], spent=2000.0)
    assert price(knowing, late) < 0.1 * price(POLICY, late)
    assert price(knowing, early) > 10 * price(POLICY, early)


def test_with_hardly_any_noise_and_a_persistent_kind_it_decides_on_few_runs() -> None:
    quiet = view(sd=0.001)
    decision = POLICY.decide(evidence((effect(0, 0.1, se=0.001),), at=quiet))
    assert decision.action is not Action.REPEAT


def test_reasons_hold_the_rungs_the_odds_and_what_runs_would_settle_it() -> None:
    dear = AtomsPolicy(rules=VoiRules(price_greed=1e3, odds=0.9))
    decision = dear.decide(evidence((effect(0, 0.06, se=0.02),)))
    said = "; ".join(decision.reasons)
    assert decision.outcome is Outcome.UNDECIDED
    assert "wins 6.2 % of compute at r0" in said
    assert "structural changes like it" in said
    assert "P(gain)" in said
    assert "would settle it" in said
    assert decision.price > 0


def test_a_crash_on_the_lowest_rung_is_rejected_with_its_reason() -> None:
    failure = crash_on("r0")
    decision = POLICY.decide(evidence((), failure=failure))
    assert decision.outcome is Outcome.REJECTED
    assert decision.reasons == ("failed crash on r0, seed 0: planted",)


def test_a_crash_above_a_win_is_scale_bound_and_expected_to_lose() -> None:
    failure = crash_on("r2")
    decision = POLICY.decide(evidence(flat(0.1, 2), failure=failure))
    assert decision.outcome is Outcome.SCALE_BOUND
    assert decision.gain_forecast is not None
    assert decision.gain_forecast.odds < 0.2
    assert decision.gain_forecast.mean < -0.2


def test_a_forecast_of_a_rung_is_the_outlook_there() -> None:
    look = POLICY.foresee(evidence(flat(0.05, 2)), "r2")
    assert look is not None
    assert look.low < 0.05 < look.high
    assert POLICY.foresee(evidence(()), "r1") is None


def test_deciding_is_pure_whatever_was_decided_before() -> None:
    seen = (effect(0, 0.04, se=0.02, shared=0.01),)
    fresh = AtomsPolicy().decide(evidence(seen))
    used = AtomsPolicy()
    for gain in (-0.1, 0.0, 0.1):
        used.decide(evidence((effect(0, gain, se=0.02),)))
    assert used.decide(evidence(seen)) == fresh


def test_what_the_budget_cannot_pay_is_not_asked_for() -> None:
    poor = view(spent=3590.0)  # a tenth of 4,000 is kept back
    decision = POLICY.decide(evidence((effect(0, 0.04, se=0.02),), at=poor))
    assert decision.is_verdict or ladder().rung(decision.rung).cost <= 10


@pytest.mark.parametrize(
    ("name", "value"), [("odds", 1.5), ("head_harm", 0.0), ("replicates", ()), ("exam_seeds", (0,))]
)
def test_rules_that_cannot_be_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        replace(VoiRules(), **{name: value})


# -- the end of a round --------------------------------------------------------------------


def taken(arm: str, gain: float, *, rungs: int = 2, **change: object) -> ChangeView:
    what = replace(idea(arm), **change) if change else idea(arm)
    return change_view(arm, flat(gain, rungs), change=what, outcome=Outcome.PROVISIONAL)


def closed(
    policy: AtomsPolicy,
    *change_views: ChangeView,
    worth: dict[str, float],
    crash: Sequence[str] = (),
    trust: Trust = GREEN,
) -> tuple[Review, StudyView]:
    """Play a round's end: stacks gain the sum of ``worth``; sets that hold all of crash fail."""
    found = {s.arm: s for s in change_views}
    for _ in range(40):
        at = replace(view(*found.values(), trust=trust), is_closing=True)
        review = policy.review(at)
        if review.is_settled:
            return review, at
        known = {s.change.members for s in found.values()}
        for members in review.stacks:
            if members not in known:
                arm = f"g{len(found)}"
                found[arm] = ChangeView(arm, "b0", Change("stack", members=members), ())
        for arm, one in list(found.items()):
            if one.change.members and one.verdict is None:
                found[arm] = stepped(policy, one, found, worth=worth, crash=crash, trust=trust)
    raise AssertionError("the review never settles")


def stepped(
    policy: AtomsPolicy,
    one: ChangeView,
    found: dict[str, ChangeView],
    *,
    worth: dict[str, float],
    crash: Sequence[str],
    trust: Trust,
) -> ChangeView:
    at = view(*found.values(), trust=trust)
    decision = policy.decide(
        evidence(one.effects, change=one.change, arm=one.arm, at=at, failure=one.failure)
    )
    if decision.outcome is not None:
        verdict = VerdictReached(
            one.arm, decision.outcome, one.effects, decision.gain_forecast, decision.reasons
        )
        return replace(one, verdict=verdict)
    if crash and set(crash) <= set(one.change.members):
        return replace(one, failure=crash_on(decision.rung))
    gain = sum(worth[arm] for arm in one.change.members)
    seen = effect(int(decision.rung[1]), gain, se=0.008, n=decision.seeds)
    return replace(one, effects=(*one.effects, seen))


def outcomes(review: Review) -> dict[str, Outcome]:
    return {verdict.arm: verdict.outcome for verdict in review.verdicts}


def test_a_round_without_accepts_closes_at_once() -> None:
    review = POLICY.review(view(change_view("c1", (effect(0, -0.1),), outcome=Outcome.REJECTED)))
    assert review == Review()


def test_a_stack_that_holds_to_the_top_certifies_its_members() -> None:
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    review, at = closed(POLICY, *arms, worth=dict.fromkeys(("c1", "c2", "c3"), 0.08))
    assert set(outcomes(review).values()) == {Outcome.CERTIFIED}
    root = next(s for s in at.change_views.values() if len(s.change.members) == 3)
    assert [e.rung for e in root.effects] == [f"r{n}" for n in range(len(SCALES))]
    assert all(verdict.prior for verdict in review.verdicts)


@pytest.mark.parametrize(
    ("unmatched", "source", "certified"),
    [
        ("repetition of data", "", 0),
        ("tokens per parameter fall with size", "", 0),
        ("repetition of data", "an audit", 2),
        ("sharpness of the edges", "", 2),
    ],
)
def test_nothing_is_certified_where_data_do_not_match_and_no_audit_says_they_need_not(
    unmatched: str, source: str, certified: int
) -> None:
    trust = replace(GREEN, source=source)
    arms = [taken(f"c{n}", 0.12, rungs=4) for n in (1, 2)]
    _, at = closed(POLICY, *arms, worth={"c1": 0.12, "c2": 0.12}, trust=trust)
    review = POLICY.review(replace(at, ladder=replace(ladder(), unmatched=(unmatched,))))
    assert list(outcomes(review).values()).count(Outcome.CERTIFIED) == certified
    said = f"not certified: the ladder does not match the target in {unmatched}, and no audit"
    told = [any(said in reason for reason in verdict.reasons) for verdict in review.verdicts]
    assert told == [certified == 0] * 2


def test_leaving_out_runs_on_one_rung_only() -> None:
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    _, at = closed(POLICY, *arms, worth=dict.fromkeys(("c1", "c2", "c3"), 0.08))
    parts = [s for s in at.change_views.values() if len(s.change.members) == 2]
    assert [[e.rung for e in part.effects] for part in parts] == [["r0"]] * 3


def test_a_member_that_the_stack_is_better_without_is_dropped_and_the_rest_climbs() -> None:
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    review, at = closed(POLICY, *arms, worth={"c1": 0.08, "c2": 0.08, "c3": -0.06})
    found = outcomes(review)
    assert found["c3"] is Outcome.REJECTED
    assert found["c1"].is_accepted
    assert found["c2"].is_accepted
    rest = next(s for s in at.change_views.values() if s.change.members == ("c1", "c2"))
    assert rest.effects[-1].rung == "r3"


def test_losing_at_the_bottom_as_expected_does_not_contradict_a_member() -> None:
    rising = tuple(effect(p, g, se=0.008, n=2) for p, g in enumerate((-0.08, -0.02, 0.05, 0.1)))
    late = change_view("c3", rising, outcome=Outcome.PROVISIONAL)
    arms = [taken("c1", 0.08), taken("c2", 0.08), late]
    found = {s.arm: s for s in arms}
    root = ChangeView(
        "g1",
        "b0",
        Change("stack", members=("c1", "c2", "c3")),
        tuple(effect(p, 0.16 + e.gain, se=0.008) for p, e in enumerate(rising)),
        verdict=VerdictReached("g1", Outcome.UNDECIDED, (), None, ()),
    )
    parts = [
        replace(
            root,
            arm=f"g{2 + n}",
            change=Change("part", members=members),
            effects=(effect(0, gain, se=0.008),),
        )
        for n, (members, gain) in enumerate(
            [(("c2", "c3"), 0.0), (("c1", "c3"), 0.0), (("c1", "c2"), 0.16)]
        )
    ]
    review = POLICY.review(view(*found.values(), root, *parts))
    assert outcomes(review)["c3"].is_accepted


def test_one_accept_a_knob_and_the_better_one() -> None:
    arms = [
        taken("c1", 0.05, kind=Kind.HYPERPARAMETER, patch="", knobs={"lr": 0.02}),
        taken("c2", 0.12, kind=Kind.HYPERPARAMETER, patch="", knobs={"lr": 0.03}),
    ]
    review, _ = closed(POLICY, *arms, worth={"c1": 0.05, "c2": 0.12})
    found = {verdict.arm: verdict for verdict in review.verdicts}
    assert found["c2"].outcome.is_accepted
    assert found["c1"].outcome is Outcome.REJECTED
    assert "one accept a knob" in found["c1"].reasons[-1]


def test_a_single_accept_climbs_alone_to_be_certified() -> None:
    review, at = closed(POLICY, taken("c1", 0.08), worth={"c1": 0.08})
    assert outcomes(review) == {"c1": Outcome.CERTIFIED}
    assert at.change_views["g1"].change.members == ("c1",)


def test_a_red_audit_certifies_nothing() -> None:
    red = Trust(light=Light.RED)
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    review, _ = closed(POLICY, *arms, worth=dict.fromkeys(("c1", "c2", "c3"), 0.08), trust=red)
    assert set(outcomes(review).values()) == {Outcome.PROVISIONAL}
    assert "red" in review.verdicts[0].reasons[-1]


def test_nothing_is_certified_that_was_not_on_the_highest_rung() -> None:
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    poor = AtomsPolicy(rules=VoiRules(closing_share=0.12))
    old = Change("old", members=("x",))
    spent = change_view(
        "g0", (effect(3, 0.1, n=2),), change=old, base="b9", outcome=Outcome.UNDECIDED
    )
    review, at = closed(poor, spent, *arms, worth=dict.fromkeys(("c1", "c2", "c3"), 0.08))
    root = next(s for s in at.change_views.values() if len(s.change.members) == 3)
    assert root.effects[-1].rung != "r3"
    assert not any(v.outcome is Outcome.CERTIFIED for v in review.verdicts)


def test_a_stack_that_crashes_gives_up_its_culprit_and_ends() -> None:
    arms = [taken(f"c{n}", 0.08) for n in range(1, 4)]
    worth = dict.fromkeys(("c1", "c2", "c3"), 0.08)
    review, _ = closed(POLICY, *arms, worth=worth, crash=["c1"])
    found = outcomes(review)
    assert found["c1"] is Outcome.REJECTED
    assert found["c2"].is_accepted


def test_a_pair_that_crashes_together_keeps_its_better_one() -> None:
    arms = [taken("c1", 0.05), taken("c2", 0.12)]
    review, _ = closed(POLICY, *arms, worth={"c1": 0.05, "c2": 0.12}, crash=["c1", "c2"])
    found = outcomes(review)
    assert found["c1"] is Outcome.REJECTED
    assert found["c2"].is_accepted


def test_a_review_without_a_ladder_says_what_to_set() -> None:
    with pytest.raises(ValueError, match=r"set StudyView\.ladder"):
        POLICY.review(replace(view(), ladder=None))
