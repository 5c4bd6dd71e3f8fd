"""A journal of real trainings opens, and every verdict in it comes out again."""

import gzip
import math
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from autoresearch.build_study import StudyJob, decode_job
from miniscale.setting.compose import compose
from transfer.events import VerdictReached
from transfer.journal.folder import StudyFolder, open_folder
from transfer.journal.load import Loaded, load
from transfer.report.text import status
from transfer.report.write import write_report
from transfer.study.judge_again import rejudge

FROZEN = Path(__file__).parent / "data" / "journals" / "nanochat" / "journal.jsonl.gz"


@cache
def config() -> dict[str, Any]:
    words = ["+ladder=nanochat", "ladder/nanochat=cpu", "budget.compute=3e13", "tracker=none"]
    return compose(words, [], name="config")


@cache
def job() -> StudyJob:
    return decode_job(config(), [])


@pytest.fixture
def frozen(tmp_path: Path) -> Loaded:
    folder = StudyFolder(tmp_path / "nanochat")
    open_folder(folder, content=job().content(), config=config())
    folder.journal.mkdir()
    (folder.journal / "00000000-1.jsonl").write_bytes(gzip.decompress(FROZEN.read_bytes()))
    return load(folder.path)


def differences(stored: object, again: object, path: str) -> list[str]:
    """Return where two verdicts differ; digests of priors may."""
    if is_dataclass(stored):
        names = [field.name for field in fields(stored) if field.name != "prior"]
        pairs = [(f"{path}.{n}", getattr(stored, n), getattr(again, n, None)) for n in names]
        return [line for at, one, other in pairs for line in differences(one, other, at)]
    if isinstance(stored, tuple) and isinstance(again, tuple) and len(stored) == len(again):
        pairs = zip(stored, again, strict=True)
        return [line for one, other in pairs for line in differences(one, other, path)]
    if isinstance(stored, float) and isinstance(again, float):
        return [] if math.isclose(stored, again, rel_tol=1e-9) else [f"{path} {stored} {again}"]
    return [] if stored == again else [f"{path} {stored} {again}"]


def test_every_stored_verdict_comes_out_again(frozen: Loaded) -> None:
    stored = {event.arm: event for event in frozen.events if isinstance(event, VerdictReached)}
    again = rejudge(job().ladder, frozen.events, policy=job().policy, plan=job().plan)
    assert len(stored) == 44
    assert stored.keys() == again.keys()
    assert not [line for arm in stored for line in differences(stored[arm], again[arm], arm)]


def test_status_and_report_are_made_of_it(frozen: Loaded, tmp_path: Path) -> None:
    assert any("40 of 40 changes" in line or "40 changes" in line for line in status(frozen))
    write_report(frozen.ladder, frozen.state, tmp_path / "report")
    assert (tmp_path / "report" / "index.html").stat().st_size > 100_000
