"""What a patch or a trainer can lay as a trap in a study's trees."""

import os
from pathlib import Path

import pytest
from test_workspace import KNOBS, NEW, TRAIN, make, patch_of, source, workspace

from miniscale.tree.workspace import PatchRefused, Workspace

__all__ = ["source", "workspace"]


def test_a_package_cannot_hide_a_locked_module(tmp_path: Path, source: Path) -> None:
    workspace = Workspace.create(
        tmp_path / "x", source=source, editable=["**/*.py"], locked=["tokens.py"], knobs=KNOBS
    )
    patch = NEW.format(name="tokens/__init__.py")
    with pytest.raises(PatchRefused, match=r"hides 'tokens.py', which is locked"):
        workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})


def test_a_file_grown_by_many_patches_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "train.py").write_text(TRAIN + "#" * 1_999_980 + "\n")
    workspace = make(tmp_path / "big", source)
    with pytest.raises(PatchRefused, match="larger than 2000000 bytes"):
        workspace.checkout("c1", parent=workspace.first(), patch=patch_of(5, "x" * 99), knobs={})


def test_a_tree_that_a_trainer_made_a_link_is_made_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    tree = workspace.checkout("c1", parent=workspace.first(), patch="", knobs={})
    victim = tmp_path / "victim"
    os.rename(tree.path, victim)
    tree.path.symlink_to(victim)
    (victim / "train.py").write_text("altered")
    again = workspace.checkout("c1", parent=workspace.first(), patch=patch_of(5, "x"), knobs={})
    assert not again.path.is_symlink()
    assert (victim / "train.py").read_text() == "altered"


def test_links_inside_a_tree_are_not_written_through(workspace: Workspace, tmp_path: Path) -> None:
    tree = workspace.checkout("c1", parent=workspace.first(), patch="", knobs={})
    victim = tmp_path / "victim.py"
    victim.write_text(TRAIN)
    (tree.path / "train.py").unlink()
    (tree.path / "train.py").symlink_to(victim)
    again = workspace.checkout("c1", parent=workspace.first(), patch=patch_of(5, "x"), knobs={})
    assert "x" in (again.path / "train.py").read_text()
    assert victim.read_text() == TRAIN
