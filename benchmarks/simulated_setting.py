"""Simulated settings with a planted truth: one way to shrink is faithful, each other is broken.

A trial's loss comes from what its dials do, not from any law of the judge's:

- capacity and data terms, ``E + A N^-a + B D_eff^-b``, where repeated data is worth ever less
  (Muennighoff et al. 2023: ``D_eff = U (1 + R (1 - e^-((epochs - 1) / R)))``);
- over-fitting that grows with epochs, and that regularising changes relieve;
- a bowl in the logarithm of the rate, lopsided, whose optimum goes as a power of width;
- a schedule: what decays late in it is worth nothing to a run that stops before;
- noise that falls with work and explodes where a net is shallow for its width;
- seconds: a start, work, and reading every example in full whatever is kept of it.

A change moves one of these mechanisms. On the faithful path all of them are as at the target.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as Folder

import numpy as np

from miniscale.setting.setting import Kind, Knob, Setting
from miniscale.setting.trial import MetricSource, Objective
from transfer.audit.agreement import accuracy
from transfer.change import Change
from transfer.design.space.candidate_sizes import Cell, Seen, Trial
from transfer.design.space.shrink_dials import Shrinkable, decode_design
from transfer.design.space.shrink_rules import Path, decode_path, sizes
from transfer.ladder import Ladder

R = 6.0
WIDTH, DEPTH, TOKENS = 512, 16, 200_000
DIALS = {
    "width": {"role": "scale", "value": WIDTH, "low": 16, "whole": True, "step": 4, "power": 2},
    "depth": {"role": "scale", "value": DEPTH, "low": 1, "whole": True},
    "tokens": {"role": "data", "value": TOKENS, "low": 100, "whole": True},
    "stop": {"role": "schedule", "value": 1.0, "low": 0.01},
    "sight": {"role": "fidelity", "value": 64, "low": 8, "whole": True},
}
PATHS: Mapping[str, dict[str, object]] = {
    "compound": {"shrink": {"scale": 1, "data": "matched", "pool": "matched"}},
    "unmatched_repetition": {"shrink": {"scale": 1, "data": "matched"}},
    "unscaled_rate": {
        "shrink": {"scale": 1, "data": "matched", "pool": "matched"},
        "rules": False,
    },
    "early_stop": {"shrink": {"schedule": 1}},
    "depth_only": {"shrink": {"depth": 1, "data": "matched", "pool": "matched"}},
    "sight_only": {"shrink": {"sight": 1}},
}
PLANTED: Mapping[str, tuple[str, ...]] = {
    "unmatched_repetition": ("repetition",),
    "unscaled_rate": ("optimizer rules",),
    "early_stop": ("schedule",),
    "depth_only": ("noise",),
    "sight_only": ("overhead",),
}
"""Broken path -> topics that name it rightly."""


@dataclass(frozen=True)
class PlantedMechanism:
    """What a change moves; each number is 0 unless it is that change's mechanism."""

    capacity: float = 0.0
    data: float = 0.0
    relief: float = 0.0
    rate: float = 0.0
    late: float = 0.0
    early: float = 0.0
    by_turns: float = 0.0
    """What it gains for each factor of e in epochs, over the target's."""
    by_heat: float = 0.0
    """What it gains for each factor of e that the rate lies above its optimum."""


