"""Weights are checked byte by byte before anything loads them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from miniscale.evaluate.refusal import TamperedError
from miniscale.evaluate.weights import read_weights

LIMIT = 1 << 20


def raw(folder: Path, header: Any, data: bytes = bytes(8)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**more: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **more}


def test_what_the_library_writes_is_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"a": np.ones((3, 5), np.float32), "b": np.zeros(2, np.int64), "c": np.float16([1])}
    save_file(tensors, path, metadata={"made": "here"})
    found = read_weights(path, limit_bytes=LIMIT)
    assert (found.parameters, found.is_half) == (16, True)
    assert found.blob == path.read_bytes()


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        b"[" * 100_000,
        b"\xff\xfe",
        b"[]",
        {},
        {"a": entry(dtype="F3")},
        {"a": entry(dtype="O")},
        {"a": entry(dtype=["F32"])},
        {"a": entry(shape=[3])},
        {"a": entry(shape=[-2])},
        {"a": entry(shape=[1 << 60, 1 << 60])},
        {"a": entry(shape=[True, True])},
        {"a": entry(shape="2")},
        {"a": entry(shape=[1] * 9)},
        {"a": entry(data_offsets=[0, 1 << 40])},
        {"a": entry(data_offsets=[4, 12])},
        {"a": entry(), "b": entry()},
        {"a": entry(shape=[1], data_offsets=[0, 4])},
        {"a": {**entry(), "code": "import os"}},
        {"a": None},
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},'
        b' "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
    ],
    ids=str,
)
def test_a_header_that_departs_from_the_format_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(TamperedError, match=r"^weights: "):
        read_weights(raw(tmp_path, header), limit_bytes=LIMIT)


@pytest.mark.parametrize("blob", [b"", b"12345678", (1 << 62).to_bytes(8, "little") + b"{}"])
def test_a_header_longer_than_its_file_is_refused(tmp_path: Path, blob: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(blob)
    with pytest.raises(TamperedError, match=r"^weights: a header of"):
        read_weights(path, limit_bytes=LIMIT)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_that_are_none_are_refused(tmp_path: Path, value: float, dtype: type) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"a": np.array([1, value], dtype)}))
    with pytest.raises(TamperedError, match=r"^finite: 'a'"):
        read_weights(path, limit_bytes=LIMIT)


@pytest.mark.parametrize(("bits", "is_fine"), [(0x3F80, True), (0x7F80, False), (0xFFC0, False)])
def test_bfloat16_is_read_by_its_bits(tmp_path: Path, bits: int, is_fine: bool) -> None:
    header = {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
    path = raw(tmp_path, header, bits.to_bytes(2, "little"))
    if is_fine:
        assert read_weights(path, limit_bytes=LIMIT).is_half
    else:
        with pytest.raises(TamperedError, match=r"^finite: "):
            read_weights(path, limit_bytes=LIMIT)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "absent", "large"])
def test_only_a_plain_file_of_sane_size_is_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    if kind == "link":
        path.symlink_to(raw(tmp_path, {"a": entry()}).rename(tmp_path / "other"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(bytes(LIMIT + 1))
    with pytest.raises(TamperedError, match=r"^files: "):
        read_weights(path, limit_bytes=LIMIT)
