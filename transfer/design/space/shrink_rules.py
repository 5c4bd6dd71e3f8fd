"""Ways to shrink a setting, as plain rules, and the sizes that come of them."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from miniscale.setting.decode import InputError, Key, decode, nearest
from miniscale.setting.trial import Scalar
from transfer.design.space.shrink_dials import Dial, DialRole, Shrinkable

MATCHED = "matched"
FINENESS = 400
"""Shrink factors tried between the expensive form and the lowest, evenly by their logarithm."""


@dataclass(frozen=True)
class Path:
    """A way to shrink: how each dial goes with the shrink factor s, 1 being the expensive form.

    shrink
        By a dial's name or its role: a power of s, or ``matched``: data keeps data a parameter,
        a pool keeps epochs. What is absent stays as in the expensive form.
    knobs
        Values that are set on this path only.
    uses_rules
        Whether the rules found for optimizer knobs are applied.
    declares
        What it leaves unmatched beyond what its dials show, topic -> how.
    """

    name: str
    shrink: Mapping[str, float | str]
    about: str = ""
    knobs: Mapping[str, Scalar] = field(default_factory=dict)
    uses_rules: Annotated[bool, Key("rules")] = True
    declares: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, how in self.shrink.items():
            _check_power(key, how)

    def rule_for(self, dial: Dial) -> float | str:
        """Return how a dial goes with s; its own name counts before its role."""
        return self.shrink.get(dial.name, self.shrink.get(str(dial.role), 0.0))


@dataclass(frozen=True)
class CellSize:
    """One size on a path: shrink factor and value of every dial."""

    s: float
    dials: Mapping[str, float]


def decode_path(name: str, data: Mapping[str, Any]) -> Path:
    """Read one path's YAML.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    path = decode(Path, {"name": name, **data}, f"path.{name}")
    if not any(isinstance(how, float) and how for how in path.shrink.values()):
        raise InputError(
            f"path.{name}.shrink: nothing shrinks; give a role or a dial a power of the shrink "
            "factor: 'shrink: {scale: 1, data: matched}'"
        )
    return path


def _check_power(key: str, how: float | str) -> None:
    """Check how a dial or role goes with the shrink factor."""
    if how == MATCHED and key not in (DialRole.SCALE, DialRole.SCHEDULE, DialRole.FIDELITY):
        return
    if isinstance(how, str) or how < 0:
        raise InputError(
            f"shrink.{key}: got {how!r}, must be a power of the shrink factor of 0 or more"
            " (1: in proportion), or 'matched' for data and pool"
        )


def why_not(path: Path, form: Shrinkable, knobs: Collection[str] = ()) -> str:
    """Say why a path is no way to shrink a setting with these knobs; empty if it is one."""
    for name in path.knobs:
        if name not in knobs:
            return f"the setting has no knob '{name}'"
    roles = {str(dial.role) for dial in form.dials.values()}
    for key, how in path.shrink.items():
        if how != MATCHED and how and key not in form.dials and key not in roles:
            return f"the setting has no dial '{key}'"
    return ""


def size_at(path: Path, form: Shrinkable, s: float) -> CellSize | None:
    """Return the size at a shrink factor; None if a dial would fall below its lowest value.

    Matched dials follow the values that the others really take, rounded as they are.
    """
    found: dict[str, float] = {}
    order = (DialRole.SCALE, DialRole.FIDELITY, DialRole.SCHEDULE, DialRole.DATA, DialRole.POOL)
    for role in order:
        for dial in form.of(role):
            how = path.rule_for(dial)
            factor = _matched(dial, form, found) if how == MATCHED else s ** float(how)
            value = dial.at(dial.value * factor)
            if value is None:
                return None
            found[dial.name] = value
    return CellSize(s, {name: found[name] for name in form.dials})


