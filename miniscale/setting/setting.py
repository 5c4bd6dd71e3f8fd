"""What is trained: command, knobs, objective, and which files may be edited."""

import hashlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from miniscale.setting.command import THEN, Flags, Seeding, placeholders
from miniscale.setting.decode import InputError, Key, Rows, WrittenAs, decode, nearest
from miniscale.setting.hides import PACKAGE
from miniscale.setting.records import encode_record
from miniscale.setting.trial import (
    MEASURED,
    MetricSource,
    Objective,
    ObjectiveKeys,
    Scalar,
    Transform,
    digest,
)
from miniscale.source.interpreter import find_interpreter
from miniscale.source.named_files import content_digest, named_files

CONFIG_GROUPS = ("setting", "ladder", "panel", "path", "schema")
"""Folders of a user's own configuration."""


class Kind(StrEnum):
    """How a change is expected to behave over scale; the strongest covariate of transfer."""

    STRUCTURAL = "structural"
    HYPERPARAMETER = "hyperparameter"


@dataclass(frozen=True)
class Knob:
    """One value of the command line that a change may set."""

    name: str
    default: Scalar
    kind: Kind = Kind.HYPERPARAMETER
    low: float | None = None
    high: float | None = None
    is_log: Annotated[bool, Key("log")] = False
    """Whether its values are compared by their ratio."""
    choices: tuple[Scalar, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.default, bool) and not self.choices:
            object.__setattr__(self, "choices", (True, False))
        self.check(self.default, where="default")

    def check(self, value: object, *, where: str) -> Scalar:
        """Return the value in the knob's own type.

        Raises
        ------
        InputError
            If the value is none of the choices, outside the range or of another type.
        """
        if self.choices and (set(self.choices) != {True, False} or isinstance(value, bool)):
            for choice in self.choices:
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return choice
            raise InputError(f"{where}: got {value!r}, must be one of {list(self.choices)}")
        if isinstance(self.default, bool) or isinstance(value, bool):
            if isinstance(self.default, bool) and isinstance(value, bool):
                return value
            raise InputError(f"{where}: got {value!r}, must be of the kind of {self.default!r}")
        if isinstance(self.default, str):
            return str(value)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{where}: got {value!r}, must be a finite number")
        if (self.low is not None and value < self.low) or (
            self.high is not None and value > self.high
        ):
            raise InputError(f"{where}: got {value}, must lie in [{self.low}, {self.high}]")
        return value if isinstance(self.default, float) else _whole(value, where)


def _whole(value: float, where: str) -> int:
    if not float(value).is_integer():
        raise InputError(f"{where}: got {value}, must be a whole number")
    return int(value)


class TreeKind(StrEnum):
    """Which files of the source a trial's tree holds."""

    CHECKOUT = "checkout"
    """All that git tracks there or, without git, all that is no cache and not ignored."""
    NAMED = "named"
    """The editable and the locked ones."""


class BoxNeed(StrEnum):
    """Whether trials may run only where a box holds."""

    REQUIRE = "require"
    PREFER = "prefer"


