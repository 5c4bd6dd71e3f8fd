"""The journal: what was acknowledged is there, what was torn is cut, what is damaged is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from oracle import oracle_job

from miniscale.setting.decode import InputError
from miniscale.setting.trial import Cause, TrialResult, TrialState
from transfer.change import Change
from transfer.events import (
    FORMULAS,
    Action,
    BaselineSet,
    Effect,
    GainForecast,
    Outcome,
    Proposed,
    Refused,
    Request,
    StepChosen,
    TrialFinished,
    TrialsRequested,
    VerdictReached,
)
from transfer.journal.store import VERSION, Journal, read_journal, sealed
from transfer.study.simulated_study import simulate

EFFECT = Effect("small", 0.0, 2, 2, 4, 0.01, 0.002, 0.1, 0.02)
OUTLOOK = GainForecast(0.1, 0.05, 0.04, 0.16, 0.97, -0.01)
EVENTS = [
    BaselineSet("b0", "abc"),
    Proposed("c1", "b0", Change("one", knobs={"gain": 0.1})),
    Refused("two", "the same as c1", "search"),
    TrialsRequested(0, (Request("c1", "small", 0, "id0"),)),
    TrialFinished(TrialResult("id0", TrialState.COMPLETE, value=1.5, metrics={"flops": 2.0}), 2.0),
    TrialFinished(TrialResult("id1", TrialState.FAILED, cause=Cause.OOM, reason="too big"), 2.0),
    StepChosen("c1", 1, "small", Action.PROMOTE, (EFFECT,), OUTLOOK, 2, "fine"),
    VerdictReached("c1", Outcome.CERTIFIED, (EFFECT,), OUTLOOK, ("good",)),
]


def written(folder: Path) -> Path:
    journal = Journal(folder, clock=lambda: 1.0)
    for event in EVENTS:
        journal.append(event)
    journal.close()
    return next(folder.glob("*.jsonl"))


def test_every_event_comes_back_as_it_was(tmp_path: Path) -> None:
    written(tmp_path)
    assert read_journal(tmp_path) == (EVENTS, [])


def test_a_second_session_goes_on_in_a_file_of_its_own(tmp_path: Path) -> None:
    written(tmp_path)
    journal = Journal(tmp_path, clock=lambda: 2.0)
    journal.append(BaselineSet("b1", "def"))
    journal.close()
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert read_journal(tmp_path)[0] == [*EVENTS, BaselineSet("b1", "def")]


@pytest.mark.parametrize("torn", [b"{", b'{"v":1,"seq":8,"t":1,"type":"based","arm":"b'])
def test_a_torn_last_line_is_cut_and_said(tmp_path: Path, torn: bytes) -> None:
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(torn)
    journal = Journal(tmp_path, clock=lambda: 1.0)
    assert journal.events == EVENTS
    assert "torn last line" in journal.repairs[0]
    journal.append(BaselineSet("b1", "def"))
    journal.close()
    assert read_journal(tmp_path) == ([*EVENTS, BaselineSet("b1", "def")], [])


def test_a_damaged_middle_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2][:-9]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=r"jsonl:3: damaged record"):
        read_journal(tmp_path)


def test_a_single_altered_byte_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    at = content.index(b"search")
    path.write_bytes(content[:at] + b"S" + content[at + 1 :])
    with pytest.raises(InputError, match="damaged record"):
        read_journal(tmp_path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().split(b"\n")
    del lines[2]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match="record 2 is missing"):
        read_journal(tmp_path)


@pytest.mark.parametrize("version", [0, VERSION + 1, None])
def test_another_format_is_refused(version: int | None, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(sealed(json.dumps({"v": version, "seq": 0, "type": "stopped"})))
    with pytest.raises(InputError, match=f"record format {version}, this version reads {VERSION}"):
        read_journal(tmp_path)


def test_a_study_begun_with_other_formulas_does_not_go_on() -> None:
    job = oracle_job()
    study = simulate(job.ladder, [], policy=job.policy, plan=job.plan)
    assert study.state.started is not None
    study.state.started = replace(study.state.started, formulas=FORMULAS + 1)
    with pytest.raises(InputError, match=r"formulas 2, this version has 1.*start another study"):
        study.start("simulated", {})


def test_two_processes_cannot_write_one_study(tmp_path: Path) -> None:
    journal = Journal(tmp_path, clock=lambda: 1.0)
    with pytest.raises(InputError, match="another process"):
        Journal(tmp_path, clock=lambda: 1.0)
    journal.close()


WRITER = """
import sys, time
from pathlib import Path
from transfer.events import BaselineSet
from transfer.journal.store import Journal
journal = Journal(Path(sys.argv[1]), clock=time.time)
for n in range(10**6):
    journal.append(BaselineSet("b", "x" * 500 + str(n)))
    sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
"""


def test_kill_loses_no_acknowledged_record(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    for wait in (0.05, 0.13):
        folder = tmp_path / str(wait)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], cwd=root, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = len(writer.stdout.read().split(b"\n")[:-1]) + 1
        writer.wait()
        writer.stdout.close()
        assert acknowledged > 5
        assert len(read_journal(folder, repair=True)[0]) >= acknowledged


def test_an_intact_record_that_is_no_event_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(sealed(json.dumps({"v": VERSION, "seq": 0, "t": 1.0, "type": "based"})))
    with pytest.raises(InputError, match=r"jsonl:1: .*'based'.*restore the file"):
        read_journal(tmp_path)
