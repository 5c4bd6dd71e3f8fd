"""A lab that answers from a table of runs made elsewhere; it runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from miniscale.setting.decode import InputError, nearest
from transfer.arm_table import BASELINE, ArmRow, read_arm_table
from transfer.change import Change
from transfer.design.space.candidate_sizes import Cell, Seen, Trial, rung_of
from transfer.design.space.price import work
from transfer.design.space.shrink_dials import Shrinkable
from transfer.design.space.shrink_rules import Path as Way

REFERENCE = "reference"
PRICES = ("seconds", "cost")


class TableLab:
    """Runs by path, size, arm and seed.

    Columns: ``path``, ``rung`` (the size's name), the dials under their own names (what is absent
    is as in the expensive form), ``arm`` (a change's name in the panel, ``baseline``, or
    ``knob*factor`` of a sweep), ``seed``, the objective under its own name or as ``value``, and
    ``seconds`` or ``cost``. A row without a number is a trial that failed.
    """

    def __init__(self, path: Path, form: Shrinkable, objective: str) -> None:
        prices = {name: (name,) for name in PRICES}
        dials = {name: (name,) for name in form.dials}
        table = read_arm_table(
            path, objective, sizes=("rung",), has_paths=True, numbers={**prices, **dials}
        )
        if not table.numbers & prices.keys():
            raise InputError(
                f"{path.name}: no column 'seconds' or 'cost'; what a trial took must be known"
            )
        self.name = path.name
        self.rows = table.rows
        self._form = form
        self._seen: dict[tuple[str, str, str, int], Seen] = {}
        for row in self.rows:
            key, seen = (row.path, row.size, row.arm, row.seed), self._read(row)
            if self._seen.setdefault(key, seen).value != seen.value:
                what = f"{key[2]} on {key[0]} {key[1]}, seed {key[3]}"
                raise InputError(
                    f"{path.name}: {what} stands there twice with two values; keep one"
                )

    @staticmethod
    def _read(row: ArmRow) -> Seen:
        seconds = row.numbers.get("seconds") or 0.0
        cost = row.numbers.get("cost") or seconds
        if row.value is None:
            return Seen(None, seconds, cost, "the table holds no number")
        return Seen(row.value, seconds or cost, cost)

    def cells(self, paths: Sequence[Way]) -> tuple[list[Cell], Cell, list[str]]:
        """Return the cells of the table on some paths, the reference, and notes.

        The reference is the size whose dials are the expensive form's, on whatever path it is.

        Raises
        ------
        InputError
            If there is none.
        """
        by_path = {path.name: path for path in paths}
        sizes: dict[tuple[str, str], dict[str, float]] = {}
        for row in self.rows:
            sizes.setdefault((row.path, row.size), self._dials(row.numbers))
        top = None
        found = []
        for (path, rung), dials in sizes.items():
            if dials == self._form.expensive and (top is None or path == REFERENCE):
                top = self._cell(Way(path, {}), rung, dials)
            elif path in by_path and dials != self._form.expensive:
                found.append(self._cell(by_path[path], rung, dials))
        unknown = sorted({p for p, _ in sizes} - by_path.keys() - {REFERENCE})
        notes = [
            f"table: path {p} is none of this design's and is left out; {nearest(p, by_path)}"
            for p in unknown
        ]
        notes += [
            f"table: sweeps of '{knob}' are left out: it is not in design.rules;"
            f" {nearest(knob, self._form.rules)}"
            for knob in sorted(self.factors().keys() - set(self._form.rules))
        ]
        if top is None:
            held = ", ".join(f"{name} {value:g}" for name, value in self._form.expensive.items())
            raise InputError(f"{self.name}: no run of the expensive form ({held}); add its rows")
        name, arm = top.name.removeprefix(f"{top.path}_"), BASELINE
        if not any(s.value is not None and k[:3] == (top.path, name, arm)
                   for k, s in self._seen.items()):  # fmt: skip
            raise InputError(
                f"{self.name}: no run of arm '{arm}' on {name}, the expensive form, leaves a "
                "number; add its rows"
            )
        return found, top, notes

    def _dials(self, numbers: Mapping[str, float | None]) -> dict[str, float]:
        found = {}
        for name, dial in self._form.dials.items():
            value = numbers.get(name)
            near = value is None or abs(value / dial.value - 1) < 1e-3
            found[name] = dial.value if near or value is None else float(value)
        return found

    def _cell(self, path: Way, rung: str, dials: Mapping[str, float]) -> Cell:
        mine = [
            seen for (p, r, arm, _), seen in self._seen.items()
            if (p, r, arm) == (path.name, rung, BASELINE) and seen.value is not None
        ]  # fmt: skip
        cost = float(np.median([s.cost for s in mine])) if mine else work(self._form, dials)
        seconds = float(np.median([s.seconds for s in mine])) if mine else cost
        made = rung_of(self._form, path, dials, name=f"{path.name}_{rung}", cost=cost,
                       seconds=seconds, rules={})  # fmt: skip
        return Cell(path.name, dict(dials), replace(made, seconds=seconds))

    def run(self, trials: Sequence[Trial], changes: Mapping[str, Change]) -> list[Seen | None]:
        """Look trials up; None for those that the table lacks."""
        return [
            self._seen.get(
                (t.cell.path, t.cell.name.removeprefix(f"{t.cell.path}_"), t.arm, t.seed)
            )
            for t in trials
        ]

    def factors(self) -> dict[str, tuple[float, ...]]:
        """Return the factors of each knob that the table has sweeps of, 1 among them."""
        found: dict[str, set[float]] = {}
        for row in self.rows:
            knob, star, factor = row.arm.partition("*")
            if star:
                found.setdefault(knob, {1.0}).add(_factor(row.arm, factor))
        return {knob: tuple(sorted(factors)) for knob, factors in found.items()}


def _factor(arm: str, text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise InputError(f"table: arm '{arm}': a sweep's is knob*factor, with a number above 0")
    return factor