def _matched(dial: Dial, form: Shrinkable, found: Mapping[str, float]) -> float:
    """Return the factor on a dial that keeps data a parameter, or epochs."""
    if dial.role is DialRole.POOL:
        share = math.prod(
            found[d.name] / (d.value * _matching(d, form, found)) for d in form.of(DialRole.DATA)
        )
        return float(share * _matching(dial, form, found))
    return _matching(dial, form, found)


def _matching(dial: Dial, form: Shrinkable, found: Mapping[str, float]) -> float:
    """Return the factor on a dial where everything matches at these dials of scale."""
    return dial.matched_at(found[dial.by]) / dial.value if dial.by else parameters(form, found)


def data_share(form: Shrinkable, dials: Mapping[str, float]) -> float:
    """Return data a parameter as a share of the expensive form's."""
    data = form.of(DialRole.DATA)
    return float(math.prod(dials[d.name] / (d.value * _matching(d, form, dials)) for d in data))


def epochs(form: Shrinkable, dials: Mapping[str, float]) -> float:
    """Return how often a trial sees its pool; a setting needs dials of data and pool."""
    pool, data = form.of(DialRole.POOL)[0], form.of(DialRole.DATA)[0]
    there = pool.epochs or data.value / pool.value
    fresh = dials[pool.name] / (pool.value * _matching(pool, form, dials))
    return there * data_share(form, dials) / fresh


def parameters(form: Shrinkable, dials: Mapping[str, float]) -> float:
    """Return the number of parameters as a share of the expensive form's."""
    return float(math.prod((dials[d.name] / d.value) ** d.power for d in form.of(DialRole.SCALE)))


def sizes(path: Path, form: Shrinkable) -> list[CellSize]:
    """Return all sizes of a path from the largest below the expensive form down, each once."""
    found: dict[tuple[float, ...], CellSize] = {}
    expensive = tuple(form.expensive.values())
    lowest = min(dial.low / dial.value for dial in form.dials.values())
    powers = [h for d in form.dials.values() if isinstance(h := path.rule_for(d), float) and h > 0]
    deepest = math.log(lowest) / min(powers) if powers else 0.0
    for log_s in np.linspace(0, deepest, FINENESS)[1:]:
        size = size_at(path, form, math.exp(float(log_s)))
        if size is None:
            break
        key = tuple(size.dials.values())
        if key != expensive:
            found.setdefault(key, size)
    return list(found.values())


def among(
    paths: Mapping[str, Path],
    form: Shrinkable,
    *,
    only: Collection[str] = (),
    knobs: Collection[str] = (),
) -> tuple[list[Path], list[str]]:
    """Return the paths that a setting can take, and why others are left out, a line each.

    Parameters
    ----------
    paths
        Ways to shrink, by name.
    form
        The expensive form: its dials and what may shrink.
    only
        Names to keep; all if empty.
    knobs
        Knobs of the setting.

    Raises
    ------
    InputError
        If a path that is asked for does not exist.
    """
    for name in only:
        if name not in paths:
            raise InputError(f"paths: '{name}' does not exist; {nearest(name, paths)}")
    kept: list[Path] = []
    notes: list[str] = []
    seen: dict[tuple[object, ...], str] = {}
    for name, path in paths.items():
        if only and name not in only:
            continue
        why = why_not(path, form, knobs)
        there = [] if why else sizes(path, form)
        if not why and not there:
            why = "its first step is below the lowest value of a dial"
        if there and form.cost in form.dials and not _gets_cheaper(there, form):
            why = f"{form.cost}, which is what a trial costs, stays as it is"
        same = tuple(tuple(size.dials.values()) for size in there)
        key = (same, tuple(sorted(path.knobs.items())), path.uses_rules or not form.rules)
        if not why and key in seen:
            why = f"here it is the same as {seen[key]}"
        if why:
            notes.append(f"path {name} is skipped: {why}")
            continue
        seen[key] = name
        kept.append(replace(path, name=name))
    return kept, notes


def _gets_cheaper(there: list[CellSize], form: Shrinkable) -> bool:
    return form.own_cost(there[-1].dials) < form.own_cost(form.expensive)
