"""The ladder: ordered sizes of one setting, and the target beyond them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from miniscale.setting.decode import InputError, Key, PartsOf, Positive, decode
from miniscale.setting.rung import Rung, check_placeholders, decode_rungs
from miniscale.setting.setting import Setting, with_source
from miniscale.setting.trial import digest
from transfer.change import Change, PanelKeys
from transfer.constraint import Constraint, parse_constraints

ON_DATA = ("repet", "repeat", "epoch", "tokens per param", "tokens a param", "tokens/param")
"""Words by which a declared difference bears on data."""


@dataclass(frozen=True)
class PriorLaw:
    """The baseline's law as measured when the ladder was made; used before there are runs."""

    floor: Annotated[float, Key("E")]
    exponent: Annotated[Positive, Key("alpha")]


@dataclass(frozen=True)
class ScaleKeys:
    """What the ladder's sizes are counted in."""

    name: str = "compute"
    unit: str = "units"


@dataclass(frozen=True)
class TargetKeys:
    """The scale that is never run."""

    scale: Positive
    name: str = "target"


@dataclass(frozen=True)
class BudgetKeys:
    """Default budget of a study."""

    compute: Positive | None = None
    """In the ladder's unit; absent: 40 trials of every rung."""
    changes: int | None = None
    """Read by ``conf/config.yaml``."""


@dataclass(frozen=True)
class LadderKeys:
    """A ladder as it is written in ``conf/ladder/``."""

    name: str
    setting: Setting
    """Comes with ``- /setting: NAME`` in the defaults."""
    target: TargetKeys
    about: str = ""
    scale: ScaleKeys = field(default_factory=ScaleKeys)
    rung_defaults: Annotated[Mapping[str, Any], PartsOf(Rung)] = field(default_factory=dict)
    """Holds for every rung and held-out size that does not say otherwise."""
    rungs: Mapping[str, Rung] = field(default_factory=dict)
    """From small to large; three or more can certify."""
    holdout: Mapping[str, Rung] = field(default_factory=dict)
    """Sizes that no study runs: for audits, designs and trials by hand."""
    budget: BudgetKeys = field(default_factory=BudgetKeys)
    law: PriorLaw | None = None
    """The baseline's law as measured: loss = E + A scale^-alpha."""
    panel: PanelKeys = field(default_factory=PanelKeys)
    """Comes with ``- /panel: NAME`` in the defaults."""
    matches: tuple[str, ...] = ()
    """What every rung shares with the target, in words."""
    unmatched: tuple[str, ...] = ()
    """What it does not share."""
    constraints: Mapping[str, str] = field(default_factory=dict)
    """What a change must keep, beside the setting's own: number -> ``<= 1.1x``, ``== 1``."""
    design: Mapping[str, Any] = field(default_factory=dict)
    """What ``transfer design`` found of it; written by it."""


@dataclass(frozen=True)
class Ladder:
    """Ordered rungs of one setting, and the scale that is never run."""

    name: str
    about: str
    setting: Setting
    rungs: tuple[Rung, ...]
    target_name: str
    target: float
    scale_name: str
    unit: str
    budget: float
    """Default budget of a study in the ladder's unit."""
    panel: tuple[Change, ...]
    prior: PriorLaw | None = None
    matches: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    design: Mapping[str, Any] = field(default_factory=dict)
    """What `transfer design` found of it, where it was designed; no part of its content."""
    holdout: Mapping[str, Rung] = field(default_factory=dict)
    """Sizes that no study runs; no part of its content."""
    constraints: tuple[Constraint, ...] = ()
    """What a change must keep beside its gain."""

    @property
    def unmatched_data(self) -> str:
        """What of the data its rungs do not share with the target, as declared; empty if nothing.

        How often data repeat, or how many tokens there are a parameter: where those differ, what
        gains on the rungs may lose at the target, and no run on them can show it.
        """
        on_data = (text for text in self.unmatched if any(word in text.lower() for word in ON_DATA))
        return next(on_data, "")

    def rung(self, name: str) -> Rung:
        """Return a rung by name."""
        return self.rungs[self.index(name)]

    def index(self, name: str) -> int:
        """Return a rung's place, 0 for the lowest."""
        for index, rung in enumerate(self.rungs):
            if rung.name == name:
                return index
        raise InputError(f"rung '{name}': not on ladder {self.name}; it has {self.names}")

    @property
    def names(self) -> str:
        """Rung names from low to high, as a person reads them."""
        return " → ".join(rung.name for rung in self.rungs)

    def position(self, scale: float) -> float:
        """Return x = ln(scale / lowest rung's scale), in nats of compute."""
        return math.log(scale / self.rungs[0].scale)

    def content(self) -> dict[str, Any]:
        """Return what makes two studies comparable."""
        content: dict[str, Any] = {
            "setting": self.setting.content(),
            "rungs": {rung.name: _content(rung) for rung in self.rungs},
            "target": self.target,
        }
        if self.constraints:
            content["constraints"] = sorted(each.words for each in self.constraints)
        return content

    @property
    def digest(self) -> str:
        """Hash of :meth:`content`."""
        return digest(self.content())

    def warnings(self) -> list[str]:
        """Say what this ladder cannot do, one line each."""
        warnings = []
        if len(self.rungs) < 3:
            warnings.append(
                f"ladder {self.name} has {len(self.rungs)} rung(s): no change can be certified "
                "with fewer than three, accepts are provisional; add rungs"
            )
        if not self.setting.is_measured_outside:
            warnings.append(
                f"setting {self.setting.name} has no evaluator: its trainer reports its own "
                f"{self.setting.objective.name}, which a hostile change could forge"
            )
        if self.setting.prepare and self.setting.is_measured_outside and self.setting.reads_all:
            warnings.append(
                f"setting {self.setting.name} names no 'reads': a boxed trainer can read all of "
                '{cache}, held-out data too if it lies there; add reads: ["{cache}/train"]'
            )
        return warnings