@dataclass(frozen=True)
class Setting:
    """A training that can be run at several sizes."""

    name: str
    source: Path
    """``package:NAME``, or a folder; a decoded setting has the folder that was found."""
    command: Annotated[tuple[str, ...], Rows(THEN)]
    """The argv that trains, or a list of several in a row; ``{name}`` is a param, knob or ours."""
    objective: Annotated[Objective, WrittenAs(ObjectiveKeys)]
    about: str = ""
    python: str = ""
    """The trials' own ``{python}``: a path seen from the source, or what runs one (``uv run``)."""
    setup: tuple[str, ...] = ()
    """The argv that is run in the source before trials: installs, downloads, fills ``{cache}``."""
    prepare: tuple[str, ...] = ()
    """The same for a program that prints the digests of what it made, as a line of JSON."""
    evaluator: tuple[str, ...] = ()
    """The argv that makes the number after the trainer; without it the trainer's word is taken."""
    editable: tuple[str, ...] = ()
    """Files of the source that a change may edit, by pattern; all others are locked."""
    locked: tuple[str, ...] = ()
    """Files that no change may touch though they match ``editable``, by pattern."""
    tree: TreeKind | None = None
    """Absent: the checkout for a folder, what is named for a package."""
    ignored: tuple[str, ...] = ()
    """Files of the source that are left out of the tree, by pattern."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of the trainer and evaluator, with placeholders."""
    flags: Flags = field(default_factory=Flags)
    """How ``{knobs}`` is written out."""
    constants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Source file -> place -> value with placeholders: ``{train.py: {DEPTH: "{depth}"}}``."""
    seeding: Seeding = Seeding.NONE
    """``auto`` seeds random, numpy and torch of every Python before the program starts."""
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    design: Mapping[str, Any] = field(default_factory=dict)
    """How it may be made smaller, as its YAML says; no part of what makes results comparable."""
    reads: tuple[str, ...] = ("{cache}",)
    """What a trainer may read beside its tree and the interpreter; not the held-out data."""
    hides: tuple[str, ...] = ()
    """What no code of a trial may see though it lies among the programs that every box shows."""
    box: BoxNeed = BoxNeed.PREFER
    keep: tuple[str, ...] = ()
    """Files of a trial that stay after it was read, by pattern; absent: all up to a megabyte."""
    metrics: Mapping[str, MetricSource] = field(default_factory=dict)
    """Other numbers of a trial, by name; a constraint may be set on each."""
    constraints: Mapping[str, str] = field(default_factory=dict)
    """What a change must keep: number -> ``<= 1.1x`` the baseline's, ``>= -0.002``, ``== 1``."""
    deterministic: bool = False
    """Whether no seed changes the number: then an arm is run once on a rung."""

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name in MEASURED:
                raise InputError(f"metrics.{name}: is measured for every trial; take another name")
        for text in self.hides:
            name = text.partition(":")[2].partition("/")[0] if text.startswith(PACKAGE) else "a"
            if not text or not all(part.isidentifier() for part in name.split(".")):
                raise InputError(
                    f"hides: got {text!r}, must be a path or '{PACKAGE}NAME/PATH' with the dotted "
                    "name of a package; correct it"
                )

    @property
    def is_box_required(self) -> bool:
        """Whether trials may run only where a box holds."""
        return self.box is BoxNeed.REQUIRE

    @property
    def is_measured_outside(self) -> bool:
        """Whether an evaluator makes the number; if not, the trainer's own word is taken."""
        return bool(self.evaluator)

    @property
    def reads_all(self) -> bool:
        """Whether a trainer may read all that was prepared, for nothing else was said."""
        return "{cache}" in self.reads

    def defaults(self) -> dict[str, Scalar]:
        """Return every knob's default."""
        return {name: knob.default for name, knob in self.knobs.items()}

    def check_knobs(self, values: Mapping[str, object], *, where: str) -> dict[str, Scalar]:
        """Return knob values in their own types.

        Raises
        ------
        InputError
            For an unknown knob (the nearest is named) or a value it does not take.
        """
        checked = {}
        for name, value in values.items():
            if name not in self.knobs:
                raise InputError(f"{where}.{name}: no such knob; {nearest(name, self.knobs)}")
            checked[name] = self.knobs[name].check(value, where=f"{where}.{name}")
        return checked

    def content(self) -> dict[str, Any]:
        """Return what makes results comparable: two settings with equal content are one."""
        content: dict[str, Any] = {
            "command": list(self.command),
            "evaluator": list(self.evaluator),
            "objective": self._objective_content(),
            "env": dict(self.env),
            "knobs": {name: knob.default for name, knob in sorted(self.knobs.items())},
            "locked": self.locked_digests,
            **self._new_content(),
        }
        # trials of settings that say no more than the first ones could keep the names they had
        if not self.objective.reading.is_of_old:
            content["reading"] = encode_record(self.objective.reading)
        if self.metrics:
            content["metrics"] = {n: encode_record(m) for n, m in sorted(self.metrics.items())}
        return content

    def _new_content(self) -> dict[str, Any]:
        """Return what is said only where it is used, so that other settings keep their names."""
        ways = {
            "flags": [self.flags.style, self.flags.bools] if self.flags != Flags() else None,
            "constants": {name: dict(places) for name, places in self.constants.items()},
            "seeding": self.seeding if self.seeding is not Seeding.NONE else None,
            "python": self.python,
            "programs": {str(p): content_digest(p) for p in self.named_files},
        }
        return {name: way for name, way in ways.items() if way}

    @property
    def named_files(self) -> tuple[Path, ...]:
        """Wrappers and evaluators that lie beside the source."""
        return named_files((*self.command, *self.evaluator), self.source)

    @property
    def placed(self) -> frozenset[str]:
        """What reaches the program by its environment or its source, by name."""
        texts = [t for places in self.constants.values() for t in places.values()]
        return placeholders([*self.env.values(), *texts])

    def _objective_content(self) -> list[str | bool]:
        """Return name and direction, and the transform where there is one."""
        named: list[str | bool] = [self.objective.name, self.objective.is_minimized]
        is_plain = self.objective.transform is Transform.NONE
        return named if is_plain else [*named, str(self.objective.transform)]

    @cached_property
    def content_digest(self) -> str:
        """Hash of :meth:`content`."""
        return digest(self.content())

    @cached_property
    def locked_digests(self) -> dict[str, str]:
        """Return SHA-256 by name of the files that no change may touch."""
        return {
            name: hashlib.sha256((self.source / name).read_bytes()).hexdigest()
            for name in files_matching(self.source, self.locked)
            if not (self.source / name).is_symlink()
        }


