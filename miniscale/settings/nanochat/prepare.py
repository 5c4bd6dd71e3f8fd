"""Fill a cache with tokens: ``train/`` for trainers, ``heldout/`` for the evaluator alone.

``python -m miniscale.settings.nanochat.prepare --cache=DIR`` tokenises the committed text;
``--corpus=DIR`` tokenises a folder of parquet shards instead (column ``text``, as ClimbMix and
FineWeb come), with a vocabulary of 32,768 trained on it. One never stands in for the other: a
cache remembers which corpus it holds and is refused for another. Prints one JSON line of digests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miniscale.settings.nanochat.corpus import (
    CORPUS_SHA256,
    DATA,
    CorpusError,
    Tokenizer,
    read_corpus,
    split_documents,
)

FORMAT = 1  # raise it when the files of a cache change meaning
HELDOUT_TOKENS = 20_000_000  # of each of val and sealed at most, where shards are huge

Tokens = NDArray[np.uint16]


def write_tokens(folder: Path, name: str, tokens: Tokens) -> str:
    """Write raw uint16 tokens; return their SHA-256."""
    blob = tokens.astype("<u2", copy=False).tobytes()
    (folder / f"{name}.bin").write_bytes(blob)
    return hashlib.sha256(blob).hexdigest()


def write_cache(
    cache: Path, splits: dict[str, Tokens], token_bytes: Tokens, identity: dict[str, str | int]
) -> None:
    """Write both folders and their ``meta.json`` into an empty ``cache``.

    Parameters
    ----------
    splits
        Tokens by ``train``, ``val`` and ``sealed``.
    token_bytes
        Bytes that a token stands for (vocabulary,); 0 for those that stand for none.
    identity
        What the tokens were made from; ``corpus`` and ``tokenizer`` are digests.
    """
    digests: dict[str, str] = {"corpus": str(identity["corpus"])}
    digests["tokenizer"] = str(identity["tokenizer"])
    for folder, names in (("train", ["train"]), ("heldout", ["val", "sealed"])):
        (cache / folder).mkdir(parents=True)
        own = {name: write_tokens(cache / folder, name, splits[name]) for name in names}
        meta = {**identity, "vocabulary": len(token_bytes), "digests": own}
        (cache / folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
        digests |= own
    write_tokens(cache / "heldout", "token_bytes", token_bytes)
    (cache / "meta.json").write_text(json.dumps({**identity, "digests": digests}) + "\n")


def embedded(cache: Path) -> None:
    """Tokenise the committed text into ``cache``."""
    text = read_corpus(DATA / "sotu.txt.xz")
    tokenizer = Tokenizer()
    splits = {name: tokenizer.encode(docs) for name, docs in split_documents(text).items()}
    write_cache(cache, splits, tokenizer.token_bytes(), embedded_identity())


def embedded_identity() -> dict[str, str | int]:
    """What names a cache of the committed text."""
    return {"format": FORMAT, "corpus": CORPUS_SHA256, "tokenizer": Tokenizer().sha256}


def intact(cache: Path, identity: dict[str, str | int]) -> dict[str, str] | None:
    """Digests of a finished cache whose files are still what they were; None if it must be built.

    Raises
    ------
    CorpusError
        If the cache holds another corpus.
    """
    try:
        meta = json.loads((cache / "meta.json").read_text())
    except (OSError, ValueError):
        return None
    if meta.get("corpus") != identity["corpus"]:
        have, want = str(meta.get("corpus"))[:12], str(identity["corpus"])[:12]
        raise CorpusError(f"cache {cache}: holds corpus {have}…, not {want}…; use another --cache")
    digests: dict[str, str] = meta["digests"]
    for folder, name in (("train", "train"), ("heldout", "val"), ("heldout", "sealed")):
        path = cache / folder / f"{name}.bin"
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digests[name]:
            return None
    same = all(meta.get(key) == value for key, value in identity.items())
    return digests if same else None


def publish(staged: Path, cache: Path) -> None:
    """Move a finished cache into place; whoever comes second finds the same bytes and yields."""
    if cache.exists():
        shutil.rmtree(cache / "train", ignore_errors=True)
        shutil.rmtree(cache / "heldout", ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    for name in ("train", "heldout", "meta.json"):  # meta last: it is what says "finished"
        try:
            os.replace(staged / name, cache / name)
        except OSError:
            if not (cache / name).exists():
                raise


def prepare(cache: Path, corpus: Path | None) -> dict[str, str]:
    """Build ``cache`` unless it stands, and return its digests."""
    from miniscale.settings.nanochat import shards

    identity = embedded_identity() if corpus is None else shards.identity(corpus, FORMAT)
    standing = intact(cache, identity)
    if standing is not None:
        return standing
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".prepare-") as scratch:
        staged = Path(scratch) / "cache"
        staged.mkdir()
        if corpus is None:
            embedded(staged)
        else:
            splits, token_bytes = shards.tokenise(corpus, heldout_tokens=HELDOUT_TOKENS)
            write_cache(staged, splits, token_bytes, identity)
        publish(staged, cache)
    digests = intact(cache, identity)
    if digests is None:
        raise CorpusError(f"cache {cache}: not what was written to it; is the disk full?")
    return digests


def main(argv: list[str]) -> int:
    """Command line; 2 and one line on stderr if the corpus is not what it should be."""
    parser = argparse.ArgumentParser(prog="miniscale.settings.nanochat.prepare", allow_abbrev=False)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, default=None, help="folder of parquet shards")
    options = parser.parse_args(argv)
    try:
        if options.corpus is not None and not options.corpus.name:
            raise CorpusError(
                "corpus '': must be a folder of parquet shards; name it by NANOCHAT_CORPUS=DIR"
            )
        digests = prepare(options.cache, options.corpus)
    except (CorpusError, OSError) as error:
        sys.stderr.write(f"prepare: {error}\n")
        return 2
    sys.stdout.write(json.dumps({"digests": digests}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
