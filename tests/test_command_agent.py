"""Coding agents: what they change in editable files is the change; whatever else is refused."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from llm_server import serving
from oracle import oracle_job

from autoresearch.proposer.command import Command
from autoresearch.proposer.make_proposer import AgentContext, decode_agent
from miniscale.box import BoxKind, choose
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders
from miniscale.setting.setting import Kind, Knob
from miniscale.tree.workspace import Workspace
from transfer.change import Change
from transfer.events import CallBilled, Refused
from transfer.study.limits import Limits
from transfer.study.proposer_protocol import Done, Proposal, ProposalRequest, Session
from transfer.study.simulated_study import NOWHERE, MemoryLedger
from transfer.study.study import Study

AGENT = Path(__file__).with_name("stand_in_agent.py")
TRAIN = "import random\nrandom.seed(0)\nlr = 0.1\nprint('loss', lr)\n"
pytestmark = pytest.mark.level2


def opened(
    folder: Path,
    *arguments: str,
    ledger: MemoryLedger | None = None,
    limits: Limits | None = None,
    sleep: Callable[[float], None] = time.sleep,
    **options: object,
) -> tuple[ProposalRequest, Command]:
    """Return a request in a study of one small file, and the stand-in agent."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "train.py").write_text(TRAIN)
    (source / "data.py").write_text("data = [1]\n")
    job = oracle_job()
    width = Knob("width", 32, Kind.HYPERPARAMETER, low=8, high=1024)
    setting = replace(
        job.ladder.setting,
        source=source,
        editable=("train.py",),
        locked=("data.py",),
        knobs={"width": width},
    )
    trees = Workspace.create(
        folder / "study",
        source=source,
        editable=setting.editable,
        locked=setting.locked,
        knobs=setting.defaults(),
    )
    study = Study(
        replace(job.ladder, setting=setting),
        policy=job.policy,
        plan=job.plan,
        ledger=ledger or MemoryLedger(),
        trees=trees,
        folders=Folders(NOWHERE, NOWHERE),
        data={},
    )
    study.start("commanded", {})
    session = Session(folder / "study", sleep=sleep)
    request = ProposalRequest(study, limits or Limits(), session)
    argv = (sys.executable, "-I", str(AGENT), *arguments)
    made = {"read": (str(AGENT.parent),), "timeout_s": 60.0, "price_usd": 0.25, **options}
    return request, Command("command", argv, **made)  # type: ignore[arg-type]


def proposed(folder: Path, *arguments: str, **options: object) -> Proposal:
    request, agent = opened(folder, *arguments, **options)  # type: ignore[arg-type]
    return agent.propose(request)


def test_an_agents_edit_is_the_change_with_what_it_said_of_it(tmp_path: Path) -> None:
    request, agent = opened(tmp_path, "good")
    change = agent.propose(request)
    assert isinstance(change, Change), change
    assert (change.title, change.hypothesis) == ("double the rate", "faster")
    assert change.expected == {"small": 3.0}
    assert "+lr = 0.2" in change.patch
    assert request.study.prepare(change) == ""
    asked = [event for event in request.study.events if isinstance(event, CallBilled)]
    assert [(one.outcome, one.usd) for one in asked] == [("ok", 0.25)]
    assert agent.propose(request) != change
    assert not (tmp_path / "study/proposals/command-00000.work").exists()


