"""What a change must keep beside its gain: memory, time, tests, a second metric."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from miniscale.setting.decode import InputError

TOLERANCE = 1e-9
"""Share within which two numbers are equal: what adding floats in another order moves."""
ALIASES: Mapping[str, tuple[str, ...]] = {
    "seconds": ("trainer_seconds",),
    "memory": ("peak_memory_gb",),
    "memory_gb": ("peak_memory_gb",),
    "parameters": ("params", "n_params", "num_params", "num_parameters"),
}
"""Name in a constraint -> what trials may report it as; its own name comes first."""
_FORM = re.compile(r"\s*(<=|>=|==|<|>|=)\s*([-+]?)([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(x?)\s*")


class Against(StrEnum):
    """What a limit is set against."""

    NOTHING = "nothing"
    DIFFERENCE = "difference"
    FACTOR = "factor"


@dataclass(frozen=True)
class Constraint:
    """A limit on one number of a trial: as it is, less the baseline's, or over it."""

    name: str
    relation: str
    """``<=``, ``>=``, ``<``, ``>`` or ``==``."""
    limit: float
    against: Against

    @property
    def words(self) -> str:
        """The constraint as it was written: ``memory_gb <= 1.1x``."""
        return f"{self.name} {self.relation} {self.write(self.limit)}"

    def write(self, value: float) -> str:
        """Write a value in the constraint's own terms.

        >>> parse_constraint("memory", "<= 1.1x", path="p").write(1.25)
        '1.25x'
        """
        if self.against is Against.FACTOR:
            return "over 1000x" if value > 1000 else f"{value:.4g}x"
        return f"{value:+.4g}" if self.against is Against.DIFFERENCE else f"{value:.4g}"

    def excess(self, value: float) -> float:
        """Return how far a value lies beyond the limit; not above zero where it keeps it."""
        if math.isinf(value):
            is_over = (value > 0) == (self.relation[0] == "<")
            return math.inf if is_over or self.relation == "==" else -math.inf
        scale = TOLERANCE * max(abs(self.limit), abs(value))
        if self.relation == "==":
            return abs(value - self.limit) - scale
        beyond = value - self.limit if self.relation[0] == "<" else self.limit - value
        return beyond - scale if "=" in self.relation else beyond + scale


def parse_constraint(name: str, text: str, *, path: str) -> Constraint:
    """Read a limit: ``<= 1.1x`` of the baseline's, ``>= -0.002`` more than it, ``== 1`` itself.

    Raises
    ------
    InputError
        If it is none.

    >>> parse_constraint("tests_pass", "== 1", path="p").words
    'tests_pass == 1'
    >>> parse_constraint("val_acc", ">= -0.002", path="p").against
    <Against.DIFFERENCE: 'difference'>
    """
    match = _FORM.fullmatch(text)
    try:
        size = float(match[3]) if match else None
    except ValueError:
        size = None
    if match is None or size is None or (match[2] and match[4]):
        raise InputError(
            f"{path}.{name}: got {text!r}, must be a relation and a limit; write '<= 1.1x' for "
            "1.1 times the baseline's, '>= -0.002' for at most .002 below it, '== 1' for itself"
        )
    relation = "==" if match[1] == "=" else match[1]
    if match[4]:
        return Constraint(name, relation, size, Against.FACTOR)
    if match[2]:
        signed = -size if match[2] == "-" else size
        return Constraint(name, relation, signed, Against.DIFFERENCE)
    return Constraint(name, relation, size, Against.NOTHING)


def parse_constraints(written: Mapping[str, str], *, path: str) -> tuple[Constraint, ...]:
    """Read all constraints of a ladder or a setting.

    Raises
    ------
    InputError
        At the first that is none.
    """
    return tuple(parse_constraint(name, text, path=path) for name, text in written.items())


def number_of(metrics: Mapping[str, float], name: str) -> float | None:
    """Return a trial's number by the name that a constraint has for it.

    >>> number_of({"peak_memory_gb": 2.0}, "memory")
    2.0
    """
    names = (name, *ALIASES.get(name, ()))
    return next((metrics[each] for each in names if each in metrics), None)
