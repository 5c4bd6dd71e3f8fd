"""Every policy by name: decoded strictly, and each does what it says on planted changes."""

import math
from dataclasses import replace
from functools import cache

import pytest
from oracle import oracle_job

from miniscale.setting.decode import InputError
from miniscale.setting.trial import Cause, TrialState
from transfer.change import Change
from transfer.events import Action, Effect, Outcome
from transfer.failure import Failure
from transfer.ladder import Ladder
from transfer.policy.confirm import ConfirmPolicy
from transfer.policy.greedy import GreedyPolicy
from transfer.policy.halving import HalvingPolicy
from transfer.policy.power_law import PowerLawPolicy, extrapolated
from transfer.policy.protocol import ChangeView, Evidence, StudyView
from transfer.policy.registry import POLICIES, decode_policy
from transfer.policy.ttest import Control, TTestPolicy, lord_level
from transfer.study.simulated_study import simulate


@cache
def ladder() -> Ladder:
    return oracle_job().ladder


def seen(*gains: float, se: float = 0.01) -> Evidence:
    """Return evidence of a change with these gains on the lowest rungs of the oracle's ladder."""
    effects = []
    for gain, rung in zip(gains, ladder().rungs, strict=False):
        x, slope = ladder().position(rung.scale), 0.081 * rung.scale**-0.18
        effects.append(Effect(rung.name, x, 1, 1, 4, gain * slope, se * slope, gain, se))
    return Evidence(ladder(), Change("a", patch="a"), tuple(effects), arm="c1")


def change_view(arm: str, *gains: float) -> ChangeView:
    return ChangeView(arm, "b0", Change("a", patch="a"), seen(*gains).effects)


def accepted(name: str, *overrides: str) -> set[str]:
    """Return the titles that a policy accepts of the oracle's panel."""
    job = oracle_job(f"policy={name}", *overrides)
    state = simulate(job.ladder, job.ladder.panel, policy=job.policy, plan=job.plan).state
    singles = {arm: one for arm, one in state.changes.items() if not one.change.members}
    assert singles.keys() <= state.verdicts().keys()
    return {
        one.change.title for arm, one in singles.items() if state.verdict(arm).outcome.is_accepted
    }


@pytest.mark.parametrize("name", POLICIES)
def test_a_gain_that_holds_is_kept_and_a_loss_is_not(name: str) -> None:
    found = accepted(name)
    # both set one knob, which one accept may have: atoms take the larger at the target
    assert found & {"a gain that holds", "a gain that rises"}
    assert "a gain that holds" in found or name == "atoms"
    assert "a loss" not in found


def test_those_who_look_at_the_lowest_rung_alone_fall_for_what_reverses() -> None:
    for name in ("greedy", "ttest", "confirm"):
        assert "a gain that reverses" in accepted(name)
    for name in ("atoms", "trend", "halving", "powerlaw"):
        assert "a gain that reverses" not in accepted(name)


def test_settings_are_strict_and_name_their_key() -> None:
    for override, said in (
        ("policy.seeds=two", r"policy\.seeds: expected int"),
        ("+policy.sedes=2", r"policy\.sedes: unknown key"),
        ("policy.control=lrod", r"policy\.control: .*lord"),
        ("policy.level=2", r"policy\.level: got 2"),
    ):
        with pytest.raises(InputError, match=said):
            oracle_job("policy=ttest", override)
    with pytest.raises(InputError, match="module:Class"):
        oracle_job("policy=ttest", "policy.name=tteest")
    with pytest.raises(InputError, match="cannot be imported"):
        oracle_job("policy=greedy", "policy.name=nowhere:Policy")
    with pytest.raises(InputError, match=r"policy\.rules\.odds"):
        decode_policy({"name": "atoms", "rules": {"odds": "high"}})


def test_a_strangers_policy_is_named_by_its_path() -> None:
    job = oracle_job("policy=greedy", "policy.name=transfer.policy.greedy:GreedyPolicy")
    assert job.policy == GreedyPolicy()


def test_a_name_alone_gives_every_default() -> None:
    assert decode_policy("greedy") == GreedyPolicy()
    assert decode_policy({"name": "ttest", "control": "lord"}) == TTestPolicy(control=Control.LORD)


def test_greedy_asks_for_one_run_and_keeps_what_is_better() -> None:
    first = GreedyPolicy().decide(seen())
    assert (first.action, first.rung, first.seeds) == (Action.PROMOTE, "small", 1)
    assert GreedyPolicy().decide(seen(0.001)).outcome is Outcome.PROVISIONAL
    assert GreedyPolicy().decide(seen(-0.001)).outcome is Outcome.REJECTED


def test_the_t_test_asks_for_more_than_a_sign() -> None:
    assert TTestPolicy().decide(seen(0.03)).outcome is Outcome.PROVISIONAL
    assert TTestPolicy().decide(seen(0.015)).outcome is Outcome.REJECTED


def test_spending_and_lord_never_give_out_more_than_there_is() -> None:
    assert 0.9 < sum(6 / (math.pi * t) ** 2 for t in range(1, 10_000)) < 1
    # without a discovery the levels add up to the wealth that LORD starts with, half the level
    assert 0.3 * 0.025 < sum(lord_level(t, [], level=0.05) for t in range(1, 20_000)) <= 0.025
    assert lord_level(11, [10], level=0.05) > 5 * lord_level(11, [], level=0.05)


def test_lord_asks_more_of_a_late_change() -> None:
    change_views = {f"c{n}": change_view(f"c{n}") for n in range(1, 60)}
    late = replace(seen(0.035), arm="c59", view=StudyView(change_views=change_views))
    assert TTestPolicy().decide(late).outcome is Outcome.PROVISIONAL
    assert TTestPolicy(control=Control.LORD).decide(late).outcome is Outcome.REJECTED


def test_halving_promotes_the_best_part_and_accepts_at_the_top() -> None:
    others = {f"c{n}": change_view(f"c{n}", 0.01 * n) for n in range(2, 11)}
    for gain, action in ((0.2, Action.PROMOTE), (0.055, Action.STOP)):
        evidence = replace(seen(gain), view=StudyView(change_views=others))
        assert HalvingPolicy().decide(evidence).action is action
    assert HalvingPolicy().decide(seen(*[0.1] * 4)).outcome is Outcome.PROVISIONAL


def test_confirm_wants_both_rungs_to_agree() -> None:
    policy = ConfirmPolicy()
    assert policy.decide(seen(0.01)).rung == "medium"
    assert policy.decide(seen(0.01, 0.01)).outcome is Outcome.PROVISIONAL
    assert policy.decide(seen(0.01, -0.01)).outcome is Outcome.REJECTED


def test_a_law_per_variant_extrapolates_what_it_sees() -> None:
    target = ladder().position(ladder().target)
    steady = extrapolated(seen(*[0.1] * 4, se=1e-4).effects, ladder(), position=target)
    assert steady.mean == pytest.approx(0.1, abs=0.02)
    falling = seen(0.2, 0.12, 0.04, 0.001, se=1e-3)
    assert PowerLawPolicy().decide(falling).outcome is Outcome.REJECTED
    assert PowerLawPolicy().decide(seen(*[0.1] * 4, se=1e-3)).outcome is Outcome.PROVISIONAL


def test_a_crash_is_a_rejection_for_every_plain_policy() -> None:
    crashed = replace(
        seen(0.1), failure=Failure("medium", 0, TrialState.FAILED, Cause.CRASH, "out of luck")
    )
    for name in ("greedy", "ttest", "halving", "confirm", "powerlaw"):
        assert decode_policy(name).decide(crashed).outcome is Outcome.REJECTED
