"""A trial's own folder: emptied before, rid of traps after, and a result that is vouched for."""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from typing import Any

SMALL_BYTES = 1_000_000
"""assumption: a curve or a table is smaller, a checkpoint larger."""
DEEPEST = 64
"""assumption: no program nests its folders further."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LONGEST_PATH = 4096 - 257
"""Bytes of a folder's path below which the system's limit leaves room for any name in it."""


def plain_files_only(folder: str) -> None:
    """Remove links, pipes and sockets that a trainer left: whoever reads next must not follow.

    Folders that it closed are opened again; those too deep to be read are removed.
    """
    for path, status in _walk(folder):
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            remove(path)


def _walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all in a folder, outer before inner; what cannot be looked into is removed instead."""
    queue = [(folder, 0)]
    while queue:
        root, depth = queue.pop()
        is_far = depth > DEEPEST or len(os.fsencode(root)) > _LONGEST_PATH
        found = None if is_far else _statuses(root)
        if found is None and depth:
            remove(root)
        for path, status in found or ():
            if stat.S_ISDIR(status.st_mode):
                queue.append((path, depth + 1))
            yield path, status


def _statuses(folder: str) -> list[tuple[str, os.stat_result]] | None:
    """Return paths in a folder and what they are; None if it cannot be read."""
    found = []
    try:
        mode = os.lstat(folder).st_mode
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(folder, stat.S_IMODE(mode) | stat.S_IRWXU)
        names = os.listdir(folder)
    except OSError:
        return None
    for path in (os.path.join(folder, name) for name in names):
        with suppress(OSError):
            found.append((path, os.lstat(path)))
    return found


def clear(out: str) -> None:
    """Empty a trial's folder but for its spec: an earlier attempt may have left a checkpoint."""
    for name in os.listdir(out):
        if name != "spec.json":
            remove(os.path.join(out, name))
    os.mkdir(os.path.join(out, "tmp"))


def remove(path: str) -> None:
    """Remove a file or folder, however deep; one that is not there, or stays, is no error."""
    with suppress(OSError):
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
            return
        if os.listdir(path):
            import shutil  # 2 ms, and the folder is mostly empty

            with suppress(RecursionError):
                shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path) and not os.path.islink(path):
        with suppress(OSError):
            _empty(path)
            os.rmdir(path)


def _empty(top: str) -> None:
    """Empty a folder that resists: inner ones are opened, and move up, so no path grows long."""
    os.chmod(top, stat.S_IRWXU)
    here = os.open(top, _FOLDER)
    queue = _folders_in(here)
    while queue:
        name = queue.pop()
        with suppress(OSError):
            inner = os.open(name, _FOLDER, dir_fd=here)
            for child in _folders_in(inner):
                with suppress(OSError):
                    queue.append(os.urandom(8).hex())
                    os.rename(child, queue[-1], src_dir_fd=inner, dst_dir_fd=here)
            os.close(inner)
            os.rmdir(name, dir_fd=here)
    os.close(here)


def _folders_in(handle: int) -> list[str]:
    """Remove the files in an open folder; return the names of its folders, opened to us."""
    folders = []
    for name in os.listdir(handle):
        with suppress(OSError):
            if stat.S_ISDIR(os.lstat(name, dir_fd=handle).st_mode):
                os.chmod(name, stat.S_IRWXU, dir_fd=handle)
                folders.append(name)
            else:
                os.unlink(name, dir_fd=handle)
    return folders


def keep_only(out: str, patterns: Sequence[str], ours: Sequence[str]) -> None:
    """Remove a trial's files once they were read: all that no pattern names, or large ones.

    Parameters
    ----------
    patterns
        Of names within ``out``, ``*`` for any part of one; none: what has a megabyte may stay.
    ours
        What stays whatever they say.
    """
    folders = []
    for path, status in _walk(out):
        if stat.S_ISDIR(status.st_mode):
            folders.append(path)
            continue
        name = os.path.relpath(path, out)
        is_small = not patterns and status.st_size <= SMALL_BYTES
        if name not in ours and not is_small and not any(fnmatch(name, p) for p in patterns):
            remove(path)
    for folder in reversed(folders):
        with suppress(OSError):
            os.rmdir(folder)  # one that holds something stays


def copy_tree(base: str, tree: str, rewritten: Mapping[str, str]) -> None:
    """Make a trial's own copy of a tree, some of its files with another text."""
    import shutil

    remove(tree)
    shutil.copytree(base, tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    for name, text in rewritten.items():
        with open(os.path.join(tree, name), "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))


def write_result(out: str, result: Mapping[str, Any]) -> None:
    """Leave a trial's result, and beside the folder, where no trainer writes, its seal."""
    text = json.dumps(result, indent=1, allow_nan=False)
    path = os.path.join(out, "result.json")
    if os.path.isdir(path):
        remove(path)  # a trainer put it there
    _write(seal_path(out), seal(text.encode()))
    _write(path, text)


def seal_path(out: str) -> str:
    """Return where the seal of a trial's result lies."""
    return os.path.abspath(out) + ".seal"


def seal(result: bytes) -> str:
    """Return what vouches for a result: its SHA-256."""
    import hashlib

    return hashlib.sha256(result).hexdigest()


def _write(path: str, text: str) -> None:
    """Write a file so that it is there in whole or not at all."""
    part = path + ".tmp"
    remove(part)
    with open(part, "x") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


def is_sealed(out: str) -> bool:
    """Whether the result in a trial's folder is the one that its worker left there.

    What a trainer forged while nobody looked, a killed harness say, has no seal.
    """
    try:
        with open(seal_path(out)) as sealed, open(os.path.join(out, "result.json"), "rb") as result:
            return sealed.read() == seal(result.read())
    except OSError:
        return False
