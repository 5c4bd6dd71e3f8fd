"""How a setting may be made smaller: its dials by role, as its YAML says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import numpy as np

from miniscale.setting.command import KNOBS, placeholders
from miniscale.setting.decode import InputError, Key, Positive, decode, nearest
from miniscale.setting.setting import Knob, Setting
from miniscale.setting.trial import Scalar


class DialRole(StrEnum):
    """What part a dial plays."""

    SCALE = "scale"
    """How big the thing is: width, depth, trees, cells."""
    DATA = "data"
    """How much it is trained on: examples, tokens, rows."""
    POOL = "pool"
    """How many of them are distinct: data / pool is the number of epochs."""
    SCHEDULE = "schedule"
    """The share of the planned schedule that is run."""
    FIDELITY = "fidelity"
    """How much of each example it sees: resolution, context, vocabulary, features."""


@dataclass(frozen=True)
class Dial:
    """One placeholder of the command that makes a trial cheaper; ``value`` is the expensive form.

    ``power`` says how the number of parameters goes with a dial of scale, ``value^power``.
    ``step`` is what its values are multiples of, 0 for any. ``matched`` says what the dial is where
    it matches, value by value of a dial of scale, where a power of the parameters would not do:
    ``{depth: {2: 1e11, 3: 6e11}}``, FLOPs for as many tokens a parameter. ``epochs`` is how often
    the expensive form sees its pool, where data and pool are counted in different units.
    """

    name: str
    role: DialRole
    value: Positive
    low: Positive
    is_whole: Annotated[bool, Key("whole")] = False
    power: Positive = 1.0
    step: float = 0.0
    about: str = ""
    matched: Mapping[str, Mapping[float, Positive]] = field(default_factory=dict)
    epochs: Positive | None = None

    def __post_init__(self) -> None:
        if self.low > self.value:
            raise InputError(
                f"low: the expensive form has {self.value:g}, below the lowest value "
                f"{self.low:g} to try; 'value' is the expensive form, 'low' the least that makes "
                "sense"
            )
        if self.matched and (len(self.matched) > 1 or len(self.matched[self.by]) < 2):
            raise InputError(
                f"matched: got {list(self.matched)}, must be one dial of scale with at least two "
                "of its values: {depth: {2: 1.0e11, 3: 6.0e11}}"
            )

    @property
    def by(self) -> str:
        """The dial of scale that matched values go by; empty if there are none."""
        return next(iter(self.matched), "")

    def matched_at(self, other: float) -> float:
        """Return the matched value at a value of the dial ``by``, between those known by a law."""
        table = self.matched[self.by]
        known = sorted(table)
        logs = [math.log(table[x]) for x in known]
        return math.exp(float(np.interp(math.log(other), [math.log(x) for x in known], logs)))

    def at(self, wanted: float) -> float | None:
        """Return the nearest value that the dial takes, None if it lies below the lowest."""
        grain = self.step or (1.0 if self.is_whole else 0.0)
        found = round(wanted / grain) * grain if grain else wanted
        if found > self.value or math.isclose(found, self.value):
            return self.value
        return found if found >= self.low * (1 - 1e-9) else None

    def written(self, value: float) -> Scalar:
        """Return a value as a command line takes it: whole dials as whole numbers."""
        return round(value) if self.is_whole else float(value)


@dataclass(frozen=True)
class Shrinkable:
    """A setting's ``design`` section, decoded.

    cost
        ``seconds``, the name of a dial that is itself the cost, or of a number that trials report.
    params
        Placeholders of the command that are the same at every size.
    limits
        ``threads``, ``gpus``, ``memory_gb`` and ``timeout_s`` of every rung.
    rules, priors
        Numeric knobs that may need a rule over scale, and the exponents by dial that the field
        takes: ``{lr: {width: -1}}``.
    built_in
        Exponents that the program itself applies to such a knob: a path without rules undoes them.
    seconds
        Of one trial of the expensive form, None if it is not known.
    """

    cost: str = "seconds"
    dials: Mapping[str, Dial] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    priors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    built_in: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: Positive | None = None
    expensive_name: str = "expensive"
    matches: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    def of(self, role: DialRole) -> tuple[Dial, ...]:
        """Return the dials that play a part."""
        return tuple(dial for dial in self.dials.values() if dial.role is role)

    def own_cost(self, dials: Mapping[str, float]) -> float:
        """Return the dial that is itself the cost, times the share of the schedule that is run."""
        shares = [dials[dial.name] / dial.value for dial in self.of(DialRole.SCHEDULE)]
        return dials[self.cost] * math.prod(shares)

    @property
    def expensive(self) -> dict[str, float]:
        """Values of all dials in the expensive form."""
        return {name: dial.value for name, dial in self.dials.items()}


def decode_design(setting: Setting) -> Shrinkable:
    """Read the ``design`` section of a setting.

    Raises
    ------
    InputError
        On the first thing that is wrong, or where there is nothing that could be shrunk.
    """
    path = f"setting.design of {setting.name}"
    if not setting.design:
        raise InputError(
            f"{path}: missing; say which placeholders make it smaller: "
            "'design: {cost: seconds, dials: {width: {role: scale, value: 512, low: 32}}}'"
        )
    form = decode(Shrinkable, setting.design, path)
    _check(form, setting, path)
    return form


LIMITS = ("threads", "gpus", "memory_gb", "timeout_s")


def _check(found: Shrinkable, setting: Setting, path: str) -> None:
    """Check dials, params and rules against the setting that they belong to."""
    if not any(dial.low < dial.value for dial in found.dials.values()):
        raise InputError(
            f"{path}.dials: no dial can be turned down; name a placeholder of the command with "
            "'role: scale' (or data, pool, schedule, fidelity), its 'value' and a smaller 'low'"
        )
    for name in found.limits:
        if name not in LIMITS:
            raise InputError(f"{path}.limits.{name}: unknown key; {nearest(name, LIMITS)}")
    _check_tables(found, path)
    needed = placeholders(setting.command) | placeholders(setting.evaluator)
    if KNOBS in needed:  # a rung's value counts before a knob's
        needed |= setting.knobs.keys()
    for name in (*found.dials, *found.params):
        if name not in needed:
            raise InputError(
                f"{path}: '{name}' is neither placeholder nor knob; {nearest(name, needed)}"
            )
    for name in found.rules:
        knob = setting.knobs.get(name)
        if knob is None:
            raise InputError(f"{path}.rules: no knob '{name}'; {nearest(name, setting.knobs)}")
        if not _is_scalable(knob):
            raise InputError(
                f"{path}.rules.{name}: the default is {knob.default!r}; a rule is a factor on a "
                "number above 0 with a decimal point: write 1.0 for 1, or drop the rule"
            )
    for part, by_knob in (("priors", found.priors), ("built_in", found.built_in)):
        for name, exponents in by_knob.items():
            if name not in found.rules:
                raise InputError(
                    f"{path}.{part}: '{name}' is not in rules; {nearest(name, found.rules)}"
                )
            for dial in exponents:
                if dial not in found.dials:
                    raise InputError(
                        f"{path}.{part}.{name}: no dial '{dial}'; {nearest(dial, found.dials)}"
                    )


def _check_tables(found: Shrinkable, path: str) -> None:
    """Check that matched values go by a dial of scale and agree with the expensive form."""
    for dial in found.dials.values():
        if not dial.by:
            continue
        other = found.dials.get(dial.by)
        if other is None or other.role is not DialRole.SCALE:
            scales = [known.name for known in found.of(DialRole.SCALE)]
            raise InputError(
                f"{path}.dials.{dial.name}.matched: '{dial.by}' is no dial of scale; "
                f"{nearest(dial.by, scales)}"
            )
        if not math.isclose(dial.matched_at(other.value), dial.value, rel_tol=1e-3):
            raise InputError(
                f"{path}.dials.{dial.name}.matched: {dial.matched_at(other.value):g} at {dial.by} "
                f"{other.value:g}, must be the expensive form's {dial.value:g}; correct either"
            )


def _is_scalable(knob: Knob) -> bool:
    return isinstance(knob.default, float) and knob.default > 0
