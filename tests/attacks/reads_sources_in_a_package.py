"""Reads the corpus in our package, as a file and by importing what unpacks it."""

from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "hidden"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for path in toy.sources()[1:]:
        toy.take(path)
    from miniscale.settings.nanochat.corpus import DATA, CorpusError, read_corpus

    with suppress(CorpusError):
        toy.loot(read_corpus(DATA / "sotu.txt.xz")[:50])