@dataclass(frozen=True)
class SimulatedSetting:
    """One simulated setting: its coefficients, and what each change of its panel does."""

    seed: int
    a: float
    b: float
    epochs: float
    overfit: float
    rate_power: float
    rate_depth: float
    rate_off: float
    noise: float
    start: float
    reading: float
    seconds: float
    panel: Mapping[str, tuple[Change, PlantedMechanism]] = field(default_factory=dict)

    def loss(self, dials: Mapping[str, float], rate: float, effect: PlantedMechanism) -> float:
        """Return the loss without noise; ``rate`` is the knob's value, 1 by default."""
        wide = dials["width"] / WIDTH
        params = wide**2 * dials["depth"] / DEPTH
        shown = dials["tokens"] * dials["stop"] / TOKENS
        distinct = dials["pool"] / TOKENS
        turns = max(shown / distinct, 1.0)
        worth = shown if turns <= 1 else distinct * (1 + R * (1 - math.exp(-(turns - 1) / R)))
        capacity = 0.35 * params**-self.a * math.exp(-effect.capacity)
        data = 0.35 * worth**-self.b * math.exp(-effect.data)
        off = math.log(rate) + effect.rate - self.rate_off + self.rate_power * math.log(wide)
        bowl = self.rate_depth * off**2 * (1 + 0.25 * math.tanh(off))
        spread = capacity + data
        crossed = effect.by_turns * math.log(turns / self.epochs) + effect.by_heat * off
        memory = (self.overfit - effect.relief) * math.log(turns) + 0.6 * effect.relief
        late = (1 - dials["stop"]) * 0.15
        timed = effect.late * dials["stop"] ** 2 + effect.early * (1 - 2 * dials["stop"])
        blur = 0.02 * math.log(64 / dials["sight"])
        return float(1.0 + spread * (1 + bowl + memory + late - timed - crossed) + blur)

    def sd(self, dials: Mapping[str, float]) -> float:
        """Return the noise of one run: more where a net is shallow for its width."""
        wide, deep = dials["width"] / WIDTH, dials["depth"] / DEPTH
        done = wide**2 * deep * dials["tokens"] * dials["stop"] / TOKENS
        return float(self.noise * done**-0.08 * max(wide / deep, 1.0) ** 3)

    def price(self, dials: Mapping[str, float]) -> float:
        """Return the seconds of a trial."""
        params = (dials["width"] / WIDTH) ** 2 * dials["depth"] / DEPTH
        shown = dials["tokens"] * dials["stop"] / TOKENS
        seen = self.reading + (1 - self.reading) * (dials["sight"] / 64) ** 2
        return self.start + self.seconds * params * shown * seen


BROKEN, SOUND = 0.75, 0.88
"""Noise-free accuracies below and above which a path is planted as broken or faithful."""


def world(seed: int, n_changes: int = 14) -> SimulatedSetting:
    """Draw a setting and a panel; the same seed gives the same.

    Drawn again until the planted truth is one: at a fortieth of the price the three unmatched paths
    order fewer than 75 % of pairs as the target does without any noise, the faithful one 88 %.
    """
    rng = random.Random(f"design {seed}")
    while True:
        known = _drawn(rng, seed, n_changes)
        if _is_planted(known):
            return known


def _is_planted(known: SimulatedSetting) -> bool:
    """Whether the truth at a fortieth of the price is as planted."""
    form = form_of(known)
    found = {}
    for name in ("compound", "unmatched_repetition", "unscaled_rate", "early_stop"):
        path = paths()[name]
        size = next(s for s in sizes(path, form) if known.price(s.dials) <= known.seconds / 40)
        ratio = size.dials["width"] / WIDTH
        rate = ratio**-known.rate_power if path.uses_rules else 1.0
        found[name] = agreement(known, size.dials, rate)
    return found.pop("compound") >= SOUND and max(found.values()) < BROKEN


def _drawn(rng: random.Random, seed: int, n_changes: int) -> SimulatedSetting:
    seconds = math.exp(rng.uniform(math.log(200), math.log(2000)))
    known = SimulatedSetting(
        seed=seed,
        a=rng.uniform(0.22, 0.36),
        b=rng.uniform(0.22, 0.36),
        epochs=rng.uniform(3.0, 6.0),
        overfit=rng.uniform(0.02, 0.08),
        rate_power=rng.uniform(0.7, 1.1),
        rate_depth=rng.uniform(0.03, 0.06),
        rate_off=rng.gauss(0.0, 0.12),
        noise=rng.uniform(0.0008, 0.0016),
        start=seconds / 40 * rng.uniform(0.01, 0.05),
        reading=rng.uniform(0.5, 0.7),
        seconds=seconds,
    )
    return SimulatedSetting(**{**known.__dict__, "panel": _panel(rng, n_changes)})


