"""Tokens from parquet shards, for machines whose ladder outgrows the embedded text.

Same files as the embedded corpus, another vocabulary (32,768, trained on the first part of the
training documents). Needs polars and rustbpe, imported where they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miniscale.settings.nanochat.corpus import SPLIT_PATTERN_RUST, CorpusError

VOCABULARY = 32_768
TOKENIZER_CHARACTERS = 500_000_000  # nanochat trains on 2e9; the merges settle long before
HELDOUT_EVERY = 1000  # of 1,000 documents one is validation and one sealed


def shard_paths(corpus: Path) -> list[Path]:
    """Parquet files of a folder in order of name.

    Raises
    ------
    CorpusError
        If there is none: the embedded text is never used instead.
    """
    paths = sorted(corpus.glob("*.parquet"))
    if not paths:
        raise CorpusError(
            f"corpus {corpus}: no *.parquet in it; name a folder of shards with a column 'text'"
        )
    return paths


def identity(corpus: Path, file_format: int) -> dict[str, str | int]:
    """Name the corpus by its shards' names, sizes and first megabytes."""
    digest = hashlib.sha256()
    for path in shard_paths(corpus):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(1 << 20))
    name = digest.hexdigest()
    return {"format": file_format, "corpus": name, "tokenizer": f"trained-{VOCABULARY}-on-{name}"}


def documents(corpus: Path) -> Iterator[str]:
    """Texts of all shards in order."""
    import polars as pl

    for path in shard_paths(corpus):
        try:
            yield from pl.read_parquet(path, columns=["text"])["text"].drop_nulls()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise CorpusError(
                f"corpus {path}: unreadable shard ({error}); fetch it again"
            ) from error


def split_of(index: int) -> str:
    """Split a document belongs to by its place in the corpus."""
    return {0: "val", HELDOUT_EVERY // 2: "sealed"}.get(index % HELDOUT_EVERY, "train")


def tokenise(
    corpus: Path, *, heldout_tokens: int, vocabulary: int = VOCABULARY
) -> tuple[dict[str, NDArray[np.uint16]], NDArray[np.uint16]]:
    """Train the vocabulary on training documents, then encode all splits.

    Returns
    -------
    tuple
        Tokens by split, and bytes a token stands for by id (0 for the one that begins a document).
    """
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(
        _training_text(corpus), vocabulary - 1, pattern=SPLIT_PATTERN_RUST
    )
    ranks = sorted((rank, len(token)) for token, rank in tokenizer.get_mergeable_ranks())
    bos = len(ranks)
    parts: dict[str, list[NDArray[np.uint16]]] = {"train": [], "val": [], "sealed": []}
    for index, text in enumerate(documents(corpus)):
        parts[split_of(index)].append(np.array([bos, *tokenizer.encode(text)], np.uint16))
    splits = {name: np.concatenate(rows) for name, rows in parts.items() if rows}
    if len(splits) < len(parts):
        rule = f"needs more than {HELDOUT_EVERY // 2} documents for a sealed part"
        raise CorpusError(f"corpus {corpus}: too small; {rule}")
    for name in ("val", "sealed"):
        splits[name] = splits[name][:heldout_tokens]
    return splits, np.array([size for _, size in ranks] + [0], np.uint16)


def _training_text(corpus: Path) -> Iterator[str]:
    left = TOKENIZER_CHARACTERS
    for index, text in enumerate(documents(corpus)):
        if split_of(index) != "train":
            continue
        yield text
        left -= len(text)
        if left <= 0:
            return
