"""Tables of runs made by others: one frozen form, and a plain format for a stranger's own.

A stranger's table is a csv file with the columns

    arm, scale, seed, loss            one row a run; an empty loss is a run that failed
    kind                              optional: structural (default) or hyperparameter
    table                             optional: several ladders in one file

in a folder of its own or beside others. The arm that the rest is measured against is called
``baseline``. ``SOURCE.md`` in the same folder says where the numbers come from, with a line
``- licence: MIT``; a table without a stated open licence is used where it lies and marked as not
shipped.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind, Setting
from miniscale.setting.trial import MetricSource, Objective
from transfer.events import Effect
from transfer.ladder import Ladder
from transfer.measure.effect import BaselineLaw, effect, fit_baseline_law
from transfer.measure.noise import Losses, Noise, Pool, share_of

OPEN_LICENCES = ("MIT", "Apache-2.0", "CC-BY", "CC0", "BSD")
COLUMNS = frozenset({"arm", "scale", "seed", "loss"})
BASELINE = "baseline"
Losses3 = Mapping[tuple[str, float, int], float]
"""(arm, scale, seed) -> loss, lower is better."""


@dataclass(frozen=True)
class Table:
    """Runs of several arms over several scales against one baseline.

    source
        Tables of one source are held out together.
    scale
        In each key of ``loss``: training compute, the unit of cost.
    noise
        Spread of one run's loss where the source says it; None to estimate it from replicates,
        or to assume 2 % of compute without any.
    n_failed
        Runs without a usable loss, left out.
    edits
        Arm -> (knob, ln(value / the baseline's value)) where an arm edits one knob's value.
    """

    name: str
    source: str
    licence: str
    baseline: str
    loss: Losses3
    kinds: Mapping[str, Kind]
    noise: float | None = None
    n_failed: int = 0
    edits: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(arm == self.baseline for arm, _, _ in self.loss):
            raise ValueError(
                f"table {self.name}: no run of the baseline '{self.baseline}'; name the arm that "
                "the rest is measured against so"
            )
        for (arm, scale, _), value in self.loss.items():
            if not (math.isfinite(value) and math.isfinite(scale) and scale > 0):
                raise ValueError(
                    f"table {self.name}: arm {arm} has loss {value} at scale {scale}; scale must "
                    "be positive, loss finite: leave a failed run's loss empty"
                )

    @property
    def is_shipped(self) -> bool:
        """Whether the source states a licence that lets its numbers be copied."""
        return self.licence.startswith(OPEN_LICENCES)

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales with a run of the baseline, from the lowest."""
        return tuple(sorted({scale for arm, scale, _ in self.loss if arm == self.baseline}))

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms but the baseline, by name."""
        return tuple(sorted({arm for arm, _, _ in self.loss} - {self.baseline}))

    def runs(self, arm: str, scale: float) -> dict[int, float]:
        """Return seed -> loss of an arm at a scale."""
        return {s: v for (a, x, s), v in self.loss.items() if a == arm and x == scale}


@dataclass(frozen=True)
class Source:
    """What the folder of a table says of it."""

    name: str
    licence: str


def read_source(folder: Path) -> Source:
    """Read the licence from a folder's ``SOURCE.md``; empty where none is stated."""
    page = folder / "SOURCE.md"
    licence = ""
    if page.is_file():
        for line in page.read_text().splitlines():
            if line.lower().startswith("- licence:"):
                licence = line.split(":", 1)[1].strip()
    return Source(folder.name, "" if licence.lower().startswith("none") else licence)


def read_plain(path: Path) -> list[Table]:
    """Read a stranger's csv; an empty list if it has other columns.

    Raises
    ------
    ValueError
        If a table in it has no baseline, or a value is out of its range.
    """
    frame = pl.read_csv(path, infer_schema_length=None)
    if not set(frame.columns) >= COLUMNS:
        return []
    source = replace(read_source(path.parent), name=path.stem)
    if "table" not in frame.columns:
        frame = frame.with_columns(table=pl.lit(path.stem))
    if "kind" not in frame.columns:
        frame = frame.with_columns(kind=pl.lit(Kind.STRUCTURAL.value))
    return [
        _plain(str(name), source, rows)
        for (name,), rows in frame.group_by("table", maintain_order=True)
    ]


def _plain(name: str, source: Source, frame: pl.DataFrame) -> Table:
    done = frame.drop_nulls(["loss"])
    known = {kind.value for kind in Kind}
    wrong = set(frame["kind"].drop_nulls().unique()) - known
    if wrong:
        raise ValueError(f"table {name}: kind {sorted(wrong)} must be one of {sorted(known)}")
    return Table(
        name=name,
        source=source.name,
        licence=source.licence,
        baseline=BASELINE,
        loss={
            (str(row["arm"]), float(row["scale"]), int(row["seed"])): float(row["loss"])
            for row in done.iter_rows(named=True)
        },
        kinds={
            str(row["arm"]): Kind(row["kind"] or Kind.STRUCTURAL.value)
            for row in frame.iter_rows(named=True)
        },
        n_failed=len(frame) - len(done),
    )


def ladder_of(table: Table) -> Ladder:
    """Return a table's scales as a ladder whose target is its highest rung."""
    objective = Objective("loss", True, MetricSource(file="table.json", key="loss"))
    setting = Setting(
        name=table.name,
        about="",
        source=Path(),
        prepare=(),
        command=(),
        evaluator=(),
        objective=objective,
        editable=(),
        locked=(),
        env={},
        knobs={},
    )
    rungs = tuple(Rung(f"r{i}", scale, scale) for i, scale in enumerate(table.scales))
    return Ladder(
        name=table.name,
        about="",
        setting=setting,
        rungs=rungs,
        target_name=rungs[-1].name,
        target=rungs[-1].scale,
        scale_name="compute",
        unit="FLOP",
        budget=0.0,
        panel=(),
    )


@dataclass(frozen=True)
class MeasuredTable:
    """A table with its effects by arm, and the law that turned loss into compute.

    The baseline's law is fitted over all of the table's scales: it is the unit of the gains, and
    holds no run of any arm that is forecast.
    """

    table: Table
    ladder: Ladder
    baseline_law: BaselineLaw
    noise: Mapping[str, Noise]
    effects: Mapping[str, tuple[Effect, ...]]


def measured(table: Table) -> MeasuredTable:
    """Turn a table's runs into effects, in nats of compute, by arm and rung."""
    ladder = ladder_of(table)
    base = {rung.name: table.runs(table.baseline, rung.scale) for rung in ladder.rungs}
    runs = {
        arm: {rung.name: table.runs(arm, rung.scale) for rung in ladder.rungs} for arm in table.arms
    }
    baseline_law = fit_baseline_law(ladder, base)
    noise = {
        rung.name: _noise(
            table,
            rung.name,
            base[rung.name],
            {arm: losses[rung.name] for arm, losses in runs.items()},
            baseline_law.slopes[rung.name],
        )
        for rung in ladder.rungs
    }
    effects = {
        arm: tuple(
            _effect(ladder, rung.name, base, runs[arm], noise, baseline_law)
            for rung in ladder.rungs
            if runs[arm][rung.name]
        )
        for arm in table.arms
    }
    return MeasuredTable(table, ladder, baseline_law, noise, effects)


def pool_noise(
    rung: str, baseline: Losses, arms: Mapping[str, Losses], kinds: Mapping[str, Kind], slope: float
) -> Noise:
    """Pool the spread of replicates on one rung, whatever the rungs beside it show.

    Parameters
    ----------
    rung
        Its name.
    baseline, arms
        Seed -> loss of the baseline, and of each arm by its name.
    kinds
        Kind of each arm by its name.
    slope
        Loss per nat of compute on the rung.
    """
    pool = Pool()
    pool.put("", rung, share_of(baseline, None), None)
    for arm, losses in arms.items():
        pool.put(arm, rung, share_of(losses, baseline), kinds[arm])
    groups = [group for group in (baseline, *arms.values()) if group]
    level = max(abs(math.fsum(group.values()) / len(group)) for group in groups)
    return pool.noise({rung: slope}, {rung: level}, [rung])[rung]


def _noise(
    table: Table, rung: str, baseline: Losses, arms: Mapping[str, Losses], slope: float
) -> Noise:
    """Return a rung's noise: pooled, or what the source says where nothing was run twice.

    Parameters
    ----------
    table
        The table, for the noise that its source states and the kinds of its arms.
    rung
        The rung's name.
    baseline, arms
        Seed -> loss of the baseline, and of each arm by its name.
    slope
        Loss per nat of compute on the rung.
    """
    noise = pool_noise(rung, baseline, arms, table.kinds, slope)
    if table.noise is None or noise.df:
        return noise
    return replace(noise, sd=table.noise)


def _effect(
    ladder: Ladder,
    rung: str,
    base: Mapping[str, Losses],
    runs: Mapping[str, Losses],
    noise: Mapping[str, Noise],
    baseline_law: BaselineLaw,
) -> Effect:
    """Return an effect with the part of its error that the baseline's own runs cause."""
    found = effect(
        ladder,
        rung,
        baseline=base[rung],
        change=runs[rung],
        noise=noise[rung],
        baseline_law=baseline_law,
    )
    load = 1 - noise[rung].rho * found.n_pairs / found.n
    error = load * noise[rung].sd / math.sqrt(found.n_baseline) / baseline_law.slopes[rung]
    return replace(found, shared_se=min(error, found.gain_se))


def csv_files(folder: Path) -> Iterator[Path]:
    """Yield the csv files of a folder and of the folders in it, in order."""
    yield from sorted(folder.glob("*.csv"))
    yield from sorted(folder.glob("*/*.csv"))