def _content(rung: Rung) -> dict[str, Any]:
    content: dict[str, Any] = {"scale": rung.scale, "params": dict(rung.params)}
    return {**content, "rules": dict(rung.rules)} if rung.rules else content


def decode_ladder(data: Mapping[str, Any], *, roots: Sequence[Path]) -> Ladder:
    """Read a composed ladder.

    Parameters
    ----------
    data
        Plain data under the configuration's key ``ladder``.
    roots
        Folders that relative paths are looked up in, in order.

    Raises
    ------
    InputError
        On the first thing that is wrong, with its path, the rule and the next step.
    """
    if not data.get("setting"):
        raise InputError("ladder.setting: missing; add '- /setting: NAME' to the ladder's defaults")
    rungs, holdout = decode_rungs(data), decode_rungs(data, "holdout")
    keys = decode(LadderKeys, {**data, "rungs": None, "holdout": None}, "ladder")
    setting = with_source(keys.setting, "ladder.setting", roots=roots)
    _check_order(tuple(rungs.values()), keys.target)
    for rung in rungs.values():
        check_placeholders(setting, rung)
    return Ladder(
        name=keys.name,
        about=keys.about,
        setting=setting,
        rungs=tuple(rungs.values()),
        target_name=keys.target.name,
        target=keys.target.scale,
        scale_name=keys.scale.name,
        unit=keys.scale.unit,
        budget=keys.budget.compute or 40 * sum(rung.cost for rung in rungs.values()),
        panel=tuple(keys.panel.build(setting, roots, path="ladder.panel").values()),
        prior=keys.law,
        matches=keys.matches,
        unmatched=keys.unmatched,
        design=keys.design,
        holdout=holdout,
        constraints=_constraints(setting, keys),
    )


def _constraints(setting: Setting, keys: LadderKeys) -> tuple[Constraint, ...]:
    """Return the setting's constraints and the ladder's, which has the last word on a number."""
    both = {
        each.name: each
        for path, written in (
            ("ladder.setting.constraints", setting.constraints),
            ("ladder.constraints", keys.constraints),
        )
        for each in parse_constraints(written, path=path)
    }
    return tuple(both.values())


def _check_order(rungs: Sequence[Rung], target: TargetKeys) -> None:
    """Check that rungs go up, and the target does not lie below them."""
    if not rungs:
        raise InputError(
            "ladder.rungs: got none, a ladder needs at least one (three to certify); "
            "add 'rungs: {small: {scale: …, params: {…}}, …}'"
        )
    for lower, upper in pairwise(rungs):
        if upper.scale <= lower.scale:
            raise InputError(
                f"ladder.rungs.{upper.name}.scale: got {upper.scale:g}, must be above "
                f"{lower.name}'s {lower.scale:g}; order rungs from small to large"
            )
    if target.scale < rungs[-1].scale:
        raise InputError(
            f"ladder.target.scale: got {target.scale:g}, must not be below the top rung "
            f"{rungs[-1].name}'s {rungs[-1].scale:g}; raise the target or drop the rung"
        )


def panel_digest(ladder: Ladder) -> str:
    """Return the digest of a panel's changes, null changes left out."""
    return digest(sorted(c.content_digest("") for c in ladder.panel if not c.is_control))


def design_line(ladder: Ladder) -> str:
    """Say in a line what the design of a ladder found; empty for one that was made by hand.

    It is stale when the setting or the panel is not what it was designed with.
    """
    known = ladder.design
    if not known:
        return ""
    stale = [
        f"the {part} has changed"
        for part, now in (
            ("setting", ladder.setting.content_digest),
            ("panel", panel_digest(ladder)),
        )
        if known.get(part) != now
    ]
    line = str(known.get("line", ""))
    if stale:
        return f"stale, {' and '.join(stale)} since: design again ({line})"
    return f"{line}, by {known.get('n')} known changes"
