"""The runs that an audit stands on, from a table or a trial folder, as a state of their own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.setting.trial import Cause, TrialResult, TrialState, digest
from transfer.arm import FIRST_BASELINE
from transfer.arm_table import BASELINE, ArmTable, read_arm_table
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
        on_ladder = set(rungs)
        return Runs(
            self.changes, tuple(r for r in self.runs if r.rung in on_ladder), self.notes, self.data
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


def read_runs(path: Path, ladder: Ladder, panel: Mapping[str, Change]) -> Runs:
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
    table = read_arm_table(path, ladder.setting.objective.name)
    names = {change.title: name for name, change in panel.items()}
    names |= {name: name for name in panel} | {BASELINE: BASELINE}
    unknown = sorted({row.arm for row in table.rows} - names.keys())
    runs = _known_runs(table, names)
    return checked(ladder, panel, runs, notes=_notes(unknown), data=table.data, where=table.name)


def _known_runs(table: ArmTable, names: Mapping[str, str]) -> list[Run]:
    """Return the runs of arms that have a name."""
    return [
        Run(
            names[row.arm],
            row.size,
            row.seed,
            row.value,
            reason="the table holds no number" if row.value is None else "",
        )
        for row in table.rows
        if row.arm in names
    ]


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
    on_ladder = [run for run in runs if run.rung in names]
    if not on_ladder:
        held = ", ".join(sorted({run.rung for run in runs})) or "none"
        raise InputError(
            f"{where}: no run on {ladder.names} (it holds {held}); choose rungs=[…] or name the "
            "ladder that these runs belong to"
        )
    seen: set[tuple[str, str, int]] = set()
    for run in on_ladder:
        key = (run.arm, run.rung, run.seed)
        if key in seen:
            raise InputError(
                f"{where}: {run.arm} on {run.rung}, seed {run.seed} is there twice; counted twice "
                "it would narrow every interval: keep one"
            )
        seen.add(key)
    if not any(run.arm == BASELINE and run.value is not None for run in on_ladder):
        raise InputError(
            f"{where}: no run of the baseline; effects are differences from it: add rows with the "
            f"arm '{BASELINE}'"
        )
    arms = {run.arm for run in on_ladder}
    changes = {name: change for name, change in panel.items() if name in arms}
    return Runs(changes, tuple(on_ladder), notes, data)
