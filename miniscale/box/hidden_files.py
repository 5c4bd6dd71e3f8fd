"""What a box keeps from sight within what it shows: files that held-out data is made from."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress


def resolved(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the real paths of those that are there, and of what links right in them lead to."""
    candidates = [path for named in paths for path in _with_links(named)]
    real = dict.fromkeys(os.path.realpath(path) for path in candidates if os.path.exists(path))
    return tuple(p for p in real if not any(p != other and is_within(p, other) for other in real))


def _with_links(path: str) -> Iterator[str]:
    yield path
    if os.path.isdir(path):
        # of a folder that we cannot list, nor can a program that runs as us
        with suppress(PermissionError), os.scandir(path) as entries:
            yield from (entry.path for entry in entries if entry.is_symlink())


def is_within(path: str, folder: str) -> bool:
    """Whether a real path is a folder's or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def seen_at(hidden: Iterable[str], roots: Iterable[str]) -> list[str]:
    """Return where hidden paths show when each root is mounted by its own name, links included."""
    pairs = [(root, os.path.realpath(root)) for root in roots]
    shown = [
        os.path.normpath(os.path.join(root, os.path.relpath(path, real)))
        for path in hidden
        for root, real in pairs
        if is_within(path, real)
    ]
    return list(dict.fromkeys(shown))
