"""The runs that an audit stands on, from a table or a trial folder, as a state of their own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from miniscale.setting.decode import InputError, nearest
from miniscale.setting.trial import Cause, TrialResult, digest
from miniscale.setting.trial import TrialState as TrialState
from scaling.table.read import TableError, read_frame
from transfer.arm import FIRST_BASELINE
from transfer.change import Change
from transfer.events import (
    BaselineSet,
    Event,
    Proposed,
    Request,
    Started,
    TrialFinished,
    TrialsRequested,
)
from transfer.journal.state import StudyState, replay
from transfer.ladder import Ladder

BASELINE = "baseline"


@dataclass(frozen=True)
class Run:
    """One trial of an arm; ``value`` in the objective's own direction, None if it left none."""

    arm: str
    rung: str
    seed: int
    value: float | None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Runs:
    """Runs of a baseline (arm ``baseline``) and of the panel's changes, by the change's name."""

    changes: Mapping[str, Change]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    data: str = ""
    """Digest of the data behind them, where known."""

    def on(self, rungs: Iterable[str]) -> "Runs":
        """Return the runs on some rungs."""
        kept = set(rungs)
        return Runs(
            self.changes, tuple(r for r in self.runs if r.rung in kept), self.notes, self.data
        )

    def state(self, ladder: Ladder) -> StudyState:
        """Return these runs as a study's state, so that they are measured as any study's are."""
        events: list[Event] = [
            Started("audit", ladder.digest, 0, "audit", {}),
            BaselineSet(FIRST_BASELINE, "baseline"),
        ]
        events += [Proposed(name, FIRST_BASELINE, change) for name, change in self.changes.items()]
        requests, ended = [], []
        for run in self.runs:
            arm = FIRST_BASELINE if run.arm == BASELINE else run.arm
            name = digest([arm, run.rung, run.seed])
            requests.append(Request(arm, run.rung, run.seed, name))
            ended.append(TrialFinished(_result(name, run), 0.0))
        return replay([*events, TrialsRequested(0, tuple(requests)), *ended])


def _result(name: str, run: Run) -> TrialResult:
    if run.value is None:
        return TrialResult(name, TrialState.FAILED, cause=Cause.CRASH, reason=run.reason)
    return TrialResult(name, TrialState.COMPLETE, value=run.value, seconds=run.seconds)


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; empty for those to be found by their usual names."""

    arm: str = ""
    rung: str = ""
    seed: str = ""
    value: str = ""
    usual: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "arm": ("arm", "name", "change", "variant", "recipe"),
            "rung": ("rung", "scale", "size", "flops", "compute"),
            "seed": ("seed",),
            "value": ("value", "loss", "metric"),
        }
    )


def column(frame: pl.DataFrame, role: str, given: str, usual: Sequence[str]) -> str:
    """Return the column that plays a part.

    Raises
    ------
    InputError
        If there is none.
    """
    if given and given not in frame.columns:
        raise InputError(f"table: no column '{given}'; {nearest(given, frame.columns)}")
    found = given or next((name for name in usual if name in frame.columns), "")
    if not found:
        raise InputError(
            f"table: no column for the {role} among {', '.join(frame.columns[:12])}; "
            f"name one of them '{usual[0]}'"
        )
    return found


def read_runs(
    path: Path, ladder: Ladder, panel: Mapping[str, Change], *, columns: Columns | None = None
) -> Runs:
    """Read the runs of a panel from a table (csv, tsv, parquet, json, jsonl).

    Columns: the arm (a change's name in the ladder's panel, or ``baseline``), the rung, the seed,
    and the objective under its own name or as ``value`` or ``loss``. An arm that the panel lacks
    is noted and left out. A row without a number is a trial that failed.

    Raises
    ------
    InputError
        For a table that cannot be read, lacks a column or the baseline, repeats a run, or holds
        runs on data of several digests.
    """
    columns = columns or Columns()
    try:
        frame = read_frame(path)
    except TableError as error:
        raise InputError(str(error)) from None
    usual = columns.usual
    arm = column(frame, "arm", columns.arm, usual["arm"])
    rung = column(frame, "rung", columns.rung, usual["rung"])
    named = (ladder.setting.objective.name, *usual["value"])
    value = column(frame, "objective", columns.value, named)
    seed = column(frame, "seed", columns.seed, usual["seed"])
    known = {change.title: name for name, change in panel.items()}
    known |= {name: name for name in panel} | {BASELINE: BASELINE}
    rows = frame.select(
        pl.col(arm).cast(pl.String).alias("arm"),
        pl.col(rung).cast(pl.String).alias("rung"),
        pl.col(seed).cast(pl.Int64, strict=False).alias("seed"),
        pl.col(value).cast(pl.Float64, strict=False).alias("value"),
    )
    found = _rows(rows, known, path.name)
    unknown = sorted(set(rows["arm"].drop_nulls()) - known.keys())
    return checked(
        ladder, panel, found, notes=_notes(unknown), data=one_digest(frame, path), where=path.name
    )


def _rows(rows: pl.DataFrame, known: Mapping[str, str], where: str) -> list[Run]:
    """Return the runs of arms that are known."""
    found = []
    for row in rows.iter_rows(named=True):
        if row["seed"] is None:
            raise InputError(
                f"{where}: {row['arm']} on {row['rung']} has no seed; pairs need one a run: "
                "give it, or number the runs of each arm from 0"
            )
        if row["arm"] in known:
            number = row["value"]
            is_number = number is not None and abs(number) < float("inf")
            found.append(
                Run(
                    known[row["arm"]],
                    row["rung"],
                    row["seed"],
                    number if is_number else None,
                    reason="" if is_number else "the table holds no number",
                )
            )
    return found


def _notes(unknown: Sequence[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    few = ", ".join(unknown[:4]) + (" …" if len(unknown) > 4 else "")
    return (f"{len(unknown)} arms of the table are not in the panel and are left out: {few}",)


def named_panel(ladder: Ladder, names: Sequence[str] = ()) -> dict[str, Change]:
    """Return the panel's changes but null changes, by name; by title where no names are given."""
    called = names or [change.title for change in ladder.panel]
    pairs = zip(called, ladder.panel, strict=True)
    return {name: change for name, change in pairs if not change.is_control}


