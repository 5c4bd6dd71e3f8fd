"""What runs are worth, what a stack says of its members, and what a knob's edits say together."""

import math
from dataclasses import replace

import numpy as np
import pytest
from atoms_scenes import LR, change_view, effect, ladder

from miniscale.setting.setting import Kind
from transfer.belief.mixture import Mixture
from transfer.belief.posterior import Belief, Model, believe
from transfer.belief.stack_members import Claim, Normal, Part, examine, together
from transfer.belief.utility import Utility, expected_best
from transfer.change import Change
from transfer.events import Effect, Outcome
from transfer.policy.voi.baseline_error import baseline_error
from transfer.policy.voi.knobs import KnobEdit, coordinate, edits_by_knob, fit_bowl, hint
from transfer.policy.voi.value import (
    Prospects,
    RungOption,
    SearchTerms,
    plans,
    price_of_compute,
    settling,
)

MODEL = Model()
TERMS = SearchTerms(target=7.68, utility=Utility(), price=0.0)
POSITIONS = {f"r{n}": ladder().position(rung.scale) for n, rung in enumerate(ladder().rungs)}


def steps(*counts: int, own: float = 0.02) -> list[RungOption]:
    return [
        RungOption(f"r{n}", x, 6.0**n, own, 0.01, counts[n] if n < len(counts) else 0)
        for n, x in enumerate(POSITIONS.values())
    ]


def prospects(gain: float = 0.03, *, own: float = 0.02) -> Prospects:
    belief = believe((effect(0, gain, se=own),), Kind.STRUCTURAL, model=MODEL)
    return Prospects(belief, steps(1, own=own), TERMS)


@pytest.mark.parametrize("gain", [-0.2, -0.03, 0.0, 0.03, 0.2])
def test_information_is_never_worth_less_than_nothing_before_its_cost(gain: float) -> None:
    here = prospects(gain)
    for plan in plans(here, steps(1), replicates=(1, 2, 4)):
        assert plan.value >= max(here.mean, 0.0) - 1e-12


def test_more_runs_and_quieter_runs_are_worth_more() -> None:
    here = prospects()
    spreads = [here.plan(((0, n),)).spread for n in (1, 2, 4, 100)]
    assert spreads == sorted(spreads)
    assert prospects(own=0.01).plan(((1, 1),)).spread > prospects(own=0.04).plan(((1, 1),)).spread


def test_a_climb_teaches_no_less_than_its_last_rung_alone() -> None:
    here = prospects()
    assert here.plan(((1, 1), (2, 1))).spread >= here.plan(((2, 1),)).spread - 1e-12


def test_later_legs_cost_by_the_odds_that_they_are_reached() -> None:
    sure, hopeless = prospects(0.3), prospects(-0.3)
    legs = ((1, 1), (2, 1))
    assert 6 + 0.85 * 36 < sure.plan(legs).cost < 6 + 36
    assert 6 < hopeless.plan(legs).cost < 6 + 0.15 * 36


def test_the_spread_is_that_of_the_posterior_mean_over_what_could_be_seen() -> None:
    """tau^2 = c'(V+N)^-1 c is the variance of the best linear forecast; check against draws."""
    belief = believe((effect(0, 0.03, se=0.02),), Kind.STRUCTURAL, model=MODEL)
    here = Prospects(belief, steps(1), TERMS)
    rng = np.random.default_rng(0)
    k = rng.choice(belief.weights.size, 1_000_000, p=belief.weights)
    x = POSITIONS["r1"]
    utility = belief.worth_by_atom(7.68, Utility(), last=x)[k]
    misfit = MODEL.misfit**2 + MODEL.misfit_share**2 * float(belief.weights @ belief.curve(x) ** 2)
    seen = rng.normal(belief.curve(x)[k], math.sqrt(0.02**2 + 0.01**2 + misfit))
    spread = abs(np.cov(utility, seen)[0, 1]) / math.sqrt(np.var(seen))
    assert here.plan(((1, 1),)).spread == pytest.approx(spread, rel=0.05)


def test_the_best_after_looking_is_the_normal_expectation() -> None:
    drawn = np.random.default_rng(0).normal(-0.01, 0.02, 400_000)
    assert expected_best(-0.01, 0.02) == pytest.approx(np.maximum(drawn, 0).mean(), abs=1e-4)


def test_harm_counts_as_often_as_asked() -> None:
    drawn = np.random.default_rng(0).normal(0.01, 0.02, 400_000)
    expected = np.where(drawn > 0, drawn, 4 * drawn).mean() - 0.004
    assert Utility(harm=4.0).of_normal(0.01, 0.02) == pytest.approx(expected, abs=2e-4)


def test_compute_gets_dearer_with_success_and_cheaper_with_spending() -> None:
    terms = {"greed": 1.5, "prior": 0.0003, "share": 0.375}
    start = price_of_compute(0.0, 0.0, 4000.0, **terms)
    assert start == pytest.approx(1.5 * 0.0003)
    assert price_of_compute(1.0, 100.0, 4000.0, **terms) > start
    assert price_of_compute(0.0, 2000.0, 4000.0, **terms) < start


