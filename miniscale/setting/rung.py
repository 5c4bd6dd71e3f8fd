"""One size of a setting, and the trial specs that come from it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.setting.command import placeholders, render
from miniscale.setting.decode import InputError, Node, nearest
from miniscale.setting.hides import hidden_paths
from miniscale.setting.setting import Setting
from miniscale.setting.trial import Scalar, TrialSpec, digest

OURS = frozenset({"python", "tree", "out", "cache", "seed", "threads", "knobs"})
"""Placeholders that the harness fills; the rest are rung params and knobs."""


@dataclass(frozen=True)
class Rung:
    """One size: what it costs, how often it is run and what a trial may use.

    ``scale`` is the x of every law, in the ladder's unit; ``cost`` is what one trial takes from
    the budget in the same unit.
    """

    name: str
    scale: float
    cost: float
    params: Mapping[str, Scalar] = field(default_factory=dict)
    seeds: int = 2
    max_seeds: int = 4
    baseline_seeds: int = 2
    timeout_s: float = 3600.0
    memory_gb: float = 4.0
    disk_gb: float = 8.0
    processes: int = 256
    threads: int = 1
    gpus: int = 0
    seconds: float = 0.0
    """What a trial took where the ladder was made; 0 if not said. Only forecasts use it."""
    noise: float = 0.0
    """Seed noise of one run in nats of compute as measured there; 0 if not said. Likewise."""
    rules: Mapping[str, float] = field(default_factory=dict)
    """Numeric knob -> factor on its value here, whatever an arm sets it to."""

    def __post_init__(self) -> None:
        if self.max_seeds < self.seeds:
            raise InputError(
                f"rung {self.name}: max_seeds {self.max_seeds} is below seeds {self.seeds}; "
                "raise it"
            )


def check_placeholders(setting: Setting, rung: Rung) -> None:
    """Check that a rung can fill every placeholder of the setting's commands.

    Raises
    ------
    InputError
        Naming the placeholder that nothing fills.
    """
    known = OURS | rung.params.keys() | setting.knobs.keys()
    for name in ("command", "evaluator", "reads", "hides"):
        missing = placeholders(getattr(setting, name)) - known
        if missing:
            first = sorted(missing)[0]
            raise InputError(
                f"ladder.rungs.{rung.name}.params.{first}: missing, but setting.{name} needs "
                f"'{{{first}}}'; add it to the rung's params or to the setting's knobs"
            )
    for name in rung.rules:
        where = f"ladder.rungs.{rung.name}.rules.{name}"
        if name not in setting.knobs:
            raise InputError(f"{where}: no such knob; {nearest(name, setting.knobs)}")
        default = setting.knobs[name].default
        if not isinstance(default, float):
            raise InputError(
                f"{where}: the knob's default is {default!r}; a factor needs a number with a "
                "decimal point: write 1.0 for 1, or drop the rule"
            )


def decode_rung(name: str, node: Node) -> Rung:
    """Read one rung of a ladder's YAML."""
    scale = node.number("scale", above=0.0)
    seeds = node.whole("seeds", 2, least=1)
    rung = Rung(
        name=name,
        scale=scale,
        cost=node.number("cost", scale, above=0.0),
        params=node.scalars("params"),
        seeds=seeds,
        max_seeds=node.whole("max_seeds", max(seeds, 4), least=1),
        baseline_seeds=node.whole("baseline_seeds", 2, least=1),
        timeout_s=node.number("timeout_s", 3600.0, above=0.0),
        memory_gb=node.number("memory_gb", 4.0, above=0.0),
        disk_gb=node.number("disk_gb", 8.0, above=0.0),
        processes=node.whole("processes", 256, least=1),
        threads=node.whole("threads", 1, least=1),
        gpus=node.whole("gpus", 0),
        seconds=node.number("seconds", 0.0),
        noise=node.number("noise", 0.0),
        rules=_decode_rules(node.child("rules")),
    )
    node.finish()
    return rung


def _decode_rules(node: Node) -> dict[str, float]:
    found = {name: node.number(name, above=0.0) for name in node.names()}
    node.finish()
    return found


def scaled(knobs: Mapping[str, Scalar], rules: Mapping[str, float]) -> dict[str, Scalar]:
    """Return knob values as a rung runs them: those with a rule times its factor.

    >>> scaled({"lr": 0.1, "width": 8}, {"lr": 2.0})
    {'lr': 0.2, 'width': 8}
    """
    return {n: float(v) * rules[n] if n in rules else v for n, v in knobs.items()}


@dataclass(frozen=True)
class Tree:
    """A checkout to train in, and the digest of all that it holds."""

    path: Path
    digest: str
    knobs: Mapping[str, Scalar]


@dataclass(frozen=True)
class Edit:
    """What one change does to a tree, where several are put together."""

    arm: str
    patch: str
    knobs: Mapping[str, Scalar]


@dataclass(frozen=True)
class Stacked:
    """A tree with several edits, and those that did not go in: arm -> why."""

    tree: Tree
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Folders:
    """Where a study's trials and prepared data lie."""

    trials: Path
    cache: Path


def trial_spec(
    setting: Setting,
    rung: Rung,
    *,
    arm: str,
    seed: int,
    tree: Tree,
    data: Mapping[str, str],
    folders: Folders,
) -> TrialSpec:
    """Describe one trial completely.

    Its identity is the digest of content: setting, files and knobs, rung params and rules,
    threads, data digests and seed. Folder names, limits and the arm's label are not part of it.
    """
    identity = _identity(setting, rung, seed=seed, tree=tree, data=data)
    knobs = scaled(tree.knobs, rung.rules)
    values: dict[str, Scalar] = {
        **rung.params,
        "python": sys.executable,
        "tree": str(tree.path),
        "out": str(folders.trials / identity),
        "cache": str(folders.cache),
        "seed": seed,
        "threads": rung.threads,
    }
    return TrialSpec(
        identity=identity,
        arm=arm,
        rung=rung.name,
        seed=seed,
        trainer=render(setting.command, values, knobs=knobs),
        evaluator=render(setting.evaluator, values, knobs=knobs),
        tree=str(tree.path),
        out=str(folders.trials / identity),
        reading=setting.objective.reading,
        locked=setting.locked_digests,
        env=dict(setting.env),
        timeout_s=rung.timeout_s,
        memory_gb=rung.memory_gb,
        disk_gb=rung.disk_gb,
        processes=rung.processes,
        reads=render(setting.reads, values),
        hides=tuple(p for text in render(setting.hides, values) for p in hidden_paths(text)),
        threads=rung.threads,
        gpus=rung.gpus,
    )


def _identity(
    setting: Setting, rung: Rung, *, seed: int, tree: Tree, data: Mapping[str, str]
) -> str:
    content: dict[str, object] = {
        "setting": setting.content_digest,
        "tree": tree.digest,
        "params": dict(rung.params),
        "threads": rung.threads,
        "data": dict(data),
        "seed": seed,
    }
    if rung.rules:  # trials of rungs without rules keep the names they had
        content["rules"] = dict(rung.rules)
    return digest(content)
