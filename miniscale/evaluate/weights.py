"""Weights checked before anything loads them: safetensors by its format, every number finite.

Format: eight bytes of header length, a JSON header, then the tensors without gaps. A file that
departs from it anywhere is refused, so a reader with fewer checks meets nothing strange.
"""

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate.refusal import TamperedError
from miniscale.setting.read_metrics import ReadingError, read_plain

HEADER_BYTES = 10_000_000  # assumption: a hundred times what 1,000 tensors take
DIMENSIONS = 8  # assumption: no layer of ours has more than 4
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
              "U8": 1, "BOOL": 1}  # fmt: skip
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Weights:
    """Checked bytes of a safetensors file and what its header says."""

    blob: bytes
    parameters: int
    """Numbers stored in floating point, each once."""
    is_half: bool
    """Whether any is stored in 16 bits."""

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.blob).hexdigest()


def read_weights(path: Path, *, limit_bytes: int) -> Weights:
    """Read and check a safetensors file.

    Raises
    ------
    TamperedError
        Beginning with ``files:``, ``weights:`` or ``finite:``.
    """
    try:
        blob = read_plain(str(path), limit_bytes=limit_bytes)
    except ReadingError as error:
        raise TamperedError(f"files: {error}") from None
    start, header = _header(blob)
    tensors = [_checked(name, entry) for name, entry in header.items() if name != "__metadata__"]
    end = 0
    for name, dtype, shape, begin, stop in sorted(tensors, key=lambda t: t[3:]):
        if begin != end or stop - begin != prod(shape) * ITEM_BYTES[dtype]:
            raise TamperedError(
                f"weights: {name!r} of {dtype}{shape} lies at {begin}:{stop}, after {end}"
            )
        end = stop
    if end != len(blob) - start:
        raise TamperedError(f"weights: {len(blob) - start} bytes of data, header says {end}")
    for name, dtype, _, begin, stop in tensors:
        if not _finite(blob, dtype, start + begin, start + stop):
            raise TamperedError(f"finite: {name!r} holds NaN or infinity")
    floats = [(dtype, shape) for _, dtype, shape, _, _ in tensors if "F" in dtype]
    return Weights(
        blob,
        parameters=sum(prod(shape) for _, shape in floats),
        is_half=any(ITEM_BYTES[dtype] == 2 for dtype, _ in floats),
    )


def _header(blob: bytes) -> tuple[int, dict[str, Any]]:
    """Return where the data starts, and the header."""
    size = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or not 2 <= size <= min(HEADER_BYTES, len(blob) - 8):
        raise TamperedError(f"weights: a header of {size} bytes in a file of {len(blob)}")
    try:
        header = json.loads(blob[8 : 8 + size].decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise TamperedError(f"weights: header is no JSON ({str(error)[:80]})") from None
    if not isinstance(header, dict) or not header:
        raise TamperedError("weights: the header names no tensors")
    return 8 + size, header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _checked(name: str, entry: Any) -> tuple[str, str, tuple[int, ...], int, int]:
    """Return name, type, shape and place of one tensor, each of the right kind."""
    wrong = TamperedError(f"weights: header entry {name[:60]!r} is {str(entry)[:120]}")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise wrong
    if not isinstance(entry["dtype"], str):
        raise wrong
    if not all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, *offsets)):
        raise wrong
    if entry["dtype"] not in ITEM_BYTES or len(shape) > DIMENSIONS or len(offsets) != 2:
        raise wrong
    return name, entry["dtype"], tuple(shape), offsets[0], offsets[1]


def _finite(blob: bytes, dtype: str, begin: int, end: int) -> bool:
    for at in range(begin, end, _CHUNK):
        size = min(_CHUNK, end - at)
        if dtype in _FLOATS:
            part = np.frombuffer(blob, _FLOATS[dtype], size // ITEM_BYTES[dtype], at)
            if not np.isfinite(part).all():
                return False
        elif dtype == "BF16":
            bits = np.frombuffer(blob, "<u2", size // 2, at)
            if ((bits & 0x7F80) == 0x7F80).any():
                return False
    return True
