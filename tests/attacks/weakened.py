"""The evaluator with one check left out: ``python weakened.py CHECK ARGUMENT …``, for tests alone.

No switch for this exists in the evaluator itself. Each entry replaces what one check rests on.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate import (
    __main__,
    cpu_limits,
    heldout_text,
    leak_checks,
    model_channel,
    model_host,
    score_tokens,
)
from miniscale.evaluate.weights import Weights


def causal() -> None:
    """Ask again for whole windows, with all that comes after."""
    probes = leak_checks.probes

    def whole(held: heldout_text.Text, loss: Any, **more: Any) -> list[leak_checks.Probe]:
        asked = probes(held, loss, **more)
        cuts = held.inputs.shape[1]
        return [
            leak_checks.Probe(p.windows, np.full(len(p.windows), cuts), held.inputs[p.windows])
            for p in asked
        ]

    leak_checks.probes = whole


def stateless() -> None:
    """Ask the same instance again, not a fresh one."""
    fresh, living = model_host.Host.fresh, {}

    def same(self: model_host.Host) -> model_host.Instance:
        return living.setdefault("one", fresh(self)) if not living else living["one"]

    model_host.Host.fresh = same
    model_host.Host.stop = lambda self: 0.0


def order_free() -> None:
    """Ask again in the order and company of the first time."""

    def batches(
        held: heldout_text.Text, loss: Any, *, rows: int, **_: Any
    ) -> list[leak_checks.Probe]:
        count, cuts = held.inputs.shape
        asked = [np.arange(i, min(i + rows, count)) for i in range(0, count, rows)]
        return [leak_checks.Probe(w, np.full(len(w), cuts), held.inputs[w]) for w in asked]

    leak_checks.probes = batches


def deterministic() -> None:
    """Tolerate any difference."""
    leak_checks.LookComparison.exceeds = lambda self, tolerance: False


def normalised() -> None:
    """Take what the model calls log-probabilities as such."""
    leak_checks.nats = lambda logits, targets: (
        -np.take_along_axis(logits, targets[..., None], -1)[..., 0].astype(np.float64)
    )


def finite() -> None:
    """Count a token without a finite loss as no loss."""

    def lenient(logits: Any, targets: Any) -> Any:
        top = logits.max(-1, keepdims=True)
        chosen = np.take_along_axis(logits, targets[..., None], -1)
        loss = np.log(np.exp(logits - top).sum(-1)) + (top - chosen)[..., 0]
        return np.nan_to_num(loss.astype(np.float64), posinf=0.0, neginf=0.0)

    leak_checks.nats = lenient


def shape() -> None:
    """Score what was answered and count the rest as no loss."""
    strict = leak_checks.nats

    def lenient(logits: Any, targets: Any) -> Any:
        loss = np.zeros(targets.shape)
        rows, time = logits.shape[:2]
        loss[:rows, :time] = strict(logits, targets[:rows, :time] % logits.shape[2])
        return loss

    def said(self: model_host.Instance, asked: Any, said: Any, width: int) -> None:
        self.said = (*said[2:], width)

    def ask(self: model_host.Instance, tokens: Any) -> Any:
        self._ask(tokens, model_channel.ASK)
        rows, time, width = self.said
        return self._logits[: rows * time * width].copy().reshape(rows, time, width)

    leak_checks.nats, model_host.Instance._check_shape, model_host.Instance.ask = lenient, said, ask


def weights() -> None:
    """Load whatever is there."""
    score_tokens.read_weights = lambda path, **_: Weights(path.read_bytes(), 0, False)


def files() -> None:
    """Follow links, and read anything."""
    importlib.import_module("miniscale.evaluate.weights").read_plain = lambda path, **_: Path(
        path
    ).read_bytes()


def apart() -> None:
    """Let instances write where the next one reads."""
    command = model_host._command
    model_host._command = lambda *_: [
        "--box=process" if part.startswith("--box=") else part for part in command(*_)
    ]


def own_process() -> None:
    """Import the model's code into the process that makes the score."""

    class Here:
        def __init__(self, terms: Any, **_: Any) -> None:
            self.terms = terms

        def hold(self, *, weights: bytes, config: bytes) -> None:
            import safetensors.numpy

            sys.path.insert(0, str(self.terms.tree))
            made = importlib.import_module("train")
            self.ask = made.build(json.loads(config), safetensors.numpy.load(weights))

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def fresh(self) -> Any:
            return self

        def stop(self) -> float:
            return 0.0

    score_tokens.Host = Here


def loading() -> None:
    """Let loading take what it takes."""
    cpu_limits.LOADING_S["cpu"] = 1e9


def answering() -> None:
    """Let answering take what it takes."""
    cpu_limits.ANSWERING = 1e9


CHECKS: dict[str, Callable[[], None]] = {
    "causal": causal,
    "stateless": stateless,
    "order-free": order_free,
    "deterministic": deterministic,
    "normalised": normalised,
    "finite": finite,
    "shape": shape,
    "weights": weights,
    "files": files,
    "apart": apart,
    "loading": loading,
    "answering": answering,
    "own process": own_process,
}

if __name__ == "__main__":
    if sys.argv[1] in CHECKS:
        CHECKS[sys.argv[1]]()
    sys.exit(__main__.main(sys.argv[2:]))
