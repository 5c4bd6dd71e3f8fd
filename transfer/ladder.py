"""The ladder: ordered sizes of one setting, and the target beyond them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from miniscale.setting.decode import InputError, Node
from miniscale.setting.rung import Rung, check_placeholders, decode_rung
from miniscale.setting.setting import Setting, decode_setting
from miniscale.setting.trial import digest
from transfer.change import Change, decode_change

ON_DATA = ("repet", "repeat", "epoch", "tokens per param", "tokens a param", "tokens/param")
"""Words by which a declared difference bears on data."""


@dataclass(frozen=True)
class PriorLaw:
    """The baseline's law as measured when the ladder was made; used before there are runs."""

    floor: float
    exponent: float


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

    @property
    def unmatched_data(self) -> str:
        """What of the data its rungs do not share with the target, as declared; empty if nothing.

        How often data repeat, or how many tokens there are a parameter: where those differ, what
        gains on the rungs may lose at the target, and no run on them can show it.
        """
        said = (text for text in self.unmatched if any(word in text.lower() for word in ON_DATA))
        return next(said, "")

    def rung(self, name: str) -> Rung:
        """Return a rung by name."""
        return self.rungs[self.index(name)]

    def index(self, name: str) -> int:
        """Return a rung's place, 0 for the lowest."""
        for place, rung in enumerate(self.rungs):
            if rung.name == name:
                return place
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
        return {
            "setting": self.setting.content(),
            "rungs": {rung.name: _content(rung) for rung in self.rungs},
            "target": self.target,
        }

    @property
    def digest(self) -> str:
        """Hash of :meth:`content`."""
        return digest(self.content())

    def warnings(self) -> list[str]:
        """Say what this ladder cannot do, one line each."""
        said = []
        if len(self.rungs) < 3:
            said.append(
                f"ladder {self.name} has {len(self.rungs)} rung(s): no change can be certified "
                "with fewer than three, accepts are provisional; add rungs"
            )
        if not self.setting.is_measured_outside:
            said.append(
                f"setting {self.setting.name} has no evaluator: its trainer reports its own "
                f"{self.setting.objective.name}, which a hostile change could forge"
            )
        if self.setting.prepare and self.setting.is_measured_outside and self.setting.reads_all:
            said.append(
                f"setting {self.setting.name} names no 'reads': a boxed trainer can read all of "
                '{cache}, held-out data too if it lies there; add reads: ["{cache}/train"]'
            )
        return said


def _content(rung: Rung) -> dict[str, Any]:
    content: dict[str, Any] = {"scale": rung.scale, "params": dict(rung.params)}
    return {**content, "rules": dict(rung.rules)} if rung.rules else content


def _decode_rungs(node: Node) -> tuple[Rung, ...]:
    rungs = [decode_rung(name, child) for name, child in node.children("rungs")]
    if not rungs:
        raise InputError(
            f"{node.path}.rungs: got none, a ladder needs at least one (three to certify); "
            "add 'rungs: {small: {scale: …, params: {…}}, …}'"
        )
    for lower, upper in pairwise(rungs):
        if upper.scale <= lower.scale:
            raise InputError(
                f"{node.path}.rungs.{upper.name}.scale: got {upper.scale:g}, must be above "
                f"{lower.name}'s {lower.scale:g}; order rungs from small to large"
            )
    return tuple(rungs)


def _decode_prior(node: Node) -> PriorLaw | None:
    if "law" not in node:
        node.raw("law")
        return None
    law = node.child("law")
    prior = PriorLaw(law.number("E"), law.number("alpha", above=0.0))
    law.finish()
    return prior


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
    node = Node(data, "ladder")
    if "setting" not in node:
        raise InputError("ladder.setting: missing; add '- /setting: NAME' to the ladder's defaults")
    setting = decode_setting(node.child("setting"), roots=roots)
    rungs = _decode_rungs(node)
    for rung in rungs:
        check_placeholders(setting, rung)
    scale, budget = node.child("scale"), node.child("budget")
    target_name, target = _decode_target(node.child("target"), rungs[-1])
    ladder = Ladder(
        name=node.text("name"),
        about=node.text("about", ""),
        setting=setting,
        rungs=rungs,
        target_name=target_name,
        target=target,
        scale_name=scale.text("name", "compute"),
        unit=scale.text("unit", "units"),
        budget=budget.number("compute", 40 * sum(rung.cost for rung in rungs), above=0.0),
        panel=_decode_panel(node.child("panel"), setting, roots),
        prior=_decode_prior(node),
        matches=node.texts("matches"),
        unmatched=node.texts("unmatched"),
        design=node.raw("design", {}),
    )
    node.raw("holdout")  # sizes that no study runs; read by entry points that do
    budget.raw("changes")  # a default of the study, read by conf/config.yaml
    for part in (scale, budget, node):
        part.finish()
    return ladder


def _decode_target(node: Node, top: Rung) -> tuple[str, float]:
    name, scale = node.text("name", "target"), node.number("scale", above=0.0)
    node.finish()
    if scale < top.scale:
        raise InputError(
            f"ladder.target.scale: got {scale:g}, must not be below the top rung {top.name}'s "
            f"{top.scale:g}; raise the target or drop the rung"
        )
    return name, scale


def _decode_panel(node: Node, setting: Setting, roots: Sequence[Path]) -> tuple[Change, ...]:
    panel = tuple(
        decode_change(name, child, setting=setting, roots=roots)
        for name, child in node.children("changes")
    )
    node.finish()
    return panel


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