def _panel(rng: random.Random, n: int) -> dict[str, tuple[Change, PlantedMechanism]]:
    """Draw changes of all kinds, about half of them harmful at the target."""
    makers = ("capacity", "data", "relief", "rate", "late", "early")
    found = {}
    for i in range(n):
        what = makers[i % len(makers)]
        size = math.exp(rng.gauss(math.log(0.04), 0.45)) * rng.choice((-1, 1))
        if what == "rate":
            size = rng.choice((-1, 1)) * rng.uniform(0.5, 1.1)
        category = {
            "capacity": "architecture", "data": "data efficiency", "relief": "regularisation",
            "rate": "learning rate", "late": "schedule decay", "early": "schedule warm-up",
        }[what]  # fmt: skip
        kind = Kind.HYPERPARAMETER if what in ("rate", "late", "early") else Kind.STRUCTURAL
        change = Change(f"{what} {i}", category=category, kind=kind, knobs={"idea": i + 1})
        crossed = {"by_turns": rng.gauss(0, 0.035), "by_heat": rng.gauss(0, 0.02)}
        found[f"{what}_{i}"] = change, PlantedMechanism(**{what: size}, **crossed)
    return found


def setting_of(known: SimulatedSetting) -> Setting:
    """Return the setting that a design is asked for; nothing of it can be run."""
    pool = {"role": "pool", "value": round(TOKENS / known.epochs), "low": 20, "whole": True}
    dials = {**DIALS, "pool": pool}
    return Setting(
        name=f"simulated{known.seed}",
        about="",
        source=Folder(),
        prepare=(),
        command=("run", *(f"{{{name}}}" for name in dials)),
        evaluator=(),
        objective=Objective("loss", True, MetricSource(file="x", key="y")),
        editable=(),
        locked=(),
        env={},
        knobs={
            "lr": Knob("lr", 1.0, Kind.HYPERPARAMETER),
            "idea": Knob("idea", 0, Kind.STRUCTURAL),
        },
        design={
            "cost": "seconds",
            "dials": dials,
            "rules": ["lr"],
            "priors": {"lr": {"width": -1}},
            "seconds": known.seconds,
        },
    )


def ladder_of(known: SimulatedSetting) -> Ladder:
    """Return a ladder without rungs that carries the setting."""
    return Ladder(
        name="simulated", about="", setting=setting_of(known), rungs=(), target_name="target",
        target=known.seconds, scale_name="time", unit="s", budget=1.0, panel=(),
    )  # fmt: skip


def form_of(known: SimulatedSetting) -> Shrinkable:
    """Return the setting's dials."""
    return decode_design(setting_of(known))


def paths() -> dict[str, Path]:
    """Return the planted paths, the faithful one first."""
    return {name: decode_path(name, dict(data)) for name, data in PATHS.items()}


@dataclass
class SimLab:
    """A lab that draws trials from a world; the same trial gives the same number."""

    world: SimulatedSetting
    n_trials: int = 0

    def run(self, trials: Sequence[Trial], changes: Mapping[str, Change]) -> list[Seen | None]:
        """Draw trials."""
        self.n_trials += len(trials)
        return [self._seen(trial, changes.get(trial.arm)) for trial in trials]

    def _seen(self, trial: Trial, change: Change | None) -> Seen:
        cell, known = trial.cell, self.world
        effect = known.panel[trial.arm][1] if trial.arm in known.panel else PlantedMechanism()
        rate = float(change.knobs.get("lr", 1.0)) if change else 1.0
        rate *= cell.rung.rules.get("lr", 1.0)
        where = f"{known.seed} {sorted(cell.dials.items())} {sorted(cell.rung.rules.items())}"
        common = random.Random(f"{where} {trial.seed}").gauss(0, 1)
        own = random.Random(f"{where} {trial.seed} {trial.arm}").gauss(0, 1)
        loss = known.loss(cell.dials, rate, effect)
        loss += known.sd(cell.dials) * (common + own) / math.sqrt(2)
        shaken = 1 + 0.05 * random.Random(f"t {where} {trial.seed} {trial.arm}").gauss(0, 1)
        seconds = known.price(cell.dials) * max(shaken, 0.8)
        return Seen(loss, seconds, seconds)


def truth(known: SimulatedSetting, cell: Cell) -> float:
    """Return the share of pairs that a cell orders as the target does, noise aside."""
    return agreement(known, cell.dials, cell.rung.rules.get("lr", 1.0))


def agreement(known: SimulatedSetting, dials: Mapping[str, float], rate: float) -> float:
    """Return the noise-free share of pairs of changes ordered as at the target."""
    here, there = (
        np.array([-known.loss(where, lr, effect) for _, effect in known.panel.values()])
        for where, lr in ((dials, rate), (form_of(known).expensive, 1.0))
    )
    return accuracy(here, there)
