"""What a literal in Python source is worth, plain arithmetic included: ``524288`` of ``2**19``."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

Value = bool | int | float | str
LARGEST = 1e18
"""Beyond it no size or rate is meant; and a power of powers must not be worked out."""
MOST_EXPONENT = 64
"""Of a power in source that is read; a larger one is no default of anything."""
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def read_literal(node: ast.expr | None) -> Value | None:
    """Return what an expression of literals is worth; None for any other, or beyond 1e18.

    Raises
    ------
    RecursionError
        If the expression is nested some hundred deep.

    Examples
    --------
    >>> read_literal(ast.parse("80 * 2**19", mode="eval").body)
    41943040
    """
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool | str):
            return value
        return value if is_number(value) and abs(value) <= LARGEST else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = read_literal(node.operand)
        return -value if is_number(value) else None
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = read_literal(node.left), read_literal(node.right)
        is_power = isinstance(node.op, ast.Pow)
        if not (is_number(left) and is_number(right)) or (is_power and abs(right) > MOST_EXPONENT):
            return None
        try:
            value = _ARITHMETIC[type(node.op)](left, right)
        except (ArithmeticError, ValueError):
            return None
        return value if is_number(value) and abs(value) <= LARGEST else None
    return None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, truth values left out."""
    return isinstance(value, int | float) and not isinstance(value, bool)
