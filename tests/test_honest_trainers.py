"""What is honest passes, however unusual, with the score of a plain in-process evaluation."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import honest_models as models
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from miniscale.box import strongest
from miniscale.evaluate.model_host import Host, HostTerms
from miniscale.evaluate.score_tokens import SPLITS, ScoringJob, judge

pytestmark = pytest.mark.level2
ROWS = 8
RELATIVE = 1e-6
"""Of the score against a plain evaluation, 16-bit weights included: the batches are the same."""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> ScoringJob:
    top = tmp_path_factory.mktemp("honest")
    for name in ("data", "out", "tree", "folder"):
        (top / name).mkdir()
    rng = np.random.default_rng(0)
    digests = {}
    for name in SPLITS:
        blob = rng.integers(0, models.VOCABULARY, 2000).astype("<u2").tobytes()
        (top / "data" / f"{name}.bin").write_bytes(blob)
        digests[name] = hashlib.sha256(blob).hexdigest()
    token_bytes = rng.integers(0, 5, models.VOCABULARY).astype("<u2")
    (top / "data" / "token_bytes.bin").write_bytes(token_bytes.tobytes())
    meta = {"vocabulary": models.VOCABULARY, "digests": digests}
    (top / "data" / "meta.json").write_text(json.dumps(meta))
    shutil.copy(models.__file__, top / "tree" / "train.py")
    terms = HostTerms(
        top / "tree",
        companion="miniscale.settings.nanochat.tokens",
        rows=ROWS,
        context=models.CONTEXT,
        vocabulary=models.VOCABULARY,
        box=strongest().kind,
    )
    return ScoringJob(terms, top / "data", top / "out", tokens=10_000)


@pytest.fixture(scope="module")
def host(job: ScoringJob) -> Iterator[Host]:
    with Host(job.terms, folder=job.data.parent / "folder", outside=os.environ) as made:
        yield made


def plain(model: torch.nn.Module, data: Path, name: str) -> float:
    """Bits per byte in one process, by torch alone."""
    text = torch.from_numpy(np.fromfile(data / f"{name}.bin", "<u2").astype(np.int64))
    token_bytes = torch.from_numpy(np.fromfile(data / "token_bytes.bin", "<u2").astype(np.int64))
    rows = (len(text) - 1) // models.CONTEXT
    used = rows * models.CONTEXT
    inputs = text[:used].view(rows, -1)
    targets = text[1 : used + 1].view(rows, -1)
    nats = 0.0
    with torch.inference_mode():
        for own, wanted in zip(inputs.split(ROWS), targets.split(ROWS), strict=True):
            logits = model.eval()(own).float().flatten(0, 1)
            loss = F.cross_entropy(logits, wanted.flatten(), reduction="none").double()
            nats += float(loss[token_bytes[wanted.flatten()] > 0].sum())
    return nats / float(token_bytes[targets].sum()) / math.log(2)


@pytest.mark.parametrize("kind", models.KINDS)
def test_an_honest_model_scores_as_in_a_plain_evaluation(
    kind: str, job: ScoringJob, host: Host
) -> None:
    model = models.trained(kind)
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(weights, job.out / "model.safetensors")
    (job.out / "model.json").write_text(json.dumps({"kind": kind}))
    (job.out / "trainer.json").write_text('{"tokens": 1000}')
    found = judge(job, host, np.random.default_rng(1))
    for name in SPLITS:
        wanted = plain(model, job.data, name)
        assert found[f"{name}_bpb"] == pytest.approx(wanted, rel=RELATIVE)
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert found["flops"] > 0
