import hashlib
import json
import lzma
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from miniscale.settings.nanochat import corpus, prepare, shards


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nanochat") / "cache"
    prepare.prepare(folder, None)
    return folder


def tokens(path: Path) -> NDArray[np.uint16]:
    return np.fromfile(path, "<u2")


def test_corpus_is_the_published_text_and_splits_into_documents() -> None:
    text = corpus.read_corpus(corpus.DATA / "sotu.txt.xz")
    assert hashlib.sha256(text).hexdigest() == corpus.CORPUS_SHA256
    assert len(text) == 10_761_622
    documents = corpus.split_documents(text)
    assert {name: len(d) for name, d in documents.items()} == {
        "train": 209,
        "val": 12,
        "sealed": 12,
    }
    assert sum(map(len, documents.values())) == 233


def test_splits_share_no_document() -> None:
    parts = corpus.split_documents(corpus.read_corpus(corpus.DATA / "sotu.txt.xz"))
    seen = [set(documents) for documents in parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_tokenizer_gives_the_text_back_and_counts_its_bytes(cache: Path) -> None:
    tokenizer = corpus.Tokenizer()
    documents = corpus.split_documents(corpus.read_corpus(corpus.DATA / "sotu.txt.xz"))["val"]
    ids = tokens(cache / "heldout" / "val.bin")
    text = "".join(documents).encode()
    assert b"".join([*tokenizer.tokens, b""][i] for i in ids) == text
    assert int(tokenizer.token_bytes()[ids].sum(dtype=np.int64)) == len(text)


def test_train_folder_holds_training_tokens_and_nothing_held_out(cache: Path) -> None:
    assert sorted(p.name for p in (cache / "train").iterdir()) == ["meta.json", "train.bin"]
    train = tokens(cache / "train" / "train.bin").tobytes()
    for name in ("val", "sealed"):
        held = tokens(cache / "heldout" / f"{name}.bin")
        assert not any(held[i : i + 64].tobytes() in train for i in range(0, len(held), 4096))


def test_prepare_is_idempotent_and_mends_a_damaged_cache(cache: Path) -> None:
    digests = prepare.prepare(cache, None)
    path = cache / "train" / "train.bin"
    path.write_bytes(path.read_bytes()[:-2] + b"\0\0")
    assert prepare.prepare(cache, None) == digests
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digests["train"]


@pytest.mark.parametrize("blob", [b"not xz", lzma.compress(b"another text"), None])
def test_corrupt_corpus_ends_with_code_2_and_one_line(
    blob: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("tokenizer.json", "lengths.json"):
        (tmp_path / name).write_bytes((corpus.DATA / name).read_bytes())
    if blob is not None:
        (tmp_path / "sotu.txt.xz").write_bytes(blob)
    monkeypatch.setattr(prepare, "DATA", tmp_path)
    assert prepare.main([f"--cache={tmp_path / 'cache'}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "sotu.txt.xz" in said.err
    assert "restore" in said.err
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_one_corpus_is_refused_for_another(tmp_path: Path, cache: Path) -> None:
    write_shard(tmp_path / "shards")
    with pytest.raises(corpus.CorpusError, match="use another --cache"):
        prepare.prepare(cache, tmp_path / "shards")


def write_shard(folder: Path) -> None:
    folder.mkdir()
    texts = [f"Document {i} says that {i * i} is the square of {i}. " * 3 for i in range(1600)]
    pl.DataFrame({"text": texts}).write_parquet(folder / "shard_0.parquet")


def test_shards_become_the_same_files_with_a_vocabulary_of_their_own(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards")
    splits, sizes = shards.tokenise(tmp_path / "shards", heldout_tokens=100, vocabulary=400)
    assert sorted(splits) == ["sealed", "train", "val"]
    assert len(splits["val"]) == 100
    assert len(sizes) <= 400
    assert sizes[-1] == 0
    texts = pl.read_parquet(tmp_path / "shards" / "shard_0.parquet")["text"]
    trained = sum(len(t) for i, t in enumerate(texts) if shards.split_of(i) == "train")
    assert int(sizes[splits["train"]].sum(dtype=np.int64)) == trained


def test_no_shards_is_an_error_and_never_the_embedded_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare.main([f"--cache={tmp_path / 'c'}", f"--corpus={tmp_path}"]) == 2
    assert "no *.parquet" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_prepare_prints_one_line_of_digests(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare.main([f"--cache={cache}"]) == 0
    digests = json.loads(capsys.readouterr().out)["digests"]
    assert digests["corpus"] == corpus.CORPUS_SHA256
    assert digests["tokenizer"] == corpus.TOKENIZER_SHA256
    assert set(digests) == {"corpus", "tokenizer", "train", "val", "sealed"}


def test_data_is_read_without_torch() -> None:
    import subprocess

    code = "import sys, miniscale.settings.nanochat.prepare; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
