"""A trial's own folder: emptied before, rid of traps after, and a result that is vouched for."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

SMALL_BYTES = 1_000_000
"""assumption: a curve or a table is smaller, a checkpoint larger."""


def plain_files_only(folder: str) -> None:
    """Remove links, pipes and sockets that a trainer left: whoever reads next must not follow."""
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(root, name)
            kind = os.lstat(path).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                os.unlink(path)


def clear(out: str) -> None:
    """Empty a trial's folder but for its spec: an earlier attempt may have left a checkpoint."""
    for name in os.listdir(out):
        if name != "spec.json":
            remove(os.path.join(out, name))
    os.mkdir(os.path.join(out, "tmp"))


def remove(path: str) -> None:
    """Remove a file or folder; one that is not there is no error."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.lexists(path):
            os.unlink(path)
    elif os.listdir(path):
        import shutil  # 2 ms, and the folder is mostly empty

        shutil.rmtree(path, ignore_errors=True)
    else:
        os.rmdir(path)


def keep_only(out: str, patterns: Sequence[str], ours: Sequence[str]) -> None:
    """Remove a trial's files once they were read: all that no pattern names, or large ones.

    Parameters
    ----------
    patterns
        Of names within ``out``, ``*`` for any part of one; none: what has a megabyte may stay.
    ours
        What stays whatever they say.
    """
    for root, _, files in os.walk(out, topdown=False):
        for file in files:
            path = os.path.join(root, file)
            name = os.path.relpath(path, out)
            is_small = not patterns and os.lstat(path).st_size <= SMALL_BYTES
            if name not in ours and not is_small and not any(fnmatch(name, p) for p in patterns):
                os.unlink(path)
        if root != out and not os.listdir(root):
            os.rmdir(root)


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
