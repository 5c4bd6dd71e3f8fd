"""From composed configuration to the objects of a study; everything is checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autoresearch.loop import Limits
from autoresearch.proposer import Proposer
from autoresearch.proposer.listed import Listed, from_path
from autoresearch.proposer.search import Search
from miniscale.decode import InputError, Node, nearest
from transfer.audit.store import trust_for
from transfer.change import decode_change
from transfer.folder import StudyFolder
from transfer.ladder import Ladder, decode_ladder
from transfer.policy import Policy
from transfer.policy.registry import content, decode_policy, expecting, trusting
from transfer.study import EpochRule, Plan


@dataclass(frozen=True)
class Job:
    """All that a command asks for, decoded."""

    name: str
    folder: Path
    ladder: Ladder
    plan: Plan
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

    def content(self) -> dict[str, Any]:
        """Return what must not change when a study is resumed."""
        return {
            "ladder": self.ladder.content(),
            "policy": content(self.policy),
            "seed": self.plan.seed,
            "in_flight": self.plan.in_flight,
            "epoch": asdict(self.plan.epoch),
            # studies begun before ideas had a price go on
            **({"idea_cost": self.plan.idea_cost} if self.plan.idea_cost else {}),
        }


def decode_job(config: Mapping[str, Any], folders: Sequence[Path]) -> Job:
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
        study, budget, seed, epoch=_epoch(Node(node.raw("epoch", {}), "epoch")), ladder=ladder
    )
    hours = budget.optional_number("hours", above=0.0)
    changes = budget.whole("changes", 40, least=1)
    limits = Limits(changes) if hours is None else Limits(changes, hours)
    runner = Node(node.raw("runner", {}), "runner")
    folder = Path(study.text("root", "studies")).expanduser().resolve() / name
    trust, audit = trust_for(StudyFolder(folder), ladder)
    policy = decode_policy(node.raw("policy", {"name": "atoms"}))
    job = Job(
        name=name,
        folder=folder,
        ladder=replace(ladder, budget=plan.budget),
        plan=plan,
        policy=trusting(expecting(policy, changes), trust),
        proposer=_proposer(Node(node.raw("agent", {}), "agent"), ladder, roots, seed),
        limits=limits,
        slots=_slots(runner),
        tracker=node.raw("tracker", {"name": "none"}),
        is_dry=node.flag("dry_run", False),
        roots=tuple(roots),
        audit=audit,
    )
    for part in (study, budget, runner):
        part.finish()
    _check_budget(job)
    return job


def _plan(study: Node, budget: Node, seed: int, *, epoch: EpochRule, ladder: Ladder) -> Plan:
    plan = Plan(
        seed=seed,
        in_flight=study.whole("in_flight", 4, least=1),
        budget=budget.number("compute", ladder.budget, above=0.0),
        epoch=epoch,
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


def _check_budget(job: Job) -> None:
    lowest = job.ladder.rungs[0]
    seeds = lowest.seeds + max(lowest.seeds, lowest.baseline_seeds)
    least = sum(rung.cost for rung in job.ladder.rungs[1:]) + lowest.cost * seeds
    if job.plan.budget < least:
        raise InputError(
            f"budget.compute: got {job.plan.budget:g} {job.ladder.unit}, the baseline and one "
            f"change on the lowest rung alone take {least:g}; raise it"
        )


def _epoch(node: Node) -> EpochRule:
    rule = EpochRule(
        accepts=node.whole("accepts", 3, least=1),
        changes=node.whole("changes", 150, least=1),
        budget_share=node.number("budget_share", 0.34, above=0.0),
    )
    node.finish()
    return rule


def _slots(node: Node) -> int | None:
    _named(node, ["local"])
    return node.whole("slots", least=1) if "slots" in node else node.raw("slots")


def _named(node: Node, known: Sequence[str]) -> str:
    name = node.text("name")
    if name not in known:
        raise InputError(f"{node.path}.name: '{name}' is unknown; {nearest(name, known)}")
    return name


def _proposer(node: Node, ladder: Ladder, roots: Sequence[Path], seed: int) -> Proposer:
    name = _named(node, ["search", "patches", "scripted"])
    proposer: Proposer
    if name == "search":
        proposer = Search(seed=seed, knobs_at_once=node.whole("knobs_at_once", 1, least=1))
    elif name == "patches":
        source, base = ladder.setting.source, node.text("base", "HEAD")
        proposer = from_path(node.text("path"), source=source, roots=roots, base=base)
    else:
        proposer = Listed(
            "scripted",
            tuple(
                decode_change(key, child, setting=ladder.setting, roots=roots)
                for key, child in node.children("changes")
            ),
        )
    node.finish()
    return proposer
