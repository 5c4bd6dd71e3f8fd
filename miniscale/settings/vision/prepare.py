"""Unpack Fashion-MNIST: ``train/`` for trainers, ``heldout/`` for the evaluator alone.

``python -m miniscale.settings.vision.prepare --cache=DIR --source=FOLDER`` reads the four IDX
files, gzipped or not, as Debian's package ``dataset-fashion-mnist`` and its makers distribute
them. What counts is the digest of their content. The 60,000 training images go to ``train/``; of
the 10,000 test images the even ones are validation, the odd ones sealed. Prints one JSON line of
digests.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miniscale.settings.prepared_arrays import SourceError, intact, print_digests, write

REMEDY = "get them by: apt install dataset-fashion-mnist, or name their folder by FASHION_MNIST=DIR"
DIGESTS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of each file's uncompressed content."""

Bytes = NDArray[np.uint8]


def read_idx(folder: Path, name: str, digest: str) -> Bytes:
    """Read one IDX file of bytes, checking its content.

    Raises
    ------
    SourceError
        If it is missing, another file, or not IDX.
    """
    packed, plain = folder / f"{name}.gz", folder / name
    try:
        blob = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    except (OSError, EOFError) as error:
        raise SourceError(f"{plain}: unreadable ({error}); {REMEDY}") from error
    actual = hashlib.sha256(blob).hexdigest()
    if actual != digest:
        rule = f"SHA-256 {actual[:12]}… must be {digest[:12]}…"
        raise SourceError(f"{plain}: {rule}; {REMEDY}")
    axes = blob[3]
    if blob[:3] != b"\0\0\x08" or not axes:
        raise SourceError(f"{plain}: begins with {blob[:4]!r}, must be IDX of bytes; {REMEDY}")
    shape = np.frombuffer(blob, ">u4", count=axes, offset=4)
    return np.frombuffer(blob, np.uint8, offset=4 + 4 * axes).reshape(shape)


def splits(source: Path, digests: Mapping[str, str]) -> dict[str, tuple[Bytes, Bytes]]:
    """Images (n, 28, 28) and labels (n,) of train, val and sealed."""
    read = {name: read_idx(source, name, digest) for name, digest in digests.items()}
    test = read["t10k-images-idx3-ubyte"], read["t10k-labels-idx1-ubyte"]
    return {
        "train": (read["train-images-idx3-ubyte"], read["train-labels-idx1-ubyte"]),
        "val": (test[0][::2], test[1][::2]),
        "sealed": (test[0][1::2], test[1][1::2]),
    }


def prepare(cache: Path, source: Path, expected: Mapping[str, str] = DIGESTS) -> dict[str, str]:
    """Build ``cache`` unless it stands, and return its digests."""
    standing = intact(cache)
    if standing is not None:
        return standing
    parts = splits(source, expected).items()
    named = ((split, {"images": images, "labels": labels}) for split, (images, labels) in parts)
    return write(cache, named, beside={})


def main(argv: list[str]) -> int:
    """Command line; 2 and one line on stderr if the images are not what they should be."""
    parser = argparse.ArgumentParser(prog="miniscale.settings.vision.prepare", allow_abbrev=False)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="folder of the IDX files")
    options = parser.parse_args(argv)
    return print_digests(lambda: prepare(options.cache, options.source))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