def files_matching(source: Path, patterns: Sequence[str]) -> list[str]:
    """Return the files and links that patterns name, in their order; hidden ones only by name."""
    names: dict[str, None] = {}
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            name = path.relative_to(source).as_posix()
            is_hidden = any(part.startswith(".") for part in name.split("/"))
            if (path.is_symlink() or path.is_file()) and (name == pattern or not is_hidden):
                names[name] = None
    return list(names)


def find_source(text: str, roots: Sequence[Path], *, path: str) -> Path:
    """Find a setting's folder: ``package:a.b`` inside a package, else relative to the roots.

    Raises
    ------
    InputError
        If there is no such package or folder.
    """
    if text.startswith("package:"):
        name = text.removeprefix("package:")
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise InputError(
                f"{path}: package '{name}' is not installed; install it or name a folder"
            )
        return Path(next(iter(spec.submodule_search_locations)))
    candidates = [root / Path(text).expanduser() for root in roots]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    tried = ", ".join(str(candidate) for candidate in candidates)
    raise InputError(f"{path}: folder '{text}' not found (tried {tried}); give an existing folder")


def decode_setting(data: object, path: str, *, roots: Sequence[Path]) -> Setting:
    """Read a setting's YAML.

    Parameters
    ----------
    data
        Plain data under the key ``path``.
    roots
        Folders that a relative ``source`` is looked up in, in order.

    Raises
    ------
    InputError
        On the first thing that is wrong, with its path.
    """
    return with_source(decode(Setting, data, path), path, roots=roots)


def with_source(setting: Setting, path: str, *, roots: Sequence[Path]) -> Setting:
    """Return a setting with its folder found, and its files in it.

    Raises
    ------
    InputError
        If there is no such folder, no command, or a named file is not there.
    """
    source = find_source(str(setting.source), roots, path=f"{path}.source")
    if not setting.command:
        raise InputError(f"{path}.command: missing; give the argv that trains, as a list")
    if setting.python:
        try:
            find_interpreter(setting.python, source)
        except ValueError as error:
            raise InputError(f"{path}.{error}") from None
    for pattern in (*setting.editable, *setting.locked):
        if not any(source.glob(pattern)):
            raise InputError(f"{path}: no file '{pattern}' in {source}; correct the name")
    for name in setting.constants:
        if not (source / name).is_file():
            raise InputError(f"{path}.constants: no file '{name}' in {source}; correct the name")
    is_package = str(setting.source).startswith(PACKAGE)
    return replace(
        setting,
        source=source,
        tree=setting.tree or (TreeKind.NAMED if is_package else TreeKind.CHECKOUT),
        ignored=(*setting.ignored, *_our_files(source, roots)),
    )


def _our_files(source: Path, roots: Sequence[Path]) -> list[str]:
    """Return patterns of the configuration that lies in the source: no program reads it."""
    inside = [root.resolve() for root in roots if root.resolve().is_relative_to(source)]
    return [
        (folder / group / "**").relative_to(source).as_posix()
        for folder in inside
        for group in CONFIG_GROUPS
        if any((folder / group).glob("*.yaml")) or any((folder / group).glob("*.json"))
    ]
