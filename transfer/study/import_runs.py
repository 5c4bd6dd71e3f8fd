"""Runs made elsewhere become trials of a study, and score its claims where made at the target."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from miniscale.setting.decode import InputError, nearest
from miniscale.setting.trial import TrialResult, digest
from miniscale.setting.trial import TrialState as TrialState
from scaling.table.read import TableError, read_frame
from transfer.audit.panel_runs import column, one_digest
from transfer.events import Imported
from transfer.journal.load import Loaded
from transfer.journal.store import Journal

NEAR = 0.005
"""Relative distance within which a scale is a rung's own."""
USUAL: Mapping[str, tuple[str, ...]] = {
    "arm": ("arm", "name", "change", "variant"),
    "seed": ("seed",),
    "seconds": ("seconds", "train_s", "wall_s", "runtime"),
    "memory_gb": ("memory_gb", "peak_memory_gb"),
}


@dataclass(frozen=True)
class _Row:
    """One row as the table has it."""

    number: int
    arm: str
    place: str
    seed: int
    value: float
    seconds: float
    memory_gb: float | None


def take(loaded: Loaded, table: Path, *, clock: Callable[[], float]) -> list[str]:
    """Enter a table's runs into a study's journal and say what was done.

    Columns: ``arm`` (a change's id or title, a baseline's id, or ``baseline``), ``rung`` or
    ``scale`` (the target's name or scale for runs there), ``seed``, the objective under its own
    name or as ``loss`` or ``value``; ``seconds`` and ``memory_gb`` if there are. A run that is in
    the study with the same value is passed over. All rows are checked before any is entered.

    Raises
    ------
    InputError
        For a table that cannot be used, an unknown arm or size, a number that is none, a run that
        the study has with another value, or a study that is running.
    """
    rows = _read(loaded, table)
    events = [event for row in rows if (event := _event(loaded, table, row)) is not None]
    _check_unique(table, rows, loaded)
    if events:
        with closing(Journal(loaded.folder.journal, clock=clock)) as journal:
            for event in events:
                journal.append(event)
    at_target = sum(event.is_target for event in events)
    said = [
        f"imported {len(events)} runs into {loaded.folder.path} "
        f"({at_target} at {loaded.ladder.target_name}); {len(rows) - len(events)} were there"
    ]
    if at_target:
        said.append("scored   python -m transfer record says how claims fared against them")
    return said


def _read(loaded: Loaded, table: Path) -> list[_Row]:
    try:
        frame = read_frame(table)
    except TableError as error:
        raise InputError(str(error)) from None
    one_digest(frame, table)
    objective = loaded.ladder.setting.objective.name
    names = {
        "arm": column(frame, "arm", "", USUAL["arm"]),
        "place": column(frame, "size", "", ("rung", "scale", loaded.ladder.scale_name, "flops")),
        "seed": column(frame, "seed", "", USUAL["seed"]),
        "value": column(frame, "objective", "", (objective, "loss", "value")),
    }
    columns = [
        pl.col(names["arm"]).cast(pl.String).alias("arm"),
        pl.col(names["place"]).cast(pl.String).alias("place"),
        pl.col(names["seed"]).cast(pl.Int64, strict=False).alias("seed"),
        pl.col(names["value"]).cast(pl.Float64, strict=False).alias("value"),
    ]
    for part in ("seconds", "memory_gb"):
        name = next((one for one in USUAL[part] if one in frame.columns), None)
        what = pl.lit(None) if name is None else pl.col(name)
        columns.append(what.cast(pl.Float64, strict=False).alias(part))
    found = []
    for number, row in enumerate(frame.select(columns).iter_rows(named=True), start=1):
        where = f"{table.name} row {number}"
        if row["arm"] is None or row["place"] is None:
            raise InputError(f"{where}: arm or size is missing; fill it in or leave the row out")
        if row["seed"] is None:
            raise InputError(f"{where}: no seed; pairs need one: number an arm's runs from 0")
        value = row["value"]
        if value is None or not abs(value) < float("inf"):
            raise InputError(
                f"{where}: {names['value']} is {value}, not a finite number; leave crashed runs out"
            )
        found.append(
            _Row(number, row["arm"], row["place"], row["seed"], value, row["seconds"] or 0.0,
                 row["memory_gb"])
        )  # fmt: skip
    return found