@pytest.mark.parametrize(
    ("mode", "title", "part"),
    [
        ("silent", "I doubled the learning rate", "+lr = 0.2"),
        ("knobs", "double the rate", ""),
        ("litter", "double the rate", "+lr = 0.2"),
        ("daemon", "double the rate", "+lr = 0.2"),
    ],
)
def test_agents_that_do_it_their_own_way(mode: str, title: str, part: str, tmp_path: Path) -> None:
    change = proposed(tmp_path, mode)
    assert isinstance(change, Change), change
    assert (change.title, part in change.patch) == (title, True)
    assert "notes.txt" not in change.patch
    if mode == "daemon":
        assert not alive("601")


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("idle", "changes nothing"),
        ("locked", "changed 'data.py'"),
        ("knobs_file", "give knob values in proposal.json"),
        ("deletes", "took 'train.py' away"),
        ("links", "made it no plain file"),
        ("pipes", "made it no plain file"),
        ("huge", "1200000 bytes long"),
        ("binary", "another form than UTF-8"),
        ("broken", "is no program"),
        ("bad_json", "holds no JSON object"),
        ("fails", "exit code 3: Traceback: no credit left"),
    ],
)
def test_whatever_else_an_agent_does_is_refused(mode: str, says: str, tmp_path: Path) -> None:
    failed = proposed(tmp_path, mode)
    assert isinstance(failed, Refused), failed
    assert says in failed.reason


def alive(seconds: str) -> bool:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return f"sleep {seconds}" in found.stdout.splitlines()


def test_an_agent_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    failed = proposed(tmp_path, "hangs", timeout_s=2.0)
    assert isinstance(failed, Refused)
    assert "still at work after 2 s" in failed.reason
    assert not alive("600")


def test_nothing_that_an_agent_leaves_is_run_outside_its_box(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    change = proposed(tmp_path, "hooks", str(marker))
    assert isinstance(change, Change), change
    assert not marker.exists()


def test_a_boxed_agent_reads_and_writes_nothing_of_ours_and_sees_only_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if choose("prefer").kind is BoxKind.PROCESS:
        pytest.skip("no box holds on this machine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("a secret")
    monkeypatch.setenv("OTHER_SECRET", "not for you")
    monkeypatch.setenv("MY_KEY", "sk-agent-key")
    request, agent = opened(tmp_path, "escapes", str(os.getpid()), str(outside), env=("MY_KEY",))
    change = agent.propose(request)
    assert isinstance(change, Change), change
    assert change.hypothesis == "worked: []; sees []; key [key]"
    kept = [p for p in (tmp_path / "study").rglob("*") if p.is_file()]
    assert not [p for p in kept if b"sk-agent-key" in p.read_bytes()]
    assert "sk-agent-key" not in repr(request.study.events) + repr(change)


def test_an_agent_that_writes_its_key_into_the_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-agent-key")
    failed = proposed(tmp_path, "leaks", env=("MY_KEY",))
    assert isinstance(failed, Refused)
    assert "wrote a key" in failed.reason


def test_a_boxed_agent_has_the_network(tmp_path: Path) -> None:
    with serving([]) as server:
        port = server.url.rpartition(":")[2].removesuffix("/v1")
        change = proposed(tmp_path, "network", port)
    assert isinstance(change, Change), change


def test_a_call_that_was_under_way_when_we_died_is_counted(tmp_path: Path) -> None:
    ledger = MemoryLedger()

    def die(seconds: float) -> None:
        raise KeyboardInterrupt

    request, agent = opened(tmp_path, "good", ledger=ledger, sleep=die)
    with pytest.raises(KeyboardInterrupt):
        agent.propose(request)
    request, agent = opened(tmp_path, "good", ledger=ledger)
    assert isinstance(agent.propose(request), Change)
    outcomes = [event.outcome for event in ledger.events if isinstance(event, CallBilled)]
    assert outcomes == ["lost: the process ended while it waited", "ok"]


def test_an_agent_is_not_called_beyond_the_caps(tmp_path: Path) -> None:
    done = proposed(tmp_path, "good", limits=Limits(usd=0.2))
    assert isinstance(done, Done)
    assert "budget.usd is $0.20" in done.reason


def test_an_agent_that_is_not_installed_is_said_in_one_line() -> None:
    data = {"name": "command", "command": ["no-such-agent", "-p"]}
    with pytest.raises(InputError, match="'no-such-agent' is not installed; give") as caught:
        decode_agent(data, AgentContext(oracle_job().ladder, [], 0, Limits()))
    assert "\n" not in str(caught.value)
