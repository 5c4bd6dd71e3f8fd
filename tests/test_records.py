"""Records as plain data: what was written comes back, what does not fit is refused in a line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from miniscale.setting.records import decode_record, encode_record


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Leaf:
    colour: Colour
    size: float | None = None


@dataclass(frozen=True)
class Twig:
    name: str


@dataclass(frozen=True)
class Tree:
    leaf: Leaf | None
    parts: tuple[Leaf | Twig, ...] = ()
    by_name: Mapping[str, tuple[Leaf, ...]] = field(default_factory=dict)
    pairs: tuple[tuple[int, float], ...] = ()


TREE = Tree(
    Leaf(Colour.RED, 1.5),
    (Twig("a"), Leaf(Colour.RED)),
    {"b": (Leaf(Colour.RED),)},
    ((1, 0.5), (2, 0.25)),
)


def test_a_record_comes_back_through_json() -> None:
    again = decode_record(Tree, json.loads(json.dumps(encode_record(TREE))))
    assert again == TREE
    assert again.leaf is not None
    assert again.leaf.colour is Colour.RED


def test_members_of_a_union_name_their_class() -> None:
    assert encode_record(TREE)["parts"][0] == {"type": "twig", "name": "a"}


def test_absent_fields_keep_their_defaults() -> None:
    assert decode_record(Tree, {"leaf": None}) == Tree(None)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "missing 1 required positional argument: 'leaf'"),
        ({"leaf": None, "root": 1}, "unexpected keyword argument 'root'"),
        ({"leaf": {"colour": "blue"}}, "'blue'"),
        ({"leaf": None, "parts": [{"type": "bark"}]}, "'bark'"),
        ({"leaf": None, "parts": 3}, "not iterable"),
        ([], "no Tree can be made of it"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(data: object, says: str) -> None:
    with pytest.raises(ValueError, match=r"no Tree can be made of it: .") as refusal:
        decode_record(Tree, data)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
