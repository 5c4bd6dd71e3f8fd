"""Held-out text as the trusted parent holds it, and what logits are worth on it."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.refusal import TamperedError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Text:
    """Windows of one split: (windows, context) each."""

    inputs: Ints
    targets: Ints
    target_bytes: Ints
    vocabulary: int

    def bits_per_byte(self, nats: Floats) -> float:
        """Negative log-likelihood of all tokens that stand for bytes, over those bytes."""
        is_counted = self.target_bytes > 0
        return float(nats[is_counted].sum() / self.target_bytes.sum() / math.log(2))


def held_out(folder: Path) -> dict[str, Any]:
    """What ``meta.json`` says of the splits."""
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    return meta


def read_split(folder: Path, name: str, *, context: int, tokens: int) -> Text:
    """Windows of ``context`` tokens spread evenly over a split, ``tokens`` in all at most.

    Parameters
    ----------
    folder
        Holds ``NAME.bin`` (uint16 tokens), ``token_bytes.bin`` (bytes a token stands for, by token)
        and ``meta.json`` with ``vocabulary`` and the SHA-256 ``digests`` by split.
    name
        ``val`` or ``sealed``.

    Raises
    ------
    TamperedError
        If the split is not the one that was prepared.
    """
    meta = held_out(folder)
    raw = (folder / f"{name}.bin").read_bytes()
    if hashlib.sha256(raw).hexdigest() != meta["digests"][name]:
        raise TamperedError(f"data: {name} tokens are not those that were prepared")
    text = np.frombuffer(raw, "<u2").astype(np.int64)
    token_bytes = np.frombuffer((folder / "token_bytes.bin").read_bytes(), "<u2").astype(np.int64)
    windows = (len(text) - 1) // context
    count = min(windows, max(1, tokens // context))
    starts = np.arange(count) * windows // count * context
    rows = text[starts[:, None] + np.arange(context + 1)]
    targets = rows[:, 1:]
    inputs = np.ascontiguousarray(rows[:, :-1])
    return Text(inputs, targets, token_bytes[targets], int(meta["vocabulary"]))


def nats(logits: Logits, targets: Ints) -> Floats:
    """Negative log-likelihood of each target under the softmax of its logits, which are spent.

    The softmax is taken here: a model cannot hand in probabilities of its own.

    Raises
    ------
    TamperedError
        If a logit is NaN or plus infinity, or a target is given no chance at all.
    """
    top = logits.max(-1, keepdims=True)
    if not np.isfinite(top).all():
        raise TamperedError("finite: logits hold NaN or infinity")
    logits -= top
    chosen = np.take_along_axis(logits, targets[..., None], -1)[..., 0].astype(np.float64)
    loss: Floats = np.log(np.exp(logits, out=logits).sum(-1).astype(np.float64)) - chosen
    if not np.isfinite(loss).all():
        raise TamperedError("finite: a token that came was given no chance at all")
    return loss