def test_what_would_settle_a_change_is_affordable_and_teaches_most_of_it() -> None:
    here = prospects()
    plan = settling(here, steps(1))
    assert plan is not None
    place, _ = plan.legs[0]
    assert plan.spread >= 0.8 * here.plan(((place, 10_000),)).spread


# -- members of a stack ---------------------------------------------------------------------


def test_a_kalman_update_is_exact_conditioning() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 7))
    joint = root @ root.T + 0.1 * np.eye(7)
    mean = rng.normal(size=7)
    rows = rng.normal(size=(3, 7))
    noise = np.diag([0.1, 0.2, 0.3])
    seen = rng.normal(size=3)
    state = Normal(mean, joint).given(rows, seen, noise)
    # condition the joint of (x, y) by the textbook's Schur complement
    full = np.block([[joint, joint @ rows.T], [rows @ joint, rows @ joint @ rows.T + noise]])
    precision = np.linalg.inv(full)
    covariance = np.linalg.inv(precision[:7, :7])
    exact = mean - covariance @ precision[:7, 7:] @ (seen - rows @ mean)
    assert state.mean == pytest.approx(exact)
    assert state.covariance == pytest.approx(covariance)


def test_two_updates_are_one_update_with_both() -> None:
    state = Normal(np.array([0.1, 0.2]), np.array([[0.2, 0.05], [0.05, 0.1]]))
    rows, seen, noise = (
        np.array([[1.0, 1.0], [1.0, 0.0]]),
        np.array([0.5, 0.0]),
        np.diag([0.1, 0.2]),
    )
    both = state.given(rows, seen, noise)
    first = state.given(rows[:1], seen[:1], noise[:1, :1])
    second = first.given(rows[1:], seen[1:], noise[1:, 1:])
    assert second.mean == pytest.approx(both.mean)
    assert second.covariance == pytest.approx(both.covariance)


def test_measurements_that_do_not_fit_the_state_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a state of 2"):
        Normal(np.zeros(2), np.eye(2)).given(np.zeros((1, 3)), np.zeros(1), np.eye(1))


def beliefs(*gains: float) -> list[Belief]:
    seen = [(effect(0, gain, se=0.01), effect(1, gain, se=0.01)) for gain in gains]
    return [believe(one, Kind.STRUCTURAL, model=MODEL) for one in seen]


def claim(gains: tuple[float, ...], stack: list[Effect], parts: list[Part]) -> Claim:
    arms = [f"c{n}" for n in range(len(gains))]
    return examine(
        arms,
        beliefs(*gains),
        measured=stack,
        parts=parts,
        positions=POSITIONS,
        target=7.68,
    )


def test_unmeasured_members_add_up_and_share_an_error() -> None:
    here = beliefs(0.05, 0.05)
    state = together(here, [0.0, 7.68], interaction=0.0)
    alone = here[0].moments([0.0, 7.68])[0]
    assert state.mean.reshape(2, 2).sum(axis=0) == pytest.approx(2 * alone)
    common = 0.15**2 + 0.40**2 * 7.68**2 / math.log(1e3) ** 2
    assert state.covariance[1, 3] == pytest.approx(alone[1] ** 2 * common)


def test_a_stack_that_holds_narrows_the_claim_and_lifts_its_members() -> None:
    gains = (0.05, 0.05, 0.05)
    stack = [effect(place, 0.16, se=0.01, n=2) for place in range(4)]
    before, after = claim(gains, [], []), claim(gains, stack, [])
    assert after.gain_forecast.sd < before.gain_forecast.sd
    assert after.gain_forecast.mean > before.gain_forecast.mean
    assert after.ratio > 0.9
    assert not after.is_doubtful
    for arm in ("c0", "c1", "c2"):
        assert after.members[arm].mean > before.members[arm].mean


def test_what_moves_a_normal_belief_moves_one_normal_component_the_same() -> None:
    one = Mixture(np.ones(1), np.array([0.05]), np.array([0.03]))
    told = one.moved((0.05, 0.03), (0.02, 0.01))
    assert (told.mean, told.sd) == pytest.approx((0.02, 0.01))


def test_what_moves_a_belief_is_weighed_by_bayes_rule_against_a_mixture() -> None:
    rng = np.random.default_rng(0)
    mix = Mixture(np.array([0.7, 0.3]), np.array([0.0, 0.1]), np.array([0.01, 0.05]))
    # the move from sd .04 to .02 is an observation of sd .04 / sqrt(3)
    v = 1 / (0.02**-2 - 0.04**-2)
    y = v * (0.06 / 0.02**2 - 0.03 / 0.04**2)
    drawn = rng.choice(2, 2_000_000, p=mix.weights)
    gain = rng.normal(mix.value[drawn], mix.doubt[drawn])
    weights = np.exp(-0.5 * (y - gain) ** 2 / v)
    mean = float(weights @ gain / weights.sum())
    # effective draws above 50,000: sd of the mean below .0002
    assert mix.moved((0.03, 0.04), (0.06, 0.02)).mean == pytest.approx(mean, abs=0.001)


