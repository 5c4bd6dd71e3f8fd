"""The exam: what is claimed of the head before it, after it, and what a short one leads to."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from atoms_scenes import effect
from test_stacks import GAINS, PLAN, ladder, whole

from miniscale.setting import Kind
from transfer.atoms.beliefs import BEYOND, Claim, examine, together
from transfer.atoms.posterior import Model, believe
from transfer.events import Effect, Examined, decode, encode
from transfer.exam import Exam
from transfer.findings import survey
from transfer.folder import StudyFolder
from transfer.load import Loaded
from transfer.trust import Light, Trust
from transfer.words import status

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
    assert told.outlook == told.before
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
    told = claim(seen).outlook
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
    both = claim([*stack, *fresh]).outlook
    assert known.outlook.mean == pytest.approx(both.mean)
    assert known.outlook.sd == pytest.approx(both.sd)


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
    assert f"{len(state.accepted)} accepted; claimed " in told[1]
    assert "before the exam, which left" in told[1]


def test_what_was_believed_of_the_ladder_comes_back_with_the_exam() -> None:
    trust = Trust(Light.GREEN, drift=0.01, misfit=0.002, conformal=1.4, source="abc")
    asked = Examined("b2", {"r0": (800, 801)}, ("c1", "c3"), trust)
    assert decode(encode(asked)) == asked
    old = {"type": "examined", "arm": "b2", "seeds": {"r0": [800]}}
    assert decode(old) == Examined("b2", {"r0": (800,)})
