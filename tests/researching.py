"""Studies of the oracle trainer that a scripted model researches, in memory but for its desk."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llm_server import Clock, Script, Server, Step, serving
from oracle import oracle_job

from autoresearch.build import Job
from autoresearch.loop import run
from autoresearch.proposer import Proposer
from autoresearch.proposer.desk import Desk
from autoresearch.proposer.researcher import Researcher
from autoresearch.proposer.server import Price
from autoresearch.proposer.server import Server as Asked
from autoresearch.spend import Limits
from miniscale.oracle import OracleRunner
from miniscale.rung import Folders
from transfer.simulate import NOWHERE, KnobTrees, MemoryLedger
from transfer.study import Study

PRICE = Price(input=1.0, output=4.0)


def idea(gain: float = 0.1, *, n: int = 0, **fields: Any) -> dict[str, Any]:
    """Return an idea for the oracle as a model writes it."""
    return {
        "title": f"gain {gain:g} number {n}",
        "hypothesis": "planted",
        "category": f"kind {n % 7}",
        "expected": {"small": 100 * gain, "target": 100 * gain},
        "knobs": [{"name": "gain", "value": gain}, {"name": "idea", "value": n}],
        **fields,
    }


def reply(*ideas: dict[str, Any], **options: Any) -> Step:
    """Return a step that gives ideas as JSON."""
    return Step(json.dumps({"ideas": list(ideas)}), **options)


@dataclass
class Lab:
    """One study with its desk, and what was said by the way."""

    study: Study
    desk: Desk
    clock: Clock
    said: list[str]
    limits: Limits
    proposer: Proposer

    def run(self) -> str:
        """Run the study to its end."""
        return run(
            self.study,
            proposer=self.proposer,
            runner=OracleRunner(),
            limits=self.limits,
            observers=[],
            clock=self.clock,
            is_interrupted=lambda: False,
            warn=self.said.append,
        )


def lab(
    server: Server,
    folder: Path,
    *,
    ledger: MemoryLedger | None = None,
    job: Job | None = None,
    limits: Limits | None = None,
    price: Price = PRICE,
    seat: Callable[[Proposer, Desk], Proposer] | None = None,
    **options: Any,
) -> Lab:
    """Open a study that asks a scripted server; the same folder and ledger resume it."""
    job = job or oracle_job("policy=trend")
    limits = limits or job.limits
    clock, said = Clock(), list[str]()
    study = Study(
        job.ladder,
        policy=job.policy,
        plan=replace(job.plan, exam_share=0.0),
        ledger=ledger if ledger is not None else MemoryLedger(),
        trees=KnobTrees(job.ladder.setting.defaults()),
        folders=Folders(NOWHERE, NOWHERE),
        data={},
    )
    study.start("researched", {})
    desk = Desk(study, folder, limits=limits, clock=clock, sleep=clock.sleep, say=said.append)
    config = Researcher("openai", Asked(base_url=server.url, timeout_s=5.0), price, **options)
    proposer = config.seat(desk) if seat is None else seat(config, desk)
    return Lab(study, desk, clock, said, limits, proposer)


@dataclass(frozen=True)
class Played:
    """A study played to its end, and the server it asked."""

    lab: Lab
    server: Server
    reason: str


def play(script: Script | Sequence[Step], folder: Path, **options: Any) -> Played:
    """Play a study against a script."""
    with serving(script) as server:
        opened = lab(server, folder, **options)
        return Played(opened, server, opened.run())
