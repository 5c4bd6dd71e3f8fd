"""One size of a setting, and the trial specs that come from it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from miniscale.setting.command import Seeding, in_a_row, placeholders, render
from miniscale.setting.decode import (
    Count,
    InputError,
    Positive,
    Whole,
    as_mapping,
    decode,
    keys_of,
    nearest,
)
from miniscale.setting.hides import hidden_paths
from miniscale.setting.setting import Setting
from miniscale.setting.trial import Scalar, TrialSpec, digest
from miniscale.source.constants import (
    as_literal,
    carried,
    read_constants,
    set_constants,
)
from miniscale.source.interpreter import Interpreter, find_interpreter
from miniscale.source.literals import Value
from miniscale.source.named_files import named_files

OURS = frozenset({"python", "tree", "out", "cache", "seed", "threads", "knobs", "shared",
                  "source"})  # fmt: skip
"""Placeholders that the harness fills; the rest are rung params and knobs."""
SEEDING = Path(__file__).resolve().parents[1] / "run" / "seeding"
"""On the path of a trial's Pythons where we seed them."""


@dataclass(frozen=True)
class Rung:
    """One size: what it costs, how often it is run and what a trial may use.

    ``scale`` is the x of every law, in the ladder's unit.
    """

    name: str
    scale: Positive
    cost: float = 0.0
    """What one trial takes from the budget in the ladder's unit; 0 or absent: its scale."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    seeds: Count = 2
    max_seeds: Whole = 0
    """0 or absent: four, or as many as ``seeds``."""
    baseline_seeds: Count = 2
    timeout_s: Positive = 3600.0
    memory_gb: Positive = 4.0
    disk_gb: Positive = 8.0
    processes: Count = 256
    threads: Count = 1
    gpus: Whole = 0
    seconds: float = 0.0
    """What a trial took where the ladder was made; 0 if not said. Only forecasts use it."""
    noise: float = 0.0
    """Seed noise of one run in nats of compute as measured there; 0 if not said. Likewise."""
    rules: Mapping[str, Positive] = field(default_factory=dict)
    """Numeric knob -> factor on its value here, whatever an arm sets it to."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables beside the setting's, with placeholders."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", self.cost or self.scale)
        object.__setattr__(self, "max_seeds", self.max_seeds or max(self.seeds, 4))
        if self.cost <= 0:
            raise InputError(f"cost: got {self.cost:g}, must be above 0; leave it out or raise it")
        if self.max_seeds < self.seeds:
            raise InputError(
                f"max_seeds: got {self.max_seeds}, is below seeds {self.seeds}; raise it"
            )


def check_placeholders(setting: Setting, rung: Rung) -> None:
    """Check that a rung can fill every placeholder of the setting's commands.

    Raises
    ------
    InputError
        Naming the placeholder that nothing fills.
    """
    known = OURS | rung.params.keys() | setting.knobs.keys()
    texts = {name: getattr(setting, name) for name in ("command", "evaluator", "reads", "hides")}
    texts |= {"env": (*setting.env.values(), *rung.env.values())}
    texts |= {f"constants.{n}": tuple(places.values()) for n, places in setting.constants.items()}
    for name, templates in texts.items():
        try:
            missing = placeholders(templates) - known
        except ValueError as error:
            raise InputError(f"setting.{name}: {error}") from None
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


