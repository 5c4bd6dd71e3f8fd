"""A trial's own folder: emptied before, rid of traps after, and a result that is vouched for."""

import json
import os
import stat
from collections.abc import Mapping
from typing import Any


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