def one_digest(frame: pl.DataFrame, path: Path) -> str:
    """Return the digest of the data behind all runs; empty where the table has no such column.

    Raises
    ------
    InputError
        If there are several.
    """
    for name in ("data", "data_digest", "digest", "corpus"):
        if name in frame.columns:
            held = sorted(set(frame[name].cast(pl.String).drop_nulls()))
            if len(held) > 1:
                raise InputError(
                    f"{path.name}: column '{name}' holds {len(held)} digests "
                    f"({', '.join(held[:3])}): runs on different data are never compared; "
                    "keep the rows of one"
                )
            return held[0] if held else ""
    return ""


def checked(
    ladder: Ladder,
    panel: Mapping[str, Change],
    runs: Sequence[Run],
    *,
    notes: tuple[str, ...] = (),
    data: str = "",
    where: str = "runs",
) -> Runs:
    """Return runs that fit a ladder.

    Raises
    ------
    InputError
        If a run is there twice or the baseline has none.
    """
    names = {rung.name for rung in ladder.rungs}
    kept = [run for run in runs if run.rung in names]
    if not kept:
        held = ", ".join(sorted({run.rung for run in runs})) or "none"
        raise InputError(
            f"{where}: no run on {ladder.names} (it holds {held}); choose rungs=[…] or name the "
            "ladder that these runs belong to"
        )
    seen: set[tuple[str, str, int]] = set()
    for run in kept:
        key = (run.arm, run.rung, run.seed)
        if key in seen:
            raise InputError(
                f"{where}: {run.arm} on {run.rung}, seed {run.seed} is there twice; counted twice "
                "it would narrow every interval: keep one"
            )
        seen.add(key)
    if not any(run.arm == BASELINE and run.value is not None for run in kept):
        raise InputError(
            f"{where}: no run of the baseline; effects are differences from it: add rows with the "
            f"arm '{BASELINE}'"
        )
    arms = {run.arm for run in kept}
    changes = {name: change for name, change in panel.items() if name in arms}
    return Runs(changes, tuple(kept), notes, data)
