"""What a model's process spends beside answering is held against what training took."""

import pytest

from miniscale.evaluate.cpu_limits import Seconds
from miniscale.evaluate.refusal import OverBudgetError


def spent(*, loading: float, a_token: float) -> Seconds:
    first, second = 130_000, 13_000
    return Seconds(loading + a_token * first, first, loading + a_token * second, second)


def test_loading_and_answering_are_told_apart_by_two_instances() -> None:
    found = spent(loading=0.7, a_token=1e-5)
    assert found.loading == pytest.approx(0.7)
    assert found.a_token == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("loading", "a_token", "said"),
    [(0.4, 1e-5, ""), (4.0, 1e-5, "loading"), (0.4, 1e-4, "answering")],
)
def test_training_in_disguise_is_over_budget(loading: float, a_token: float, said: str) -> None:
    found = spent(loading=loading, a_token=a_token)
    if not said:
        found.check(trainer=8.0, tokens=280_000)
    else:
        with pytest.raises(OverBudgetError, match=f"^{said}: "):
            found.check(trainer=8.0, tokens=280_000)
