"""Claims about the names of arms."""

import pytest

from miniscale.setting.decode import InputError
from transfer.arm import ArmKind, ArmName, part_without, read_arm


@pytest.mark.parametrize("text", ["c17", "b0", "g2", "b1-c3"])
def test_an_arm_is_written_as_it_was_read(text: str) -> None:
    assert str(read_arm(text)) == text


def test_arms_are_ordered_by_number_and_not_by_letters() -> None:
    assert sorted(["c10", "c9", "c2"], key=read_arm) == ["c2", "c9", "c10"]


def test_a_part_names_its_baseline_and_what_it_is_without() -> None:
    assert part_without("b1", "c3") == "b1-c3"
    assert read_arm("b1-c3") == ArmName(ArmKind.BASELINE, 1, left_out=3)


@pytest.mark.parametrize("text", ["", "c", "x3", "b1-", "b1-g3", "c1 "])
def test_what_is_no_arm_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="must be like c17"):
        read_arm(text)
