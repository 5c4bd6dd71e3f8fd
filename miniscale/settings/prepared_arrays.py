"""Prepared arrays: ``train/`` for trainers, ``heldout/`` for the evaluator, digests of both."""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.refusal import TamperedError

Part = tuple[str, Mapping[str, NDArray[Any]]]
"""A split (train, val or sealed) and its arrays by kind."""


class SourceError(ValueError):
    """What data is made from is not there, or not what it should be; one line for a person."""


def print_digests(prepare: Callable[[], Mapping[str, str]]) -> int:
    """Prepare and print the line that a study reads; 2 and a line on stderr where it cannot be."""
    try:
        digests = prepare()
    except (SourceError, OSError) as error:
        sys.stderr.write(f"prepare: {error}\n")
        return 2
    sys.stdout.write(json.dumps({"digests": digests}) + "\n")
    return 0


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's values, whatever the file they lie in."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folder_of(split: str) -> str:
    """Name of the folder that a split lies in."""
    return "train" if split == "train" else "heldout"


def intact(cache: Path) -> dict[str, str] | None:
    """Digests of a finished cache whose files are what they were; None if it must be built."""
    try:
        digests = digests_of(cache)
        for name, digest in digests.items():
            path = cache / folder_of(name.partition("_")[0]) / f"{name}.npy"
            if array_digest(np.load(path)) != digest:
                return None
    except (OSError, ValueError, KeyError):
        return None
    return digests


def digests_of(cache: Path) -> dict[str, str]:
    """Digests that a finished cache was written with, by split and kind."""
    digests: dict[str, str] = json.loads((cache / "meta.json").read_text())["digests"]
    return digests


def write(cache: Path, parts: Iterable[Part], *, beside: Mapping[str, str]) -> dict[str, str]:
    """Write both folders anew and return the digests of every array.

    Parameters
    ----------
    beside
        Text files that go into each folder, by name.
    """
    cache.mkdir(parents=True, exist_ok=True)
    digests = {}
    with tempfile.TemporaryDirectory(dir=cache, prefix=".prepare-") as scratch:
        for split, arrays in parts:
            folder = Path(scratch) / folder_of(split)
            folder.mkdir(exist_ok=True)
            for name, text in beside.items():
                (folder / name).write_text(text)
            for kind, array in arrays.items():
                np.save(folder / f"{split}_{kind}.npy", array)
                digests[f"{split}_{kind}"] = array_digest(array)
        for name in ("train", "heldout"):
            shutil.rmtree(cache / name, ignore_errors=True)
            (Path(scratch) / name).rename(cache / name)
    (cache / "meta.json").write_text(json.dumps({"digests": digests}) + "\n")  # last: finished
    return digests


def read_split(heldout: Path, split: str, *kinds: str) -> list[NDArray[Any]]:
    """Arrays of a held-out split.

    Raises
    ------
    TamperedError
        If one is not what was prepared.
    """
    digests = digests_of(heldout.parent)
    arrays = []
    for kind in kinds:
        array = np.load(heldout / f"{split}_{kind}.npy")
        if array_digest(array) != digests[f"{split}_{kind}"]:
            raise TamperedError(f"{split} {kind} are not those that were prepared")
        arrays.append(array)
    return arrays
