"""From composed configuration to the objects of a study; everything is checked before any work."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autoresearch.proposer.make_proposer import AgentContext, decode_agent
from miniscale.box import policy_for
from miniscale.setting.decode import Count, InputError, Positive, Whole, decode
from miniscale.setting.keys import RunnerKeys
from transfer.audit.archive import trust_for
from transfer.journal.folder import StudyFolder
from transfer.ladder import Ladder, decode_ladder
from transfer.policy.protocol import Policy
from transfer.policy.registry import content, decode_policy, expecting
from transfer.study.limits import Limits
from transfer.study.proposer_protocol import Proposer
from transfer.study_plan import RoundRule, StudyPlan


@dataclass(frozen=True)
class StudyJob:
    """All that a command asks for, decoded."""

    name: str
    folder: Path
    ladder: Ladder
    plan: StudyPlan
    policy: Policy
    proposer: Proposer
    limits: Limits
    slots: int | None
    tracker: Mapping[str, Any]
    is_dry: bool
    roots: tuple[Path, ...]
    """Folders that relative paths were looked up in."""
    audit: str = ""
    """What an audit says of the ladder, in a line."""
    box: str = "prefer"
    """``require``, ``prefer`` or ``off``: whether trainers are walled in."""

    def content(self) -> dict[str, Any]:
        """Return what must not change when a study is resumed."""
        return {
            "ladder": self.ladder.content(),
            "policy": content(self.policy),
            "trust": asdict(self.plan.trust),
            "seed": self.plan.seed,
            "in_flight": self.plan.in_flight,
            "round": asdict(self.plan.round),
            # studies begun before ideas had a price go on
            **({"idea_cost": self.plan.idea_cost} if self.plan.idea_cost else {}),
        }


@dataclass(frozen=True)
class StudyKeys:
    """``study:`` of ``conf/config.yaml``."""

    name: str = ""
    root: str = "studies"
    seed: Whole = 0
    in_flight: Count = 4
    tops_up: bool = True
    idea_cost: float = 0.0

    def __post_init__(self) -> None:
        if self.idea_cost < 0:
            raise InputError(f"idea_cost: got {self.idea_cost:g}, no idea is paid for being had")


@dataclass(frozen=True)
class SpendKeys:
    """``budget:`` of ``conf/config.yaml``; what is absent is not capped."""

    changes: Count = 40
    compute: Positive | None = None
    hours: Positive = math.inf
    device_hours: Positive = math.inf
    usd: Positive = math.inf
    tokens: Positive = math.inf
    calls: Positive = math.inf
    exam_share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.exam_share <= 1:
            raise InputError(
                f"exam_share: got {self.exam_share:g}, a share lies between 0 and 1; correct it"
            )

    def limits(self) -> Limits:
        """Return what ends a study before its proposer does."""
        return Limits(
            self.changes, self.hours, self.device_hours, self.usd, self.tokens, self.calls
        )


@dataclass(frozen=True)
class JobKeys:
    """What ``conf/config.yaml`` holds."""

    ladder: Mapping[str, Any]
    agent: Mapping[str, Any]
    study: StudyKeys = field(default_factory=StudyKeys)
    budget: SpendKeys = field(default_factory=SpendKeys)
    round: RoundRule = field(default_factory=RoundRule)
    policy: Mapping[str, Any] = field(default_factory=lambda: {"name": "atoms"})
    runner: RunnerKeys = field(default_factory=RunnerKeys)
    tracker: Mapping[str, Any] = field(default_factory=lambda: {"name": "none"})
    dry_run: bool = False


def decode_job(config: Mapping[str, Any], folders: Sequence[Path]) -> StudyJob:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    roots = [*folders, Path.cwd()]
    keys = decode(JobKeys, config, "config")
    ladder = decode_ladder(keys.ladder, roots=roots)
    study, limits, name = keys.study, keys.budget.limits(), keys.study.name or ladder.name
    plan = StudyPlan(
        seed=study.seed,
        in_flight=study.in_flight,
        budget=keys.budget.compute or ladder.budget,
        round=keys.round,
        idea_cost=study.idea_cost,
        tops_up=study.tops_up,
        exam_share=keys.budget.exam_share,
    )
    folder = Path(study.root).expanduser().resolve() / name
    trust, audit = trust_for(StudyFolder(folder), ladder)
    policy = decode_policy(keys.policy)
    context = AgentContext(ladder, roots, study.seed, limits)
    job = StudyJob(
        name=name,
        folder=folder,
        ladder=replace(ladder, budget=plan.budget),
        plan=replace(plan, trust=trust),
        policy=expecting(policy, limits.changes),
        proposer=decode_agent(keys.agent, context),
        limits=limits,
        slots=keys.runner.slots,
        box=policy_for(keys.runner.box, ladder.setting),
        tracker=keys.tracker,
        is_dry=keys.dry_run,
        roots=tuple(roots),
        audit=audit,
    )
    _check_budget(job)
    return job


def _check_budget(job: StudyJob) -> None:
    lowest = job.ladder.rungs[0]
    seeds = lowest.seeds + max(lowest.seeds, lowest.baseline_seeds)
    least = sum(rung.cost for rung in job.ladder.rungs[1:]) + lowest.cost * seeds
    if job.plan.budget < least:
        raise InputError(
            f"budget.compute: got {job.plan.budget:g} {job.ladder.unit}, the baseline and one "
            f"change on the lowest rung alone take {least:g}; raise it"
        )
