"""What a program can be told: one option, wherever it is declared, and how it is typed."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from miniscale.setting.trial import Scalar

MOST_EXPONENT = 64
"""Of a power in source that is read; a larger one is no default of anything."""
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class OptionStyle(StrEnum):
    """How a program is told of an option."""

    EQUALS = "--name=value"
    SPACE = "--name value"
    FLAG = "--name"
    HYDRA = "name=value"
    CONSTANT = "a constant in the source"


@dataclass(frozen=True)
class ProgramOption:
    """One value that a program can be told."""

    name: str
    default: Scalar | None
    """None if there is none, or it is computed."""
    style: OptionStyle
    file: str
    """Where it is declared, seen from the repository."""
    about: str = ""
    choices: tuple[Scalar, ...] = ()

    @property
    def key(self) -> str:
        """Its name as a placeholder.

        >>> ProgramOption("optim.max-lr", 1.0, OptionStyle.EQUALS, "train.py").key
        'optim_max_lr'
        """
        return self.name.replace("-", "_").replace(".", "_")

    @property
    def number(self) -> float | None:
        """Its default as a number, None if it is none."""
        if isinstance(self.default, bool | str | None) or not math.isfinite(self.default):
            return None
        return self.default

    def words(self, value: str) -> tuple[str, ...]:
        """Return the words of a command line that set it.

        >>> ProgramOption("lr", 1.0, OptionStyle.SPACE, "train.py").words("{lr}")
        ('--lr', '{lr}')
        """
        match self.style:
            case OptionStyle.HYDRA:
                return (f"{self.name}={value}",)
            case OptionStyle.SPACE:
                return (f"--{self.name}", value)
            case OptionStyle.EQUALS:
                return (f"--{self.name}={value}",)
        return ()


def read_constant(node: ast.expr | None) -> Scalar | None:
    """Return the value of a literal, or of plain arithmetic on some; None for anything else.

    >>> read_constant(ast.parse("80 * 2**19", mode="eval").body)
    41943040
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = read_constant(operand)
            return None if isinstance(inner, bool | str | None) else -inner
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(read_constant(left), op, read_constant(right))
    return None


def _arithmetic(left: Scalar | None, op: ast.operator, right: Scalar | None) -> Scalar | None:
    if isinstance(left, bool | str | None) or isinstance(right, bool | str | None):
        return None
    try:
        if isinstance(op, ast.Pow):
            return float(left) ** right if isinstance(right, float) else _power(left, right)
        return _OPERATORS[type(op)](left, right) if type(op) in _OPERATORS else None
    except (ArithmeticError, ValueError):
        return None


def _power(base: float, exponent: int) -> float | None:
    is_small = abs(exponent) <= MOST_EXPONENT and abs(base) <= 1e6
    power: float = base**exponent if is_small else math.nan
    return power if is_small else None
