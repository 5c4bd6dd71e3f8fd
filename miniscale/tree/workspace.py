"""A study's own git repository and the trees in which its trials run."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from miniscale.setting.records import decode_record, encode_record, replace_file
from miniscale.setting.rung import Edit, Stacked, Tree
from miniscale.setting.setting import Setting, TreeKind
from miniscale.setting.trial import Scalar, digest
from miniscale.tree.apply_patch import apply_patch, names_in
from miniscale.tree.git import GitError, git, patch_between, remove_stale_locks, remove_worktree
from miniscale.tree.patch import PatchRefused, Paths
from miniscale.tree.set_places import SetPlaces
from miniscale.tree.source_files import (
    KNOBS_FILE,
    Source,
    copy_source,
    file_digest,
    list_source,
)

__all__ = [
    "KNOBS_FILE",
    "Edit",
    "PatchRefused",
    "Stacked",
    "Tree",
    "Workspace",
    "patch_between",
    "workspace_of",
]

_ARM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RECORD = "miniscale.json"
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding\n"
"""What the source's own attributes may not do: give a tree other bytes than the source has."""


class Workspace:
    """Owns ``repo/`` and ``trees/`` of a study's folder; the user's own checkout is only read.

    A tree holds the whole checkout, or the setting's editable and locked files where these alone
    are named, and ``knobs.json``. Whatever a killed process left half done is made again when it
    is next needed. One process at a time.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        self._repo = folder / "repo"
        self._trees = folder / "trees"
        record = json.loads((self._repo / ".git" / _RECORD).read_text())
        self._first: str = record["first"]
        self._branch: str = record["branch"]
        self._paths = Paths(tuple(record["editable"]), tuple(record["locked"]))
        self._origin: str = record.get("origin", "")
        self._prefix: str = record.get("prefix", "")
        self._objects: str = record.get("objects", "")
        self._places = decode_record(SetPlaces, record.get("constants", {}))
        self._trees.mkdir(exist_ok=True)
        remove_stale_locks(self._repo)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        source: Path,
        editable: Sequence[str],
        locked: Sequence[str],
        knobs: Mapping[str, Scalar],
        is_whole: bool = False,
        ignored: Sequence[str] = (),
        constants: Mapping[str, Mapping[str, str]] | None = None,
    ) -> "Workspace":
        """Open the workspace of a study's folder; make it from ``source`` if there is none.

        Parameters
        ----------
        editable, locked
            Names or glob patterns of files below ``source``; a file in both is locked.
        is_whole
            Whether a tree holds all of the checkout, or these files alone.
        ignored
            What is left out of a whole one, by pattern.
        constants
            Source file -> place in it that trials set -> to what, as the setting says.

        Raises
        ------
        InputError
            If a pattern matches no file, or there is a file that no tree can hold.
        """
        if not (folder / "repo").exists():
            paths = Paths(tuple(editable), tuple(locked))
            listed = list_source(
                source, paths, is_whole=is_whole, ignored=ignored, ours=folder.resolve()
            )
            _make(folder, listed, paths=paths, knobs=knobs, constants=constants or {})
        return cls(folder)

    def first(self) -> str:
        """Return the commit that the study started from."""
        return self._first

    def head(self) -> str:
        """Return the accepted state: the newest commit of the study's branch."""
        return git(self._repo, "rev-parse", f"refs/heads/{self._branch}").strip()

    def diff(self, base: str, head: str) -> str:
        """Return the difference of two commits as one patch."""
        return git(self._repo, "diff", "--full-index", "--no-renames", base, head)

    @property
    def repository(self) -> Path:
        """The study's own repository."""
        return self._repo

    @property
    def prefix(self) -> str:
        """The source's folder in its repository, with a slash at the end; empty for all of it."""
        return self._prefix

    @property
    def commit(self) -> str:
        """The commit that the source was at; empty where no repository says."""
        return self._origin.split()[1] if self._origin.startswith("commit ") else ""

    @property
    def origin(self) -> str:
        """Where the files came from: a commit, and what was edited since; empty if unknown."""
        return self._origin

    def checkout(self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar]) -> Tree:
        """Return a tree of ``parent`` with a change applied, making it if it is not there.

        A patch that does not apply as it is gets one three-way merge; it applies in whole or is
        refused.

        Parameters
        ----------
        arm
            Name of the tree; made anew if it was made from something else.
        parent
            Commit that the change is applied to.
        patch
            Unified diff; empty for none.
        knobs
            Those that change, by name.

        Raises
        ------
        PatchRefused
            If the change touches what it may not, or does not apply. No tree is left then.
        """
        made_from = digest({"parent": parent, "patch": patch, "knobs": dict(knobs)})
        path = self._place(arm)
        tree = self._known(arm, made_from)
        if tree is not None:
            return tree
        self._clear(arm, parent)
        try:
            self._change(path, patch=patch, knobs=knobs)
        except PatchRefused:
            remove_worktree(self._repo, path)
            raise
        return self._noted(arm, made_from, left_out={})

    def stack(self, arm: str, *, parent: str, edits: Sequence[Edit]) -> Stacked:
        """Return a tree of ``parent`` with several changes applied in order.

        The last edit of a knob wins. A change that does not apply on those before it is left out,
        with the reason, and the others go in.
        """
        content = [[edit.arm, edit.patch, dict(edit.knobs)] for edit in edits]
        made_from = digest({"parent": parent, "edits": content})
        path = self._place(arm)
        tree = self._known(arm, made_from)
        if tree is not None:
            return Stacked(tree, self._record_of(arm)["left_out"])
        left_out: dict[str, str] = {}
        while True:
            self._clear(arm, parent)
            refused = None
            for edit in (edit for edit in edits if edit.arm not in left_out):
                try:
                    self._change(path, patch=edit.patch, knobs=edit.knobs)
                except PatchRefused as error:
                    refused = edit.arm, str(error)
                    break
                # a three-way merge wants the index to match the files
                git(path, "add", "--all", "--force")
            if refused is None:
                break
            left_out[refused[0]] = refused[1]
        return Stacked(self._noted(arm, made_from, left_out=left_out), left_out)

    def _place(self, arm: str) -> Path:
        if not _ARM.fullmatch(arm) or arm.endswith((".lock", ".json")):
            raise ValueError(f"arm {arm!r}: letters, digits, '_', '-' and '.' only; rename it")
        return self._trees / arm

    def _known(self, arm: str, made_from: str) -> Tree | None:
        """Return an arm's tree if it is there and was made from the same."""
        record, path = self._record_of(arm), self._place(arm)
        if record.get("made_from") != made_from or record["digest"] != _digest(path):
            return None
        return self._tree(path, record["digest"])

    def _tree(self, path: Path, content: str) -> Tree:
        knobs = _decoded((path / KNOBS_FILE).read_text())
        return Tree(path, content, knobs, self._places.first)

    def _clear(self, arm: str, parent: str) -> None:
        """Make an arm's tree anew, as ``parent`` has it."""
        path = self._place(arm)
        self._marker(arm).unlink(missing_ok=True)
        remove_worktree(self._repo, path)
        git(self._repo, "worktree", "add", "--detach", "--force", str(path), parent)

    def _noted(self, arm: str, made_from: str, *, left_out: Mapping[str, str]) -> Tree:
        """Write down that an arm's tree is finished."""
        path = self._place(arm)
        tree = self._tree(path, _digest(path))
        record = {"made_from": made_from, "digest": tree.digest, "left_out": dict(left_out)}
        replace_file(self._marker(arm), json.dumps(record, indent=1))
        return tree

    def accept(
        self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar], message: str
    ) -> str:
        """Commit a change on ``parent`` as the branch's new head and return the commit.

        The same change, parent and message give the same commit, so a caller that was killed
        before it noted the commit just asks again.

        Parameters
        ----------
        arm
            For messages alone.
        parent
            Commit that becomes the new one's only parent.
        patch, knobs
            As of :meth:`checkout`.

        Raises
        ------
        PatchRefused
            If the change does not apply there or changes nothing.
        """
        remove_stale_locks(self._repo)
        git(self._repo, "checkout", "-q", "-f", "-B", self._branch, parent)
        git(self._repo, "clean", "-q", "-ffdx")
        try:
            self._change(self._repo, patch=patch, knobs=knobs)
            git(self._repo, "add", "--all", "--force")
            git(self._repo, "commit", "-q", "-F", "-", "--cleanup=verbatim", given=message)
        except (PatchRefused, GitError) as error:
            is_empty = not git(self._repo, "status", "--porcelain").strip()
            git(self._repo, "reset", "-q", "--hard", parent)
            git(self._repo, "clean", "-q", "-ffdx")
            if isinstance(error, PatchRefused):
                raise
            if is_empty:
                raise PatchRefused(f"{arm} changes nothing on {parent[:12]}") from None
            raise
        return self.head()

    def _change(self, tree: Path, *, patch: str, knobs: Mapping[str, Scalar]) -> None:
        """Apply a change to a clean tree."""
        before = _decoded((tree / KNOBS_FILE).read_text())
        unknown = sorted(knobs.keys() - before.keys())
        if unknown:
            raise PatchRefused(f"knob {unknown[0]!r}: none of {', '.join(before) or 'no knobs'}")
        if patch.strip():
            standing = self._places.read(tree)
            apply_patch(tree, patch, self._paths, prefix=self._prefix, objects=self._objects)
            self._places.check(tree, standing)
        if knobs:
            (tree / KNOBS_FILE).write_text(_encoded({**before, **knobs}))

    def _marker(self, arm: str) -> Path:
        return self._trees / f"{arm}.json"

    def _record_of(self, arm: str) -> dict[str, Any]:
        """Return what was noted when an arm's tree was finished; empty if it was not."""
        try:
            record: dict[str, Any] = json.loads(self._marker(arm).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return record


def workspace_of(setting: Setting, folder: Path) -> Workspace:
    """Open the workspace of a setting in a folder; make it if there is none."""
    return Workspace.create(
        folder,
        source=setting.source,
        editable=setting.editable,
        locked=setting.locked,
        knobs=setting.defaults(),
        is_whole=setting.tree is TreeKind.CHECKOUT,
        ignored=setting.ignored,
        constants=setting.constants,
    )


def workspace_now(setting: Setting, folder: Path) -> Workspace:
    """Open a workspace of what lies in a setting's source now, made if its like is not there.

    Nothing that is in use is touched: another state of the source has another folder.
    """
    paths = Paths(setting.editable, setting.locked)
    listed = list_source(
        setting.source,
        paths,
        is_whole=setting.tree is TreeKind.CHECKOUT,
        ignored=setting.ignored,
        ours=folder.resolve(),
    )
    files = {name: file_digest(setting.source / name) for name in listed.names}
    state = [files, list(setting.editable), list(setting.locked), setting.content()]
    return workspace_of(setting, folder / digest(state))


def _make(
    folder: Path,
    source: Source,
    *,
    paths: Paths,
    knobs: Mapping[str, Scalar],
    constants: Mapping[str, Mapping[str, str]],
) -> None:
    """Make the repository aside and move it into place, so that it is there in whole or not.

    Parameters
    ----------
    folder
        The study's.
    source
        What is copied.
    paths
        What may change.
    knobs
        Their defaults.
    constants
        What trials set in the source: places that are not there are refused here.
    """
    places = SetPlaces.of(source.folder, constants)
    new = folder / "repo.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    copy_source(source, new)
    (new / KNOBS_FILE).write_text(_encoded(knobs))
    branch = "study/" + (re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-") or "study")
    git(new, "init", "-q", "--template=", f"--initial-branch={branch}")
    (new / ".git" / "info").mkdir(exist_ok=True)
    (new / ".git" / "info" / "attributes").write_text(_ATTRIBUTES)
    git(new, "add", "--all", "--force")
    origin = f"\n\n{source.origin}" if source.origin else ""
    git(new, "commit", "-q", "-m", f"Start from {source.folder.name}{origin}")
    locked = [n for n in source.names if paths.is_locked(n) and not (new / n).is_symlink()]
    record = {
        "first": git(new, "rev-parse", "HEAD").strip(),
        "branch": branch,
        "editable": list(paths.editable),
        "locked": list(paths.locked),
        "locked_digests": {name: file_digest(new / name) for name in locked},
        "origin": source.origin,
        "prefix": source.prefix,
        "objects": source.objects,
        "constants": encode_record(places),
    }
    replace_file(new / ".git" / _RECORD, json.dumps(record, indent=1))
    os.rename(new, folder / "repo")


def _digest(tree: Path) -> str:
    """Hash the names and contents of a tree, knobs among them; '' where there is none."""
    if not (tree / ".git").exists():
        return ""
    contents = {name: file_digest(tree / name) for name in names_in(tree) if _is_kept(tree / name)}
    return digest(contents, length=64)


def _is_kept(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _encoded(knobs: Mapping[str, Scalar]) -> str:
    return json.dumps(dict(knobs), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _decoded(text: str) -> dict[str, Scalar]:
    knobs: dict[str, Scalar] = json.loads(text)
    return knobs
