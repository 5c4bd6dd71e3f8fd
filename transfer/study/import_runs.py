"""Runs made elsewhere become trials of a study, and score its claims where made at the target."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from miniscale.setting.decode import InputError, nearest
from miniscale.setting.trial import TrialResult, TrialState, digest
from transfer.arm_table import BASELINE, SIZES, ArmRow, read_arm_table
from transfer.events import Imported
from transfer.journal.load import Loaded
from transfer.journal.store import Journal

NEAR = 0.005
"""Relative distance within which a scale is a rung's own."""
MEASURES: Mapping[str, tuple[str, ...]] = {
    "seconds": ("seconds", "train_s", "wall_s", "runtime"),
    "memory_gb": ("memory_gb", "peak_memory_gb"),
}
"""What is taken of a run beside its loss -> usual names of its column."""


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
    seen: dict[tuple[str, str, int], int] = {}
    events = [event for row in rows if (event := _event(loaded, table, row, seen)) is not None]
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


def _read(loaded: Loaded, path: Path) -> list[ArmRow]:
    table = read_arm_table(
        path,
        loaded.ladder.setting.objective.name,
        sizes=("rung", "scale", loaded.ladder.scale_name, *SIZES),
        numbers=MEASURES,
    )
    for row in table.rows:
        if row.value is None:
            raise InputError(
                f"{table.name} row {row.number}: {table.objective} is not a finite number; leave "
                "crashed runs out"
            )
    return list(table.rows)


def _event(
    loaded: Loaded, table: Path, row: ArmRow, seen: dict[tuple[str, str, int], int]
) -> Imported | None:
    """Return the event of a row; None if the study has this run already.

    ``seen`` is arm, rung and seed -> the row that has them; this one is entered.
    """
    arm, where = _arm(loaded, row, table), f"{table.name} row {row.number}"
    rung, is_target = _place(loaded, row, where)
    earlier = seen.setdefault((arm, rung, row.seed), row.number)
    if earlier != row.number:
        raise InputError(
            f"{where}: repeats row {earlier} ({arm} on {rung}, seed {row.seed}); keep one"
        )
    state = loaded.state
    known = state.trials.at_target.get(arm, {}) if is_target else state.trials.losses(arm, rung)
    if (
        not is_target
        and row.seed in state.trials.requests.get((arm, rung), {})
        and row.seed not in known
    ):
        raise InputError(f"{where}: {arm} on {rung}, seed {row.seed} is being run by the study")
    if row.seed in known:
        if known[row.seed].value == row.value:
            return None
        raise InputError(
            f"{where}: {arm} on {rung}, seed {row.seed} is {known[row.seed].value} in the study "
            f"and {row.value} here; give it another seed or leave it out"
        )
    memory_gb, seconds = row.numbers.get("memory_gb"), row.numbers.get("seconds") or 0.0
    metrics = {} if memory_gb is None else {"peak_memory_gb": memory_gb}
    name = digest(["import", table.name, arm, rung, row.seed, row.value])
    result = TrialResult(
        name, TrialState.COMPLETE, value=row.value, seconds=seconds, metrics=metrics
    )
    return Imported(arm, rung, row.seed, result, table.name, is_target)


def _arm(loaded: Loaded, row: ArmRow, table: Path) -> str:
    state = loaded.state
    if row.arm in state.changes or row.arm in state.bases:
        return row.arm
    if row.arm == BASELINE:
        return next(iter(state.bases))
    titled = [  # a change that was measured again keeps its title: its first form is meant
        arm
        for arm, record in state.changes.items()
        if record.change.title == row.arm and not record.proposed.rescreens
    ]
    if len(titled) == 1:
        return titled[0]
    if titled:
        raise InputError(
            f"{table.name} row {row.number}: '{row.arm}' is the title of {', '.join(titled)}; "
            "say which by its id"
        )
    titles = (record.change.title for record in state.changes.values())
    known = [*state.bases, *state.changes, BASELINE, *titles]
    raise InputError(
        f"{table.name} row {row.number}: arm '{row.arm}' is not in the study; "
        f"{nearest(row.arm, known)}"
    )


def _place(loaded: Loaded, row: ArmRow, where: str) -> tuple[str, bool]:
    """Return the rung that a row belongs to, and whether it is the target."""
    ladder = loaded.ladder
    sizes = {rung.name: rung.scale for rung in ladder.rungs} | {ladder.target_name: ladder.target}
    if row.size in sizes:
        return row.size, row.size not in {rung.name for rung in ladder.rungs}
    try:
        scale = float(row.size)
    except ValueError:
        raise InputError(
            f"{where}: size '{row.size}' is no rung; {nearest(row.size, sizes)}"
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