def test_a_wider_belief_tells_nothing() -> None:
    one = Mixture(np.ones(1), np.array([0.05]), np.array([0.03]))
    assert one.moved((0.05, 0.03), (0.02, 0.04)) is one


def test_a_stack_that_falls_short_says_so() -> None:
    stack = [effect(place, 0.02, se=0.01, n=2) for place in range(4)]
    short = claim((0.05, 0.05, 0.05), stack, [])
    assert short.ratio < 0.5
    assert short.is_doubtful


def test_leaving_out_a_member_that_adds_nothing_points_at_it() -> None:
    stack = [effect(0, 0.10, se=0.01, n=4)]
    parts = [
        Part("c0", "r0", 0.05, 0.01),
        Part("c1", "r0", 0.05, 0.01),
        Part("c2", "r0", 0.0, 0.01),
    ]
    seen = claim((0.05, 0.05, 0.05), stack, parts)
    members = seen.members
    assert members["c2"].mean < 0.7 * members["c0"].mean


# -- the baseline's error -------------------------------------------------------------------


def test_a_baseline_that_ran_badly_once_is_found_from_all_its_changes() -> None:
    rng = np.random.default_rng(0)
    lucky = 0.02
    pool = [
        change_view(
            f"c{n}",
            (effect(0, 0.5 * lucky + float(rng.normal(0, 0.008)), se=0.013, shared=0.01),),
        )
        for n in range(30)
    ]
    found = baseline_error(pool, "r0", rho=0.5, model=MODEL)
    assert found is not None
    mean, sd = found
    assert mean == pytest.approx(lucky, abs=0.008)
    assert sd < 0.01
    assert baseline_error(pool[:4], "r0", rho=0.5, model=MODEL) is None


# -- knobs as rules -------------------------------------------------------------------------


def planted(k: float, o: float, drift: float, *, noise: float, seed: int) -> list[KnobEdit]:
    rng = np.random.default_rng(seed)
    edits = []
    for n, z in enumerate((-0.7, -0.35, 0.35, 0.7)):
        effects = []
        for place in range(4):
            x = list(POSITIONS.values())[place]
            g = k * z * (2 * (o + drift * x) - z)
            effects.append(effect(place, g + float(rng.normal(0, noise)), se=noise))
        edits.append(KnobEdit(f"c{n}", 0.0, z, tuple(effects)))
    return edits


@pytest.mark.parametrize("drift", [-0.06, 0.0, 0.06])
def test_a_planted_bowl_comes_back_with_its_drift(drift: float) -> None:
    edits = planted(0.1, 0.1, drift, noise=0.003, seed=1)
    bowl = fit_bowl(edits)
    mean, covariance = (
        bowl.weights @ bowl.mean,
        np.einsum("c,cij->ij", bowl.weights, bowl.covariance),
    )
    sd = np.sqrt(np.diag(covariance) + bowl.weights @ (bowl.mean - mean) ** 2)
    # 4.9 sd of the posterior
    assert abs(mean[0] - 0.1) < 4.9 * sd[0]
    assert abs(mean[1] - drift) < 4.9 * sd[1]
    assert sd[1] < 0.02


def test_other_edits_forecast_an_edit_that_was_never_measured() -> None:
    edits = planted(0.2, 0.1, -0.08, noise=0.003, seed=3)
    unseen = KnobEdit("c9", 0.0, 0.5, ())
    told = hint([*edits, unseen], "c9", target=7.68, model=MODEL)
    assert told is not None
    truth = 0.2 * 0.5 * (2 * (0.1 - 0.08 * 7.68) - 0.5)
    assert told.mean[1] == pytest.approx(truth, abs=4.9 * math.sqrt(told.covariance[1, 1]))
    assert told.mean[1] < -0.05


def test_an_edit_is_no_evidence_for_itself() -> None:
    edits = planted(0.2, 0.1, 0.0, noise=0.003, seed=4)[:1]
    assert hint(edits, "c0", target=7.68, model=MODEL) is None


def test_an_edits_start_is_what_its_baseline_accepted() -> None:
    first = Change(title="a", kind=Kind.HYPERPARAMETER, knobs={"lr": 0.02})
    later = Change(title="b", kind=Kind.HYPERPARAMETER, knobs={"lr": 0.04})
    taken = replace(
        change_view("c1", (effect(0, 0.1),), change=first, outcome=Outcome.PROVISIONAL),
        is_accepted=True,
    )
    edits = edits_by_knob(
        [taken, change_view("c2", (effect(0, 0.1),), change=later, base="b1")], {"lr": LR}
    )["lr"]
    assert [edit.start for edit in edits] == pytest.approx([0.0, math.log(2)])
    assert [edit.value for edit in edits] == pytest.approx([math.log(2), math.log(4)])


def test_what_is_no_number_has_no_coordinate() -> None:
    flag = replace(LR, name="flag", default=True, is_log=False, low=None, high=None)
    assert coordinate(flag, True) is None
