"""Files that a command names beside the source: wrappers and evaluators of a person's own."""

import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix")
_MOST_BYTES = 16_000_000
"""assumption: a larger file is data, known by its size and time."""


def named_files(argv: Sequence[str], source: Path) -> tuple[Path, ...]:
    """Return the files that a command names by an absolute path, as itself or after ``=``.

    Those of the source, the system and our interpreter are left out: they are known otherwise.
    """
    known = (str(source), *_SYSTEM, sys.prefix, sys.base_prefix)
    words = (word.rpartition("=")[2] if word.startswith("-") else word for word in argv)
    paths = (Path(word).expanduser() for word in words if word.startswith(("/", "~")))
    files = dict.fromkeys(path for path in paths if path.is_file())
    return tuple(p for p in files if not any(p.is_relative_to(folder) for folder in known))


def content_digest(path: Path) -> str:
    """Name a file by its content, a large one by its size and time."""
    about = os.stat(path)
    if about.st_size > _MOST_BYTES:
        return f"{about.st_size} bytes of {about.st_mtime_ns}"
    return sha256(path.read_bytes()).hexdigest()
