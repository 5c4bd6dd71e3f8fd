"""Constants in a Python source as places for values: found and set on the syntax tree.

A place is ``NAME`` for a module's first assignment to it, ``Class.name`` for one in a class,
``torch.manual_seed()`` for the first argument of every such call. Nothing but the value's own
characters changes: comments, layout, line ends and encoding stay.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from miniscale.source.source_text import form_of

Value = bool | int | float | str
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_LARGEST = 1e18
"""Beyond it no size or rate is meant; and a power of powers must not be worked out."""


class NoConstant(ValueError):
    """A source without the place that is asked for; the message says so in a line."""


@dataclass(frozen=True)
class Constant:
    """What stands at a place: its value where it is a plain one, and its words."""

    value: Value | None
    words: str


def read_constants(name: str, content: bytes, places: Iterable[str]) -> dict[str, Constant]:
    """Return what a source has at each place.

    Raises
    ------
    NoConstant
        If it is no Python, or a place is not there.
    """
    module = _parsed(name, _decoded(name, content))
    return {place: _constant(_nodes(module, place, name)[0]) for place in places}


def set_constants(name: str, content: bytes, values: Mapping[str, Value]) -> bytes:
    """Return a source with values at its places.

    Raises
    ------
    NoConstant
        If it is no Python, or a place is not there.

    Examples
    --------
    >>> set_constants("t.py", b"DEPTH = 8  # layers", {"DEPTH": 4})
    b'DEPTH = 4  # layers'
    """
    text = _decoded(name, content)
    lines = _LINES.findall(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    module = _parsed(name, text)
    spans = []
    for place, value in values.items():
        for node in _nodes(module, place, name):
            begin = starts[node.lineno - 1] + _column(lines, node.lineno, node.col_offset)
            end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0
            end = starts[end_line - 1] + _column(lines, end_line, end_column)
            spans.append((begin, end, repr(value)))
    for begin, end, words in sorted(spans, reverse=True):
        text = text[:begin] + words + text[end:]
    return content[:3] * content.startswith(b"\xef\xbb\xbf") + text.encode(
        form_of(name, content).encoding
    )


def carried(wanted: Value, *, first: Value | None, now: Value | None) -> Value:
    """Return a wanted value with what a change made of the constant: its factor, else its offset.

    A whole number stays one, and an edit never rounds away.

    Examples
    --------
    >>> carried(4, first=8, now=16), carried(4, first=8, now=9), carried(0.5, first=0.2, now=0.1)
    (8, 5, 0.25)
    """
    if not (_is_number(wanted) and _is_number(first) and _is_number(now)) or now == first:
        return wanted
    value = wanted * now / first if first else wanted + now
    if isinstance(wanted, float) or isinstance(now, float):
        return float(value)
    whole = round(value)
    return whole if whole != wanted else wanted + (1 if now > first else -1)


def as_literal(text: str) -> Value:
    """Read a filled template as Python would: a number, a truth value, or else text.

    >>> as_literal("4"), as_literal("1e-3"), as_literal("True"), as_literal("gelu")
    (4, 0.001, True, 'gelu')
    """
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decoded(name: str, content: bytes) -> str:
    return content.decode(form_of(name, content).encoding, errors="replace").removeprefix("\ufeff")


def _parsed(name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NoConstant(f"{name}: no Python that can be read ({error})") from None


def _column(lines: list[str], number: int, offset: int) -> int:
    """Turn an offset in UTF-8 bytes into one in characters."""
    return len(lines[number - 1].encode()[:offset].decode())


def _nodes(module: ast.Module, place: str, name: str) -> list[ast.expr]:
    """Return the expressions at a place: one of an assignment, all of a call."""
    nodes = list(_called(module, place.partition("(")[0])) if place.endswith(")") else []
    if not place.endswith(")"):
        owner, _, attribute = place.rpartition(".")
        body = next(_bodies(module, owner), []) if owner else module.body
        nodes = list(_assigned(body, attribute))[:1]
    if not nodes:
        what = "calls no" if place.endswith(")") else "assigns no"
        raise NoConstant(f"{name} {what} {place!r}")
    return nodes


def _bodies(module: ast.Module, owner: str) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            yield node.body


def _assigned(body: Iterable[ast.stmt], name: str) -> Iterator[ast.expr]:
    """Yield what is assigned to a name, in order, in branches too but in no function."""
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_meant = any(isinstance(t, ast.Name) and t.id == name for t in targets)
            if is_meant and node.value is not None:
                yield node.value
        for inner in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _assigned(getattr(node, inner, []), name)


def _called(module: ast.Module, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            argument = node.args[0] if node.args else next((k.value for k in node.keywords), None)
            if argument is not None:
                yield argument


def _constant(node: ast.expr) -> Constant:
    return Constant(_value(node), ast.unparse(node))


def _value(node: ast.expr) -> Value | None:
    """Return what an expression of literals is worth; None for any other."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, bool | int | float | str) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        return -value if _is_number(value) else None
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _value(node.left), _value(node.right)
        is_power = isinstance(node.op, ast.Pow)
        if not (_is_number(left) and _is_number(right)) or (is_power and abs(right) > 64):
            return None
        try:
            value = _ARITHMETIC[type(node.op)](left, right)
        except (ArithmeticError, ValueError):
            return None
        return value if _is_number(value) and abs(value) <= _LARGEST else None
    return None
