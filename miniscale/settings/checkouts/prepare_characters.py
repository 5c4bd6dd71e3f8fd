"""The embedded text as characters, in the files that nanoGPT reads of a data set.

``python -m miniscale.settings.checkouts.prepare_characters --cache=DIR`` writes ``train.bin`` and
``val.bin`` (a character as uint16) and ``meta.pkl`` (``vocab_size``), which
``train.py --dataset=DIR`` takes; no network. Prints one JSON line of digests.
"""

import argparse
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np

from miniscale.settings.nanochat.corpus import DATA, read_corpus, split_documents

FILES = ("train.bin", "val.bin", "meta.pkl")


def encode_splits(splits: dict[str, list[str]]) -> dict[str, bytes]:
    """Return the content of every file: characters numbered in the order of their code points."""
    texts = {name: "\n\n".join(splits[name]) for name in ("train", "val")}
    letters = sorted(set(texts["train"]) | set(texts["val"]))
    number = {letter: i for i, letter in enumerate(letters)}
    content = {
        f"{name}.bin": np.fromiter(
            (number[c] for c in text), dtype="<u2", count=len(text)
        ).tobytes()
        for name, text in texts.items()
    }
    return {**content, "meta.pkl": pickle.dumps({"vocab_size": len(letters)}, protocol=4)}


def main(argv: list[str] | None = None) -> int:
    """Write what is not there yet and print the digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    cache: Path = parser.parse_args(argv).cache
    cache.mkdir(parents=True, exist_ok=True)
    if not all((cache / name).is_file() for name in FILES):
        documents = split_documents(read_corpus(DATA / "sotu.txt.xz"))
        for name, content in encode_splits(documents).items():
            (cache / f"{name}.new").write_bytes(content)
            os.replace(cache / f"{name}.new", cache / name)
    digests = {n: hashlib.sha256((cache / n).read_bytes()).hexdigest() for n in FILES}
    print(json.dumps({"digests": digests}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