def _event(loaded: Loaded, table: Path, row: _Row) -> Imported | None:
    """Return the event of a row; None if the study has this run already."""
    arm, where = _arm(loaded, row, table), f"{table.name} row {row.number}"
    rung, is_target = _place(loaded, row, where)
    state = loaded.state
    known = state.at_target.get(arm, {}) if is_target else state.losses(arm, rung)
    if not is_target and row.seed in state.requests.get((arm, rung), {}) and row.seed not in known:
        raise InputError(f"{where}: {arm} on {rung}, seed {row.seed} is being run by the study")
    if row.seed in known:
        if known[row.seed].value == row.value:
            return None
        raise InputError(
            f"{where}: {arm} on {rung}, seed {row.seed} is {known[row.seed].value} in the study "
            f"and {row.value} here; give it another seed or leave it out"
        )
    metrics = {} if row.memory_gb is None else {"peak_memory_gb": row.memory_gb}
    name = digest(["import", table.name, arm, rung, row.seed, row.value])
    result = TrialResult(
        name, TrialState.COMPLETE, value=row.value, seconds=row.seconds, metrics=metrics
    )
    return Imported(arm, rung, row.seed, result, table.name, is_target)


def _arm(loaded: Loaded, row: _Row, table: Path) -> str:
    state = loaded.state
    if row.arm in state.changes or row.arm in state.bases:
        return row.arm
    if row.arm == "baseline":
        return next(iter(state.bases))
    titled = [  # a change that was measured again keeps its title: its first form is meant
        arm
        for arm, proposed in state.changes.items()
        if proposed.change.title == row.arm and not proposed.rescreens
    ]
    if len(titled) == 1:
        return titled[0]
    if titled:
        raise InputError(
            f"{table.name} row {row.number}: '{row.arm}' is the title of {', '.join(titled)}; "
            "say which by its id"
        )
    titles = (proposed.change.title for proposed in state.changes.values())
    known = [*state.bases, *state.changes, "baseline", *titles]
    raise InputError(
        f"{table.name} row {row.number}: arm '{row.arm}' is not in the study; "
        f"{nearest(row.arm, known)}"
    )


def _place(loaded: Loaded, row: _Row, where: str) -> tuple[str, bool]:
    """Return the rung that a row belongs to, and whether it is the target."""
    ladder = loaded.ladder
    sizes = {rung.name: rung.scale for rung in ladder.rungs} | {ladder.target_name: ladder.target}
    if row.place in sizes:
        return row.place, row.place not in {rung.name for rung in ladder.rungs}
    try:
        scale = float(row.place)
    except ValueError:
        raise InputError(
            f"{where}: size '{row.place}' is no rung; {nearest(row.place, sizes)}"
        ) from None
    for rung in ladder.rungs:
        if abs(scale / rung.scale - 1) <= NEAR:
            return rung.name, False
    if abs(scale / ladder.target - 1) <= NEAR:
        return ladder.target_name, True
    held = ", ".join(f"{name} {value:g}" for name, value in sizes.items())
    raise InputError(
        f"{where}: scale {scale:g} is neither a rung's nor the target's ({held}); effects are "
        "taken at equal compute: leave it out, or add a rung in a new study"
    )


def _check_unique(table: Path, rows: list[_Row], loaded: Loaded) -> None:
    seen: dict[tuple[str, str, int], int] = {}
    for row in rows:
        place, _ = _place(loaded, row, f"{table.name} row {row.number}")
        key = (_arm(loaded, row, table), place, row.seed)
        if key in seen:
            raise InputError(
                f"{table.name} row {row.number}: repeats row {seen[key]} ({key[0]} on {key[1]}, "
                f"seed {key[2]}); keep one"
            )
        seen[key] = row.number
