"""A command template becomes an argv, or one line that says what is missing."""

import pytest

from miniscale.setting.command import placeholders, render
from miniscale.setting.trial import Scalar


def test_values_are_filled_in_wherever_they_stand() -> None:
    template = ["{python}", "train.py", "--depth={depth}", "{out}/{seed}.json"]
    values: dict[str, Scalar] = {"python": "/usr/bin/python", "depth": 2, "out": "o", "seed": 7}
    assert render(template, values) == ("/usr/bin/python", "train.py", "--depth=2", "o/7.json")


@pytest.mark.parametrize("value", [0.1, 1e13, 1.25e11, 2.0, 1e-7, 1 / 3])
def test_floats_read_back_exactly(value: float) -> None:
    assert float(render(["{x}"], {"x": value})[0]) == value


def test_knobs_expand_to_one_option_each() -> None:
    knobs: dict[str, Scalar] = {"lr": 0.02, "qk_norm": True, "tied": False, "act": "relu", "n": 3}
    options = ("--lr=0.02", "--qk_norm=true", "--tied=false", "--act=relu", "--n=3")
    assert render(["run", "{knobs}", "end"], {}, knobs=knobs) == ("run", *options, "end")
    assert render(["{knobs}"], {}) == ()


def test_a_knob_can_be_named_by_itself_and_a_rung_wins_over_it() -> None:
    assert render(["{lr}"], {}, knobs={"lr": 0.5}) == ("0.5",)
    assert render(["{lr}", "{knobs}"], {"lr": 2}, knobs={"lr": 1, "n": 3}) == ("2", "--n=3")
    assert render(["{knobs}"], {"lr": 2}, knobs={"lr": 1}) == ("--lr=2",)


def test_doubled_braces_are_braces() -> None:
    assert render(['{{"n": {n}}}'], {"n": 1}) == ('{"n": 1}',)
    assert placeholders(["{{n}}"]) == frozenset()


def test_a_value_with_braces_is_not_filled_again() -> None:
    assert render(["{a}"], {"a": "{b}", "b": "no"}) == ("{b}",)


def test_placeholders_are_found() -> None:
    assert placeholders(["{a}", "x{b}y{a}", "{knobs}"]) == {"a", "b", "knobs"}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (["--depth={dpeth}"], "did you mean {depth}?"),
        (["{zzz}"], "give it a value in the rung's params"),
        (["--all={knobs}"], "must be an element of its own"),
        (["{depth"], "a lone '{'"),
        (["depth}"], "a lone '}'"),
        (["{2x}"], "a lone '{'"),
    ],
)
def test_what_cannot_be_filled_is_one_line_with_the_next_step(
    template: list[str], said: str
) -> None:
    with pytest.raises(ValueError, match="command element") as caught:
        render(template, {"depth": 2, "seed": 1})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