def decode_rungs(ladder: Mapping[str, Any], key: str = "rungs") -> dict[str, Rung]:
    """Read the rungs of a composed ladder by name, or its ``holdout`` sizes.

    What ``rung_defaults`` says holds for each of them that does not say otherwise; mappings such
    as ``params`` are merged.

    Raises
    ------
    InputError
        On the first thing that is wrong, with its path.
    """
    path = f"ladder.{key}"
    shared = as_mapping(ladder.get("rung_defaults") or {}, "ladder.rung_defaults")
    for name in shared:
        if name not in keys_of(Rung) or name == "name":
            hint = nearest(name, keys_of(Rung))
            raise InputError(f"ladder.rung_defaults.{name}: unknown key; {hint}")
    return {
        name: decode(Rung, _merged(shared, as_mapping(own, f"{path}.{name}")), f"{path}.{name}",
                     name=name)
        for name, own in as_mapping(ladder.get(key) or {}, path).items()
    }  # fmt: skip


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: {**shared[key], **own[key]} for key in shared.keys() & own.keys()
            if isinstance(shared[key], Mapping) and isinstance(own[key], Mapping)}  # fmt: skip
    return {**shared, **own, **both}


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
    constants: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """What stood at a place of a source when the study began: what edits are measured against."""


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

    def shared(self, content: Mapping[str, object]) -> Path:
        """Return the folder that trials of one arm and rung share; no other arm sees it."""
        return self.trials.parent / "shared" / digest(content)


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
    threads, data digests and seed. Folder names, but of those that a constant is set to, limits
    and the arm's label are not part of it.
    """
    knobs = scaled(tree.knobs, rung.rules)
    ours: dict[str, Scalar] = {"seed": seed, "threads": rung.threads, "cache": str(folders.cache)}
    values = {**rung.params, **ours, "source": str(setting.source)}
    constants = _constants(setting, values, knobs, tree=tree)
    shared = _content(setting, rung, tree=tree, data=data)
    own = {"seed": seed, "constants": constants} if constants else {"seed": seed}
    identity = digest({**shared, **own})
    out = str(folders.trials / identity)
    values |= {
        "python": _interpreter(setting).path,
        "tree": f"{out}.tree" if constants else str(tree.path),
        "out": out,
        "shared": str(folders.shared(shared)),
    }
    spec = TrialSpec(
        identity=identity,
        arm=arm,
        rung=rung.name,
        seed=seed,
        **_programs(setting, rung, values, knobs),
        tree=str(values["tree"]),
        out=out,
        reading=setting.objective.reading,
        bounds=setting.objective.bounds,
        extra_readings=setting.metrics,
        locked=setting.locked_digests,
        timeout_s=rung.timeout_s,
        memory_gb=rung.memory_gb,
        disk_gb=rung.disk_gb,
        processes=rung.processes,
        threads=rung.threads,
        gpus=rung.gpus,
    )
    return _with_constants(spec, tree, constants) if constants else spec


def _programs(
    setting: Setting, rung: Rung, values: Mapping[str, Scalar], knobs: Mapping[str, Scalar]
) -> dict[str, Any]:
    """Return the fields of a trial that say what is run, what it may see and leave.

    Parameters
    ----------
    values
        What the rung and the harness say.
    knobs
        What the arm says.
    """
    env = {**setting.env, **rung.env}
    placed = setting.placed | placeholders(tuple(rung.env.values()))
    fill = partial(render, values=values, knobs=knobs, flags=setting.flags)
    used = placeholders((*setting.command, *setting.evaluator, *env.values()))
    filled = {name: fill((text,))[0] for name, text in env.items()}
    if setting.python and "PATH" not in filled:
        folder = _interpreter(setting).folder
        filled["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    if setting.seeding is Seeding.AUTO:
        path = [str(SEEDING), *filter(None, [filled.get("PYTHONPATH")])]
        filled |= {"PYTHONPATH": os.pathsep.join(path), "MINISCALE_SEED": str(values["seed"])}
    return {
        "trainer": in_a_row(fill(setting.command, placed=placed)),
        "evaluator": in_a_row(fill(setting.evaluator)),
        "env": filled,
        "shared": str(values["shared"]) if "shared" in used else "",
        "hides": tuple(p for text in fill(setting.hides) for p in hidden_paths(text)),
        "keep": setting.keep,
        "reads": (*fill(setting.reads), *_interpreter(setting).reads, *_files(setting)),
    }


def _interpreter(setting: Setting) -> Interpreter:
    """Return the Python of a trial; ours is shown by every box."""
    if not setting.python:
        return Interpreter(sys.executable, ())
    return find_interpreter(setting.python, setting.source)


def _files(setting: Setting) -> tuple[str, ...]:
    """Return the wrappers that a trainer may read, but no evaluator."""
    return tuple(str(path) for path in named_files(setting.command, setting.source))


def _content(
    setting: Setting, rung: Rung, *, tree: Tree, data: Mapping[str, str]
) -> dict[str, object]:
    """Return all that a trial's result depends on but the seed."""
    content: dict[str, object] = {
        "setting": setting.content_digest,
        "tree": tree.digest,
        "params": dict(rung.params),
        "threads": rung.threads,
        "data": dict(data),
    }
    # trials of rungs without these keep the names they had
    content |= {"rules": dict(rung.rules)} if rung.rules else {}
    return content | ({"env": dict(rung.env)} if rung.env else {})


def _constants(
    setting: Setting, values: Mapping[str, Scalar], knobs: Mapping[str, Scalar], *, tree: Tree
) -> dict[str, dict[str, Value]]:
    """Return what stands at each place of a trial's sources: the rung's value, an edit's factor."""
    constants: dict[str, dict[str, Value]] = {}
    for name, places in setting.constants.items():
        now = read_constants(name, (tree.path / name).read_bytes(), places)
        first = tree.constants.get(name, {})
        for place, template in places.items():
            wanted = as_literal(render((template,), values, knobs=knobs)[0])
            value = carried(wanted, first=first.get(place, now[place].value), now=now[place].value)
            constants.setdefault(name, {})[place] = value
    return constants


def _with_constants(
    spec: TrialSpec, tree: Tree, constants: Mapping[str, Mapping[str, Value]]
) -> TrialSpec:
    """Give a trial a copy of its tree, with constants set in it."""
    contents = {
        name: set_constants(name, (tree.path / name).read_bytes(), places)
        for name, places in constants.items()
    }
    return replace(
        spec,
        base_tree=str(tree.path),
        rewritten={n: text.decode("utf-8", "surrogateescape") for n, text in contents.items()},
        locked={**spec.locked, **{n: sha256(text).hexdigest() for n, text in contents.items()}},
    )
