"""Apply a patch to a tree: as it is, fitted to its files, or by a three-way merge; then look."""

import os
from pathlib import Path

from miniscale.source.source_text import NotWritable, fit_patch, odd_encoding, tidy
from miniscale.tree.git import GitError, git
from miniscale.tree.patch import (
    FILE_BYTES,
    NOWHERE,
    PatchRefused,
    Paths,
    check,
    clash,
    may_change,
    strip_level,
    stripped,
)
from miniscale.tree.source_files import KNOBS_FILE


def apply_patch(
    tree: Path, patch: str, paths: Paths, *, prefix: str = "", objects: str = ""
) -> None:
    """Apply a patch to a worktree; it applies in whole or is refused.

    Parameters
    ----------
    prefix
        The source's folder in its repository: names in the patch may begin with it.
    objects
        Where that repository keeps its objects: a three-way merge finds the patch's base there.

    Raises
    ------
    PatchRefused
        If it touches what it may not, or does not apply.
    """
    patch = tidy(patch)
    check(patch, paths, prefix)
    names, knobs = set(names_in(tree)), (tree / KNOBS_FILE).read_bytes()
    _apply(tree, patch, level=strip_level(patch, prefix), objects=objects)
    _verify(tree, names, paths)
    if (tree / KNOBS_FILE).read_bytes() != knobs:
        raise PatchRefused(f"the patch changes {KNOBS_FILE!r}; give knob values as knobs")


def _apply(tree: Path, patch: str, *, level: int, objects: str) -> None:
    """Apply a patch fitted to its files' line ends or as it is, else by a three-way merge."""
    try:
        fitted = fit_patch(patch, lambda name: _content(tree, name, level))
    except NotWritable as error:
        raise PatchRefused(f"the patch does not apply: {error}") from None
    forms = list(dict.fromkeys([fitted, patch.encode()]))
    options = ("apply", "--whitespace=nowarn", f"-p{level}")
    reason = ""
    for way, form in [(way, form) for way in ((), ("--3way",)) for form in forms]:
        try:
            git(tree, *options, *way, "-", given=form, objects=objects if way else "")
        except GitError as error:
            reason = reason or str(error)
            continue
        if way:
            git(tree, "reset", "-q")  # what the merge took from elsewhere is written here
        return
    raise PatchRefused(f"the patch does not apply: {reason}")


def _verify(tree: Path, before: set[str], paths: Paths) -> None:
    """Check what a patch did, whatever its text seemed to say."""
    after = set(names_in(tree))
    if before - after:
        raise PatchRefused(f"the patch deletes {min(before - after)!r}; files must stay")
    changed = git(tree, "diff", "--name-only", "-z", "HEAD").split("\0")
    for name in sorted({name for name in changed if name} | (after - before)):
        path = tree / name
        if path.is_symlink() or not path.is_file():
            raise PatchRefused(f"the patch makes {name!r} a link; only text may change")
        if name not in before and not paths.is_editable(name):
            raise PatchRefused(f"the patch makes {name!r}; {may_change(paths)}")
        twin = "" if name in before else clash(name, after)
        if twin:
            raise PatchRefused(f"the patch makes {name!r} beside {twin!r}; name it otherwise")
        if path.stat().st_size > FILE_BYTES:
            raise PatchRefused(f"the patch makes {name!r} larger than {FILE_BYTES} bytes")
        if name != KNOBS_FILE and not paths.is_editable(name):
            raise PatchRefused(f"the patch changes {name!r}, which is locked")
        odd = odd_encoding(name, path.read_bytes())
        if odd:
            raise PatchRefused(f"the patch makes {name!r} name the encoding {odd!r}; use utf-8")


def _content(tree: Path, name: str, level: int) -> bytes | None:
    """Return what the file holds that a patch names; None if there is none."""
    path = tree / stripped(name, level)
    is_inside = name != NOWHERE and ".." not in path.parts
    return path.read_bytes() if is_inside and path.is_file() and not path.is_symlink() else None


def names_in(tree: Path) -> list[str]:
    """Return the names of everything in a tree that is not a folder, git's own part left out."""
    names: list[str] = []
    for root, folders, files in os.walk(tree):
        where = Path(root)
        if where == tree:
            folders[:] = [name for name in folders if name != ".git"]
            files = [name for name in files if name != ".git"]
        links = [name for name in folders if (where / name).is_symlink()]
        names += [(where / name).relative_to(tree).as_posix() for name in (*files, *links)]
    return sorted(names)
