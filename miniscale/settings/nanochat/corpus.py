"""The embedded text: what it is, how it is split, how it becomes tokens. No torch, no network.

State of the Union addresses, 1790-2021, in file order. The split is by document and interleaved,
because the file is chronological: its tail is another century, not another sample.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
CORPUS_SHA256 = "d12b7b28eb509f03a61938808759df931fb6a3ac1cbbf55bce1201ec75e23471"
TOKENIZER_SHA256 = "897d97a715858fa48d4c01776b83b95a30c098ddf7de3a8acdc7db3d149a6d1a"
VOCABULARY = 1024  # with the token that begins a document

# The same splitter twice: `re` knows no \p{L}. They may differ on rare numerals; merges never see
# the difference, because the encoder below is the only one that makes tokens of this corpus.
SPLIT_PATTERN = re.compile(
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\w]?[^\W\d_]+|\d{1,2}| ?(?:[^\s\w]|_)+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT_PATTERN_RUST = (
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}_]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class CorpusError(ValueError):
    """The committed text or tokenizer is not what its digest says; one line for a person."""


def read_corpus(path: Path) -> bytes:
    """Decompress the corpus and check its digest.

    Raises
    ------
    CorpusError
        If the file is missing, not xz, or another text.
    """
    remedy = f"restore it with: git checkout -- {path.parent} (or reinstall the package)"
    try:
        text = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise CorpusError(f"corpus {path}: unreadable ({error}); {remedy}") from error
    digest = hashlib.sha256(text).hexdigest()
    if digest != CORPUS_SHA256:
        rule = f"SHA-256 {digest[:12]}… must be {CORPUS_SHA256[:12]}…"
        raise CorpusError(f"corpus {path}: {rule}; {remedy}")
    return text


def split_documents(text: bytes) -> dict[str, list[str]]:
    """Split into documents; i % 20 = 0 is validation, i % 20 = 10 sealed, the rest training.

    A document may hold blank lines itself, so the boundaries are the openings listed in
    ``data/lengths.json`` (bytes a document).
    """
    lengths = json.loads((DATA / "lengths.json").read_text())
    parts: dict[str, list[str]] = {"train": [], "val": [], "sealed": []}
    start = 0
    for i, length in enumerate(lengths):
        name = {0: "val", 10: "sealed"}.get(i % 20, "train")
        parts[name].append(text[start : start + length].decode())
        start += length + 2
    return parts


class Tokenizer:
    """Byte-pair encoder of the committed vocabulary; a cache of pieces makes it fast enough."""

    def __init__(self, path: Path = DATA / "tokenizer.json") -> None:
        try:
            blob = path.read_bytes()
        except OSError as error:
            raise CorpusError(f"tokenizer {path}: unreadable ({error}); reinstall") from error
        self.sha256 = hashlib.sha256(blob).hexdigest()
        if self.sha256 != TOKENIZER_SHA256:
            rule = f"SHA-256 {self.sha256[:12]}… must be {TOKENIZER_SHA256[:12]}…"
            raise CorpusError(f"tokenizer {path}: {rule}; restore the committed file")
        stored = json.loads(blob)
        self.tokens = [bytes.fromhex(token) for token in stored["tokens"]]
        self.bos: int = stored["bos"]
        self.ranks = {token: rank for rank, token in enumerate(self.tokens)}
        self._cache: dict[str, tuple[int, ...]] = {}

    def token_bytes(self) -> NDArray[np.uint16]:
        """Bytes a token stands for, by id; the token that begins a document stands for none."""
        return np.array([len(token) for token in self.tokens] + [0], np.uint16)

    def encode(self, documents: Iterable[str]) -> NDArray[np.uint16]:
        """Tokens of all documents in a row, each begun by ``bos``."""
        out: list[NDArray[np.uint16]] = []
        for document in documents:
            pieces = map(self._piece, SPLIT_PATTERN.findall(document))
            out.append(np.fromiter(chain((self.bos,), *pieces), np.uint16))
        return np.concatenate(out)

    def _piece(self, piece: str) -> tuple[int, ...]:
        tokens = self._cache.get(piece)
        if tokens is None:
            tokens = self._cache[piece] = self._merge(piece.encode())
        return tokens

    def _merge(self, piece: bytes) -> tuple[int, ...]:
        parts = [piece[i : i + 1] for i in range(len(piece))]
        never = len(self.ranks)
        while len(parts) > 1:
            ranks = [self.ranks.get(a + b, never) for a, b in pairwise(parts)]
            best = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[best] == never:
                break
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        return tuple(self.ranks[part] for part in parts)
