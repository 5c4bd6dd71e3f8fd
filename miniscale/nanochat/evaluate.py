"""Score a trained model: bits per byte on validation and sealed text, in a process of its own.

``python -m miniscale.nanochat.evaluate --code=TREE --data=CACHE/heldout --out=OUT --flops=BUDGET``
imports the frozen model code from TREE, loads OUT/model.safetensors, and writes
OUT/evaluation.json. The trainer never sees the held-out text, and its word on what it spent is
not taken: forward FLOPs a token are counted again, and training costs three times as much.

Bits per byte are comparable across tokenizers: the negative log-likelihood of all tokens that
stand for bytes, over the bytes they stand for.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TOLERATED = 1.05  # FLOPs over the budget: the last step and the counting of odd shapes
# Of each split, evenly spread; all arms meet the same windows, so fewer add no noise to a pair.
TOKENS = {"cpu": 65_536, "cuda": 4_194_304}
ROWS = 8  # windows a forward pass: logits of more would leave the cache


class TamperedError(Exception):
    """The trial is not what it says it is; the message is the reason on record."""


class OverBudgetError(TamperedError):
    """The trial spent more FLOPs than its rung allows."""


@dataclass(frozen=True)
class Text:
    """Held-out windows of one split and the bytes of each of their targets."""

    inputs: Tensor  # (windows, context) int64
    targets: Tensor
    target_bytes: Tensor  # (windows, context) float64


def sha256(*paths: Path) -> str:
    """Digest of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_split(folder: Path, name: str, *, context: int, tokens: int) -> Text:
    """Windows of ``context`` tokens spread evenly over a split, ``tokens`` in all at most."""
    import torch

    meta = json.loads((folder / "meta.json").read_text())
    path = folder / f"{name}.bin"
    if sha256(path) != meta["digests"][name]:
        raise TamperedError(f"{name} tokens are not those that were prepared")
    text = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.int16).long() & 0xFFFF
    raw = bytearray((folder / "token_bytes.bin").read_bytes())
    token_bytes = torch.frombuffer(raw, dtype=torch.int16).double()
    windows = (len(text) - 1) // context
    count = min(windows, max(1, tokens // context))
    starts = (torch.arange(count) * windows // count) * context
    rows = text[starts[:, None] + torch.arange(context + 1)]
    targets = rows[:, 1:]
    return Text(rows[:, :-1].contiguous(), targets, token_bytes[targets])


def bits_per_byte(model: Callable[[Tensor], Tensor], text: Text, *, device: str) -> float:
    """Bits per byte; the softmax is taken here, so a model cannot hand in its own.

    Raises
    ------
    TamperedError
        If logits have another shape than (batch, time, vocabulary).
    """
    import torch
    import torch.nn.functional as F

    nats, total = 0.0, 0.0
    parts = zip(
        *(t.split(ROWS) for t in (text.inputs, text.targets, text.target_bytes)), strict=True
    )
    with torch.inference_mode():
        for inputs, targets, sizes in parts:
            logits = model(inputs.to(device)).float()
            if logits.ndim != 3 or logits.shape[:2] != targets.shape:
                raise TamperedError(f"logits of shape {tuple(logits.shape)}")
            flat = targets.flatten().to(device)
            loss = F.cross_entropy(logits.flatten(0, 1), flat, reduction="none").cpu().double()
            nats += float(loss[sizes.flatten() > 0].sum())
            total += float(sizes.sum())
    return nats / total / math.log(2)


def load(code: Path, out: Path) -> tuple[Any, dict[str, Any]]:
    """Import ``train.build`` from the trial's own tree and fill the model it builds."""
    from safetensors.torch import load_file

    sys.path.insert(0, str(code))
    config = json.loads((out / "model.json").read_text())
    model = importlib.import_module("train").build(config)
    weights = load_file(out / "model.safetensors")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    named = {name for name, _ in model.named_parameters()}
    if named & set(missing) or unexpected:
        raise TamperedError(f"weights do not fit the code: {sorted({*missing, *unexpected})[:3]}")
    return model.eval(), config


def spent_flops(code: Path, model: Any, text: Text, out: Path, device: str) -> tuple[float, int]:
    """FLOPs of training by our own count of a forward pass, and the tokens trained on."""
    import torch

    counted = importlib.import_module("tokens").counted_flops
    one = text.inputs[:1].to(device)
    with torch.no_grad():
        forward = counted(lambda: model(one)) / one.numel()
    tokens = json.loads((out / "trainer.json").read_text())["tokens"]
    if not isinstance(tokens, int) or tokens < 1:
        raise TamperedError(f"trainer.json: tokens {tokens!r}")
    return 3.0 * forward * tokens, tokens


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score the model and compare what it cost with the budget."""
    import torch

    start = time.perf_counter()
    code, data, out, device = options.code, options.data, options.out, options.device
    model, config = load(code, out)
    importlib.import_module("tokens").tune_cpu(options.threads)
    model.to(device)
    context = int(config["context"])
    val = read_split(data, "val", context=context, tokens=TOKENS[device])
    sealed = read_split(data, "sealed", context=context, tokens=TOKENS[device])
    flops, tokens = spent_flops(code, model, val, out, device)
    budget = options.flops * options.stop
    if flops > TOLERATED * budget:
        raise OverBudgetError(f"{flops:.3g} FLOPs are {flops / budget:.2f} of {budget:.3g}")
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        scores = {
            "val_bpb": bits_per_byte(model, val, device=device),
            "sealed_bpb": bits_per_byte(model, sealed, device=device),
        }
    if not all(map(math.isfinite, scores.values())):
        raise TamperedError(f"scores are not finite: {scores}")
    sources = [code / name for name in ("train.py", "tokens.py", "operations.py")]
    return {
        **scores,
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops": flops,
        "tokens": tokens,
        "digests": {
            "code": sha256(*sources),
            "weights": sha256(out / "model.safetensors"),
            **json.loads((data / "meta.json").read_text())["digests"],
        },
        "seconds": round(time.perf_counter() - start, 3),
    }


def main(argv: list[str]) -> int:
    """Command line; 0 scored, 4 tampered with, 5 over budget (why is in evaluation.json)."""
    parser = argparse.ArgumentParser(prog="miniscale.nanochat.evaluate", allow_abbrev=False)
    for name in ("code", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--flops", type=float, required=True, help="budget of the trial")
    parser.add_argument("--stop", type=float, default=1.0, help="share of it that may be spent")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    try:
        result, status = evaluate(options), 0
    except OverBudgetError as error:
        result, status = {"over_budget": str(error)}, 5
    except TamperedError as error:
        result, status = {"tampered": str(error)}, 4
    (options.out / "evaluation.json").write_text(json.dumps(result, allow_nan=False) + "\n")
    if status:
        sys.stderr.write(f"evaluate: {result}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
