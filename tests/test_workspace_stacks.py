"""Several changes in one tree: in order, the last edit of a knob wins, a conflict is left out."""

from pathlib import Path

import pytest
from test_workspace import KNOBS, make, patch_of

from miniscale.setting.rung import Edit
from miniscale.tree.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    text = "".join(f"line {n}\n" for n in range(1, 21))
    for name in ("train.py", "lib/model.py", "tokens.py"):
        (folder / name).write_text(text)
    return make(tmp_path / "mine", folder)


ONE = Edit("c1", patch_of(3, "one"), {"lr": 0.1})
TWO = Edit("c2", patch_of(12, "two"), {"lr": 0.3, "qk_norm": False})
CLASH = Edit("c3", patch_of(3, "three"), {})
NEAR = Edit("c4", patch_of(5, "near"), {})


def test_patches_and_knobs_of_all_members_are_in_the_tree(workspace: Workspace) -> None:
    stacked = workspace.stack("g1", parent=workspace.first(), edits=[ONE, TWO])
    lines = (stacked.tree.path / "train.py").read_text().splitlines()
    assert (lines[2], lines[11]) == ("one", "two")
    assert stacked.tree.knobs == {**KNOBS, "lr": 0.3, "qk_norm": False}
    assert not stacked.left_out


def test_a_member_that_does_not_apply_is_left_out_whole_with_the_reason(
    workspace: Workspace,
) -> None:
    stacked = workspace.stack("g1", parent=workspace.first(), edits=[ONE, CLASH, TWO])
    assert list(stacked.left_out) == ["c3"]
    assert "does not apply" in stacked.left_out["c3"]
    alone = workspace.stack("g2", parent=workspace.first(), edits=[ONE, TWO])
    assert stacked.tree.digest == alone.tree.digest
    again = workspace.stack("g1", parent=workspace.first(), edits=[ONE, CLASH, TWO])
    assert again == stacked


def test_a_patch_is_merged_with_those_before_it(workspace: Workspace) -> None:
    stacked = workspace.stack("g1", parent=workspace.first(), edits=[ONE, NEAR])
    lines = (stacked.tree.path / "train.py").read_text().splitlines()
    assert not stacked.left_out
    assert (lines[2], lines[4]) == ("one", "near")


def test_a_stack_holds_what_its_members_commits_hold(workspace: Workspace) -> None:
    stacked = workspace.stack("g1", parent=workspace.first(), edits=[ONE, TWO])
    head = workspace.first()
    for edit in (ONE, TWO):
        head = workspace.accept(
            edit.arm, parent=head, patch=edit.patch, knobs=edit.knobs, message="m"
        )
    base = workspace.checkout("b1", parent=head, patch="", knobs={})
    assert base.digest == stacked.tree.digest


def test_a_stack_made_half_is_made_again(workspace: Workspace) -> None:
    first = workspace.stack("g1", parent=workspace.first(), edits=[ONE, TWO])
    (first.tree.path / "train.py").write_text("damaged")
    assert workspace.stack("g1", parent=workspace.first(), edits=[ONE, TWO]).tree == first.tree
    assert (first.tree.path / "train.py").read_text() != "damaged"
