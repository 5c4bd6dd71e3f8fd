"""From options of ``python -m scaling`` to table, law, objective and points: the question."""

import importlib
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling.fit.bootstrap import Ensemble, resample
from scaling.fit.form_fit import fit_form
from scaling.fit.objective import FitObjective, LossKind
from scaling.isoflop import FlopsRule, flops_rule
from scaling.law.form import Form
from scaling.law.law_catalogue import HOFFMANN, LAWS, POWER
from scaling.report.report import Report, Sheet
from scaling.table.columns import SCALES, ColumnRole
from scaling.table.read import TableError
from scaling.table.run_table import RunTable, read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What a command is asked about: a table, a law and the scales that the law takes of it."""

    options: Namespace
    table: RunTable
    form: Form
    scales: tuple[Array, ...]

    @property
    def compute(self) -> Array:
        """FLOPs by row, or the one scale there is."""
        return self.table.scale(ColumnRole.FLOPS) if len(self.scales) == 2 else self.scales[0]

    @property
    def axis(self) -> str:
        """What the table's main scale is called."""
        return {"flops": "FLOPs"}.get(self.table.main_scale, str(self.table.main_scale))

    @property
    def flops_rule(self) -> FlopsRule:
        """FLOPs per parameter and token by size, for a law of both."""
        return flops_rule(self.scales[0], self.scales[1], self.compute)

    def compute_at(self, *scales: Array) -> Array:
        """Return the compute of runs at scales of the law, by the table's own FLOPs."""
        if len(scales) == 1:
            return scales[0]
        return scales[0] * scales[1] * self.flops_rule(np.log(scales[0]))

    def make_rng(self) -> np.random.Generator:
        """Return a generator at its start, so that every use of it draws the same."""
        return np.random.default_rng(self.options.resample_seed)

    def refit(self) -> Ensemble:
        """Fit the law to the table and to resamples of its runs."""
        loss, kind = self.table.loss, objective(self.options)
        fit = fit_form(self.form, *self.scales, loss=loss, objective=kind, n_polished=12)
        return resample(fit, self.options.resamples, self.make_rng(), run=self.table.run)

    def report(
        self,
        lines: Sequence[str],
        sheets: Sequence[Sheet],
        figure: "Figure",
        *,
        series: Mapping[str, tuple[Array, Array]] | None = None,
        warnings: Sequence[str] = (),
    ) -> Report:
        """Return a command's answer with what the table warns of."""
        curves = {name: (x.tolist(), y.tolist()) for name, (x, y) in (series or {}).items()}
        title = f"{self.options.command} {self.options.name}"
        noted = (*_notes(self.table), *warnings)
        return Report(title, tuple(lines), tuple(sheets), noted, figure, curves, self.axis)


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
        is_perplexity_given=options.perplexity,
        keeps_last=options.last,
        allow=options.allow,
    )
    for name in options.only:
        table = table.arm(name)
    return table


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


def ask(options: Namespace, table: RunTable | None = None) -> Question:
    """Read the table that the options name, unless it is given, and choose law and scales."""
    read = (load(options) if table is None else table).check_one_recipe()
    form = form_of(options.law, read)
    return Question(options, read, form, read.scales_for(form, x_role(options)))


def _notes(table: RunTable) -> tuple[str, ...]:
    return tuple(f"{note.code}: {note.text}" for note in table.notes)
