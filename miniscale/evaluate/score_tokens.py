"""Bits per byte of a trained model, from a process that runs none of the trial's own code."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from miniscale.evaluate import leak_checks
from miniscale.evaluate.cpu_limits import Seconds
from miniscale.evaluate.heldout_text import Floats, Text, held_out, read_split
from miniscale.evaluate.model_host import Host, HostTerms, Instance
from miniscale.evaluate.refusal import OverBudgetError, TamperedError
from miniscale.evaluate.reported_cost import read_reported_cost
from miniscale.evaluate.weights import Weights, read_weights
from miniscale.setting.read_metrics import ReadingError, read_plain

TOLERATED = 1.05
"""FLOPs of the budget that may be spent; assumption: the last step, and counts of odd shapes."""
SPLITS = ("val", "sealed")
CONFIG_BYTES = 1_000_000


@dataclass(frozen=True)
class ScoringJob:
    """What is to be scored, and on what."""

    terms: HostTerms
    data: Path
    out: Path
    tokens: int
    """Of each split at most, evenly spread; all arms meet the same windows."""
    budget_flops: float | None = None
    trainer_cpu_s: float | None = None
    """What training took, as measured from outside; None where nobody measured."""
    weights_bytes: int = 1 << 36


def evaluate(
    job: ScoringJob, *, folder: Path, outside: Mapping[str, str], rng: np.random.Generator
) -> dict[str, Any]:
    """Scores, costs and digests of a trial.

    Parameters
    ----------
    folder
        Where the model's process may write; empty, and removed by the caller.
    outside
        Environment of which an allow-list is passed on.
    rng
        Draws what is asked again.

    Returns
    -------
    ``val_bpb`` and ``sealed_bpb`` in bits per byte, ``parameters``, ``flops`` and ``tokens`` where
    a companion counts, ``loading_cpu_seconds``, ``seconds``, mappings ``checks`` and ``digests``.

    Raises
    ------
    TamperedError, OverBudgetError
        With the name of the check that failed.
    ModelError
        If the model's process crashed or kept silent.
    """
    terms = replace(job.terms, vocabulary=int(held_out(job.data)["vocabulary"]))
    with Host(terms, folder=folder, outside=outside) as host:
        return judge(job, host, rng)


def judge(job: ScoringJob, host: Host, rng: np.random.Generator) -> dict[str, Any]:
    """Judge what a trial left by a process that is running already; raises as above."""
    start = time.perf_counter()
    weights = read_weights(job.out / "model.safetensors", limit_bytes=job.weights_bytes)
    config = _config(job.out)
    host.hold(weights=weights.blob, config=config)
    texts = {
        name: read_split(job.data, name, context=host.terms.context, tokens=job.tokens)
        for name in SPLITS
    }
    scores, costs = _score(job, host, texts, weights, rng)
    return {
        **scores,
        "parameters": weights.parameters,
        **costs,
        "digests": {
            "code": code_digest(host.terms.tree),
            "weights": weights.sha256,
            "config": hashlib.sha256(config).hexdigest(),
            **held_out(job.data)["digests"],
        },
        "seconds": round(time.perf_counter() - start, 3),
    }


def _score(
    job: ScoringJob,
    host: Host,
    texts: Mapping[str, Text],
    weights: Weights,
    rng: np.random.Generator,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Ask one instance for all, another for a part, and compare."""
    terms = host.terms
    first = host.fresh()
    losses = {
        n: leak_checks.first_answers(first, text, rows=terms.rows) for n, text in texts.items()
    }
    scores = {f"{n}_bpb": texts[n].bits_per_byte(loss) for n, loss in losses.items()}
    is_half = weights.is_half or terms.device == "cuda"
    allowed = leak_checks.TOLERANCES["half" if is_half else "float32"]
    first_s = host.stop()
    second = host.fresh()
    worst = gained = 0.0
    compared = 0
    for name, text in texts.items():
        loss = losses[name]
        asked = leak_checks.probes(text, loss, rows=terms.rows, rng=rng)
        seen = leak_checks.ask_again(second, asked, text, loss)
        if seen.exceeds(allowed):
            leak_checks.refuse(host, text, loss, seen, allowed)
        worst, gained = max(worst, seen.worst), max(gained, seen.mean)
        compared += len(seen.better)
    spent = _spent(job, second, texts["val"], losses["val"], rng) if terms.companion else {}
    used = Seconds(first_s, first.asked_tokens, host.stop(), second.asked_tokens)
    if job.trainer_cpu_s is not None:
        used.check(
            trainer=job.trainer_cpu_s,
            tokens=read_reported_cost(job.out, "tokens"),
            device=terms.device,
        )
    report = {
        "compared": compared,
        "worst_nats": worst,
        "gained_nats": gained,
        "allowed_nats": allowed.worst,
    }
    return scores, {**spent, "loading_cpu_seconds": round(used.loading, 3), "checks": report}


def _spent(
    job: ScoringJob, second: Instance, text: Text, loss: Floats, rng: np.random.Generator
) -> dict[str, float]:
    """FLOPs of training: three times a forward pass counted here, for each token trained on.

    The count is made inside the model's process, so it is checked that the counted run gives the
    logits that were scored; what a hostile process can hide from it, CPU-seconds show.
    """
    context = text.inputs.shape[1]
    window = rng.integers(0, len(text.inputs), 1)
    probe = leak_checks.Probe(window, np.full(1, context), text.inputs[window])
    logits, flops = second.cost(probe.tokens)
    seen = leak_checks.compare(probe, logits, text, loss)
    if seen.worst > leak_checks.COUNTED_WORST:
        raise TamperedError(
            f"{leak_checks.COST}: while operations are counted the model predicts otherwise, by"
            f" {seen.worst:.3g} nats (allowed {leak_checks.COUNTED_WORST:g})"
        )
    tokens = read_reported_cost(job.out, "tokens")
    total = 3.0 * flops / context * tokens
    if total <= 0:
        raise TamperedError(f"{leak_checks.COST}: the model does no operation that counts")
    if job.budget_flops is not None and total > TOLERATED * job.budget_flops:
        over = total / job.budget_flops
        raise OverBudgetError(f"{total:.3g} FLOPs are {over:.2f} of {job.budget_flops:.3g}")
    return {"flops": total, "tokens": tokens}


def _config(out: Path) -> bytes:
    try:
        return read_plain(str(out / "model.json"), limit_bytes=CONFIG_BYTES)
    except ReadingError as error:
        raise TamperedError(f"files: {error}") from None


def code_digest(tree: Path) -> str:
    """Digest of all code in a tree, names included."""
    digest = hashlib.sha256()
    for path in sorted(tree.rglob("*.py")):
        if path.is_file() and not path.is_symlink():
            digest.update(f"{path.relative_to(tree).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
