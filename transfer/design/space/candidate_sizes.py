"""A cell: one candidate size of a setting on one way to shrink, its trials and their results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from miniscale.setting.rung import Rung
from miniscale.setting.trial import Scalar
from transfer.change import Change
from transfer.design.space.shrink_dials import DialRole, Shrinkable
from transfer.design.space.shrink_rules import Path, data_share, epochs

NEAR = 1.15
"""Ratios to the expensive form up to which two sizes are said to match."""


@dataclass(frozen=True)
class Cell:
    """One size on one path; ``rung`` says what a trial gets and is predicted to cost."""

    path: str
    dials: Mapping[str, float]
    rung: Rung

    @property
    def name(self) -> str:
        """Name of its rung, unique in a design."""
        return self.rung.name


@dataclass(frozen=True)
class Trial:
    """One run that is wanted: an arm in a cell with a seed."""

    cell: Cell
    arm: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it apart."""
        return self.cell.name, self.arm, self.seed


@dataclass(frozen=True)
class Seen:
    """What came of a trial; ``value`` in the objective's own direction, None if it left none."""

    value: float | None
    seconds: float
    cost: float
    """In the unit that the design counts in."""
    reason: str = ""


class Lab(Protocol):
    """Where trials come from: a machine, a table of runs made elsewhere, or a simulation."""

    def run(self, trials: Sequence[Trial], changes: Mapping[str, Change]) -> list[Seen | None]:
        """Return what came of trials in the order given; None for one that cannot be had."""


@dataclass
class Book:
    """Everything seen so far, and what it came to; a trial is asked for once."""

    lab: Lab
    changes: dict[str, Change]
    by_seconds: bool = True
    """Whether prices are seconds; else they are in the setting's own cost."""
    seen: dict[tuple[str, str, int], Seen] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    missing: set[tuple[str, str, int]] = field(default_factory=set)

    def run(self, trials: Sequence[Trial]) -> None:
        """Have trials run that were not, and note what came of them."""
        new = {t.key: t for t in trials if t.key not in self.seen and t.key not in self.missing}
        if not new:
            return
        wanted = list(new.values())
        for trial, seen in zip(wanted, self.lab.run(wanted, self.changes), strict=True):
            self.cells[trial.cell.name] = trial.cell
            if seen is None:
                self.missing.add(trial.key)
            else:
                self.seen[trial.key] = seen

    def of(self, cell: str, arm: str | None = None) -> list[Seen]:
        """Return what came of a cell's trials, or of one arm's there."""
        return [s for (c, a, _), s in self.seen.items() if c == cell and arm in (None, a)]

    def price_of(self, cost: float, seconds: float) -> float:
        """Return what the request counts in."""
        return seconds if self.by_seconds else cost

    @property
    def spent(self) -> float:
        """Price of all trials so far."""
        return sum(self.price_of(seen.cost, seen.seconds) for seen in self.seen.values())


def last_line(text: str) -> str:
    """Return the last line of what a trial said, which is where it names its error."""
    lines = text.strip().splitlines() or ["no reason given"]
    return lines[-1].strip()[-160:]


def rung_of(
    form: Shrinkable,
    path: Path,
    dials: Mapping[str, float],
    *,
    name: str,
    cost: float,
    seconds: float,
    rules: Mapping[str, float],
) -> Rung:
    """Return the rung of a size, as a ladder's YAML would have it.

    Parameters
    ----------
    form
        The expensive form: its dials and what may shrink.
    path
        The way to shrink.
    dials
        Value of each dial.
    name
        The rung's name.
    cost
        Of one trial, in the setting's cost.
    seconds
        Of one trial.
    rules
        Factor on each knob.
    """
    limits = form.limits
    params: dict[str, Scalar] = {n: form.dials[n].written(v) for n, v in dials.items()}
    return Rung(
        name=name,
        scale=cost,
        cost=cost,
        params={**params, **form.params, **path.knobs},
        timeout_s=limits.get("timeout_s") or max(60.0, round(20 * seconds)),
        memory_gb=limits.get("memory_gb", 4.0),
        threads=round(limits.get("threads", 1)),
        gpus=round(limits.get("gpus", 0)),
        rules=dict(rules),
    )


def unmatched(
    form: Shrinkable,
    path: Path,
    dials: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    has_rules: bool,
) -> dict[str, str]:
    """Say what of the reference a size does not match, topic -> how.

    Parameters
    ----------
    has_rules
        Whether some optimizer knob needs a rule over scale, so that a path without is unmatched.
    """
    found = dict(path.declares)
    ratio = {name: dials[name] / reference[name] for name in dials}
    if form.of(DialRole.DATA) and form.of(DialRole.SCALE):
        share = data_share(form, dials) / data_share(form, reference)
        if not 1 / NEAR <= share <= NEAR:
            found["data a parameter"] = f"{share:.2g} times the reference's"
    if form.of(DialRole.DATA) and form.of(DialRole.POOL):
        here, there = (epochs(form, one) for one in (dials, reference))
        if max(here, there) > 1 and not 1 / NEAR <= max(here, 1) / max(there, 1) <= NEAR:
            found["repetition"] = f"{here:.2g} epochs against {there:.2g}"
    for dial in form.of(DialRole.SCHEDULE):
        if ratio[dial.name] < 1 / NEAR:
            found["schedule"] = f"stopped at {dials[dial.name]:.0%} of it"
    for dial in form.of(DialRole.FIDELITY):
        if ratio[dial.name] < 1 / NEAR:
            found[dial.name] = f"{dials[dial.name]:g} against {reference[dial.name]:g}"
    if has_rules and not path.uses_rules:
        found["optimizer rules"] = "optimizer knobs as in the expensive form"
    for knob, value in path.knobs.items():
        found[knob] = f"set to {value}"
    return found
