"""From composed configuration to the objects of a study; everything is checked before any work."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autoresearch.proposer.choose import decode_agent, named
from miniscale.box import policy_for
from miniscale.setting.decode import InputError, Node
from transfer.audit.archive import trust_for
from transfer.journal.folder import StudyFolder
from transfer.ladder import Ladder, decode_ladder
from transfer.policy.protocol import Policy
from transfer.policy.registry import content, decode_policy, expecting, trusting
from transfer.study.limits import Limits
from transfer.study.proposer import Proposer
from transfer.study.study import RoundRule, StudyPlan


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
            "seed": self.plan.seed,
            "in_flight": self.plan.in_flight,
            "round": asdict(self.plan.round),
            # studies begun before ideas had a price go on
            **({"idea_cost": self.plan.idea_cost} if self.plan.idea_cost else {}),
        }


def decode_job(config: Mapping[str, Any], folders: Sequence[Path]) -> StudyJob:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    roots = [*folders, Path.cwd()]
    node = Node(config, "config")
    ladder = decode_ladder(node.raw("ladder"), roots=roots)
    study, budget = Node(node.raw("study", {}), "study"), Node(node.raw("budget", {}), "budget")
    seed = study.whole("seed", 0)
    name = study.text("name", ladder.name)
    plan = _plan(
        study, budget, seed, round=_round(Node(node.raw("round", {}), "round")), ladder=ladder
    )
    limits = _limits(budget)
    runner = Node(node.raw("runner", {}), "runner")
    folder = Path(study.text("root", "studies")).expanduser().resolve() / name
    trust, audit = trust_for(StudyFolder(folder), ladder)
    policy = decode_policy(node.raw("policy", {"name": "atoms"}))
    job = StudyJob(
        name=name,
        folder=folder,
        ladder=replace(ladder, budget=plan.budget),
        plan=plan,
        policy=trusting(expecting(policy, limits.changes), trust),
        proposer=decode_agent(
            Node(node.raw("agent", {}), "agent"), ladder, roots=roots, seed=seed, limits=limits
        ),
        limits=limits,
        slots=_slots(runner),
        box=policy_for(runner.text("box", "prefer"), ladder.setting),
        tracker=node.raw("tracker", {"name": "none"}),
        is_dry=node.flag("dry_run", False),
        roots=tuple(roots),
        audit=audit,
    )
    for part in (study, budget, runner, node):
        part.finish()
    _check_budget(job)
    return job


def _plan(study: Node, budget: Node, seed: int, *, round: RoundRule, ladder: Ladder) -> StudyPlan:
    plan = StudyPlan(
        seed=seed,
        in_flight=study.whole("in_flight", 4, least=1),
        budget=budget.number("compute", ladder.budget, above=0.0),
        round=round,
        idea_cost=study.number("idea_cost", 0.0),
        tops_up=study.flag("tops_up", True),
        exam_share=budget.number("exam_share", 0.15),
    )
    if not 0 <= plan.exam_share <= 1 or plan.idea_cost < 0:
        raise InputError(
            f"budget.exam_share: got {plan.exam_share:g}, a share lies between 0 and 1; and "
            f"study.idea_cost: got {plan.idea_cost:g}, no idea is paid for being had"
        )
    return plan


def _limits(budget: Node) -> Limits:
    caps = {}
    for name in ("hours", "device_hours", "usd", "tokens", "calls"):
        cap = budget.optional_number(name, above=0.0)
        caps[name] = math.inf if cap is None else cap
    return Limits(budget.whole("changes", 40, least=1), **caps)


def _check_budget(job: StudyJob) -> None:
    lowest = job.ladder.rungs[0]
    seeds = lowest.seeds + max(lowest.seeds, lowest.baseline_seeds)
    least = sum(rung.cost for rung in job.ladder.rungs[1:]) + lowest.cost * seeds
    if job.plan.budget < least:
        raise InputError(
            f"budget.compute: got {job.plan.budget:g} {job.ladder.unit}, the baseline and one "
            f"change on the lowest rung alone take {least:g}; raise it"
        )


def _round(node: Node) -> RoundRule:
    rule = RoundRule(
        accepts=node.whole("accepts", 3, least=1),
        changes=node.whole("changes", 150, least=1),
        budget_share=node.number("budget_share", 0.34, above=0.0),
    )
    node.finish()
    return rule


def _slots(node: Node) -> int | None:
    named(node, ["local"])
    return node.whole("slots", least=1) if "slots" in node else node.raw("slots")
