"""Which files of a source make a tree: the checkout as it lies, or those that a setting names."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.setting.setting import files_matching
from miniscale.tree.git import GitError, git
from miniscale.tree.patch import Paths

KNOBS_FILE = "knobs.json"
MOST_FILES = 20_000
MOST_BYTES = 1_000_000_000
"""assumption, as above: every arm has a tree of its own, so a source with its data in it is asked
about before it fills the disk."""
_NOT_SOURCE = (".*", "__pycache__", "*.pyc", "node_modules", "*.egg-info", "wandb")
"""What a folder that is no repository holds beside its source."""
_STUDY = "/repo/"
"""Where a folder of ours keeps its repository: what lies beside it is no source."""


@dataclass(frozen=True)
class Source:
    """The files that a tree is made of, and the repository they come from, if from one."""

    folder: Path
    names: tuple[str, ...]
    commit: str = ""
    edited: tuple[str, ...] = ()
    """Files that differ from the commit: they are taken as they lie."""
    prefix: str = ""
    """The folder within its repository, with a slash at the end; empty for all of it."""
    objects: str = ""
    """Where the repository keeps its objects, so that a merge finds the base of a patch."""

    @property
    def origin(self) -> str:
        """Where it comes from in words; empty where no repository says."""
        n = len(self.edited)
        if not self.commit:
            return ""
        shown = ", ".join(self.edited[:3]) + (" …" if n > 3 else "")
        return f"commit {self.commit[:12]}" + (f" with {n} edited: {shown}" if n else "")


def list_source(
    folder: Path, paths: Paths, *, is_whole: bool, ignored: Sequence[str] = (), ours: Path
) -> Source:
    """Return the files of a tree.

    Parameters
    ----------
    paths
        Their editable and locked patterns: what these name is always in it.
    is_whole
        Whether all else is in it too: what git tracks or, where it tracks nothing, all but hidden
        files, caches, environments and what ``.gitignore`` names.
    ignored
        Patterns of what is left out.
    ours
        The folder that the tree is made for, left out should it lie in the source.

    Raises
    ------
    InputError
        If a pattern names no file, or there is a file that no tree can hold.
    """
    named = _named(folder, paths)
    if not is_whole:
        return Source(folder, tuple(sorted(named)))
    tracked = _tracked(folder)
    found = tracked if tracked else _untracked(folder, ours)
    left_out = Paths(tuple(ignored), ())
    names = sorted(named | {name for name in found if not left_out.is_editable(name)})
    names = [name for name in names if _belongs(folder, name)]
    _check_size(folder, names)
    _check_names(folder, names)
    return _with_origin(Source(folder, tuple(names))) if tracked else Source(folder, tuple(names))


def copy_source(source: Source, into: Path) -> None:
    """Copy the files of a source, links as links."""
    for name in source.names:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.folder / name, into / name, follow_symlinks=False)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; of a link, of where it leads."""
    if path.is_symlink():
        return hashlib.sha256(b"link to " + os.fsencode(os.readlink(path))).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _named(folder: Path, paths: Paths) -> set[str]:
    """Return the names of all editable and locked files."""
    names: set[str] = set()
    for pattern in (*paths.editable, *paths.locked):
        matches = files_matching(folder, [pattern])
        if not matches:
            raise InputError(f"setting: no file {pattern!r} in {folder}; name one that is there")
        names |= set(matches)
    links = [n for n in sorted(names) if (folder / n).is_symlink() and not paths.is_locked(n)]
    if links:
        raise InputError(f"setting: {links[0]!r} is a link; put the file itself there")
    editable = [name for name in names if paths.is_editable(name)]
    if paths.editable and not editable:
        raise InputError(
            f"setting: every editable file is locked too, by {', '.join(paths.locked)}; drop that "
            "pattern: what is not editable is locked anyway"
        )
    if KNOBS_FILE in names:
        raise InputError(f"setting: {KNOBS_FILE!r} is written by us; rename the setting's file")
    return names


