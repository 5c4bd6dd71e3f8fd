"""From options of ``python -m scaling`` to table, law, objective and points."""

import importlib
from argparse import Namespace

import numpy as np
from numpy.typing import NDArray

from scaling.fit.objective import FitObjective, LossKind
from scaling.law.form import Form
from scaling.law.laws import HOFFMANN, LAWS, POWER
from scaling.table.columns import SCALES, ColumnRole
from scaling.table.read import TableError
from scaling.table.run_table import RunTable, read_table

Array = NDArray[np.float64]


def load(options: Namespace) -> RunTable:
    """Read the table that the options name."""
    given = {role: getattr(options, role, None) for role in ColumnRole}
    constants = {}
    for text in options.set:
        name, _, value = text.partition("=")
        if name not in SCALES:
            raise TableError("bad-option", f"--set {text}: use NAME=NUMBER, NAME one of {SCALES}")
        constants[ColumnRole(name)] = _positive(value, f"--set {text}")
    table = read_table(
        options.table,
        columns={role: name for role, name in given.items() if name},
        constants=constants,
        state=options.state,
        drop_top=options.drop_top,
        allow=options.allow,
    )
    return table.arm(options.only) if options.only else table


def form_of(name: str | None, table: RunTable) -> Form:
    """Return the law asked for; by default Hoffmann's where parameters and tokens are known.

    ``module:OBJECT`` names a form of one's own.
    """
    if name is None:
        both = {ColumnRole.PARAMETERS, ColumnRole.TOKENS} <= set(table.frame.columns)
        return HOFFMANN if both else POWER
    if name in LAWS:
        return LAWS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise TableError("no-law", f"no law '{name}'; one of {', '.join(LAWS)}, or module:OBJECT")
    try:
        form = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TableError("no-law", f"law '{name}': {error}") from error
    if not isinstance(form, Form):
        raise TableError("no-law", f"law '{name}' is no scaling.law.form.Form")
    return form


def objective(options: Namespace) -> FitObjective:
    """Return the objective asked for."""
    return FitObjective(LossKind(options.objective), options.delta)


def x_role(options: Namespace) -> ColumnRole | None:
    """Return the scale that a law of one variable uses, if it was named."""
    return ColumnRole(options.x) if options.x else None


def _positive(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise TableError("bad-option", f"{option}: '{text}' is no positive number")
    return value


def points(texts: list[str], n: int) -> tuple[Array, ...]:
    """Return points given as N,D or as one number, one array a scale."""
    rows = [[_positive(part, f"--at {text}") for part in text.split(",")] for text in texts]
    if any(len(row) != n for row in rows):
        shape = "N,D" if n == 2 else "one number"
        raise TableError("bad-option", f"--at {' '.join(texts)}: this law needs {shape}")
    return tuple(np.array(rows).T)


def target(options: Namespace, scales: Array) -> tuple[float, ...]:
    """Return where the gain is asked for: given, or the arm's largest run."""
    if options.at:
        return tuple(float(v[0]) for v in points(options.at, len(scales)))
    return tuple(float(v) for v in scales[:, int(np.argmax(scales.prod(0)))])