def _tracked(folder: Path) -> list[str]:
    """Return what git tracks in a folder, submodules included; nothing outside a repository."""
    try:
        listing = git(folder, "ls-files", "-z", "--recurse-submodules")
    except (GitError, OSError):
        return []
    return [name for name in listing.split("\0") if name]


def _untracked(folder: Path, ours: Path) -> list[str]:
    """Return the files of a folder without a repository, and those that ones inside track."""
    excluded = [f"--exclude={pattern}" for pattern in _NOT_SOURCE]
    if ours.is_relative_to(folder) and ours != folder:
        excluded.append(f"--exclude=/{ours.relative_to(folder).parts[0]}/")
    with tempfile.TemporaryDirectory() as empty:
        git(Path(empty), "init", "-q", "--template=", "--bare")
        at = (f"--git-dir={empty}", f"--work-tree={folder}")
        listing = git(folder, *at, "ls-files", "-z", "-o", "--exclude-standard", *excluded)
    names = [name for name in listing.split("\0") if name]
    homes = {name.removesuffix(_STUDY) for name in names if name.endswith(_STUDY)}
    homes |= {str(Path(name).parent) for name in names if Path(name).name == "pyvenv.cfg"}
    files: list[str] = []
    for name in names:
        if any(name.startswith(f"{home}/") for home in homes):
            continue
        inner = _tracked(folder / name) if name.endswith("/") else None
        files += [name] if inner is None else [name + own for own in inner]
    return files


def _belongs(folder: Path, name: str) -> bool:
    """Whether a listed name is a file or link that is there; a submodule not fetched is refused."""
    try:
        kind = os.lstat(folder / name).st_mode
    except OSError:
        return False  # tracked, and deleted in the checkout
    if stat.S_ISDIR(kind):
        raise InputError(
            f"setting: submodule {name!r} of {folder} is not there; fetch it with "
            "'git submodule update --init' or name it in 'ignored'"
        )
    return stat.S_ISREG(kind) or stat.S_ISLNK(kind)


def _check_names(folder: Path, names: Iterable[str]) -> None:
    root = os.path.realpath(folder)
    for name in names:
        if name == KNOBS_FILE:
            raise InputError(f"setting: {KNOBS_FILE!r} is written by us; rename the setting's file")
        if not name.isprintable():
            raise InputError(f"setting: the file name {name!r} cannot be kept; rename the file")
        path = folder / name
        if path.is_symlink():
            inside = os.path.realpath(path).startswith(root + os.sep)
            if os.path.isabs(os.readlink(path)) or not inside:
                raise InputError(
                    f"setting: {name!r} is a link to {os.readlink(path)!r}, outside of the source; "
                    "put the files there, or name it in 'ignored' and its place in 'reads'"
                )


def _check_size(folder: Path, names: Sequence[str]) -> None:
    by_top: dict[str, int] = {}
    for name in names:
        top = name.split("/")[0] if "/" in name else name
        by_top[top] = by_top.get(top, 0) + os.lstat(folder / name).st_size
    total = sum(by_top.values())
    if len(names) > MOST_FILES or total > MOST_BYTES:
        largest = max(by_top, key=by_top.__getitem__)
        raise InputError(
            f"setting: {folder} has {len(names)} files of {total / 1e9:.1f} GB, at most "
            f"{MOST_FILES} of {MOST_BYTES / 1e9:g} GB; leave out what a change cannot touch: "
            f"ignored: ['{largest}/**']"
        )


def _with_origin(source: Source) -> Source:
    """Add what the repository says."""
    folder = source.folder
    try:
        commit = git(folder, "rev-parse", "--verify", "HEAD").strip()
        edited = git(folder, "diff", "--name-only", "--relative", "-z", "HEAD", "--", ".")
    except GitError:  # nothing is committed yet
        commit, edited = "", ""
    prefix = git(folder, "rev-parse", "--show-prefix").strip("\n")
    objects = git(folder, "rev-parse", "--git-path", "objects").strip("\n")
    return Source(
        folder,
        source.names,
        commit=commit,
        edited=tuple(name for name in edited.split("\0") if name),
        prefix=prefix,
        objects=str((folder / objects).resolve()),
    )
