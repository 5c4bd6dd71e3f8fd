"""Constants in a Python source as places for values: found and set on the syntax tree.

A place is ``NAME`` for a module's first assignment to it, ``Class.name`` for one in a class,
``torch.manual_seed()`` for the first argument of every such call. Nothing but the value's own
characters changes: comments, layout, line ends and encoding stay.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from miniscale.source.literals import LARGEST, Value, is_number, read_literal
from miniscale.source.source_text import form_of

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


class NoConstant(ValueError):
    """A source without the place that is asked for; the message says so in a line."""


@dataclass(frozen=True)
class Constant:
    """What stands at a place: its value where it is a plain one, and its words."""

    value: Value | None
    words: str
    others: tuple[str, ...] = ()
    """How often its name is bound in all, and what the later ones say: no trial sets those."""


def read_constants(name: str, content: bytes, places: Iterable[str]) -> dict[str, Constant]:
    """Return what a source has at each place.

    Raises
    ------
    NoConstant
        If it is no Python, or a place is not there.
    """
    with _in_one_line(name):
        module = _parsed(name, _decoded(name, content))
        return {place: _constant(module, place, name) for place in places}


def set_constants(name: str, content: bytes, values: Mapping[str, Value]) -> bytes:
    """Return a source with values at its places.

    Raises
    ------
    NoConstant
        If it is no Python, a place is not there, or two places want one spot to differ.

    Examples
    --------
    >>> set_constants("t.py", b"DEPTH = 8  # layers", {"DEPTH": 4})
    b'DEPTH = 4  # layers'
    """
    with _in_one_line(name):
        return _with_values(name, content, values)


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """Make whatever a hostile source can raise a :class:`NoConstant`."""
    try:
        yield
    except NoConstant:
        raise
    except (RecursionError, ValueError, OverflowError, MemoryError, LookupError) as error:
        why = f"{type(error).__name__}: {str(error)[:80]}"
        raise NoConstant(f"{name}: no constant can be had ({why})") from None


def _with_values(name: str, content: bytes, values: Mapping[str, Value]) -> bytes:
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
    for begin, end, words in reversed(_outermost(spans, name)):
        text = text[:begin] + words + text[end:]
    return content[:3] * content.startswith(b"\xef\xbb\xbf") + text.encode(
        form_of(name, content).encoding
    )


def _outermost(spans: Iterable[tuple[int, int, str]], name: str) -> list[tuple[int, int, str]]:
    """Return spans in order, without those inside of others that say the same."""
    kept: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
        elif span[2] != kept[-1][2]:
            raise NoConstant(
                f"{name}: {kept[-1][2]} and {span[2]} are wanted at one spot; set one of them"
            )
    return kept


def carried(wanted: Value, *, first: Value | None, now: Value | None) -> Value:
    """Return a wanted value with what a change made of the constant: its factor, else its offset.

    A whole number stays one. An edit does not round away, nor a size of 1 or more to nothing.

    Examples
    --------
    >>> carried(4, first=8, now=16), carried(4, first=8, now=9), carried(0.5, first=0.2, now=0.1)
    (8, 5, 0.25)
    """
    if not (is_number(wanted) and is_number(first) and is_number(now)) or now == first:
        return wanted
    with _in_one_line(f"a change's factor on {wanted!r}"):
        return _scaled(wanted, first, now)


def _scaled(wanted: int | float, first: int | float, now: int | float) -> int | float:
    value = wanted * now / first if first else wanted + now
    if not abs(value) < float("inf"):
        raise OverflowError("beyond all numbers")
    if isinstance(wanted, float) or isinstance(now, float):
        return float(value)
    whole = round(value)
    whole += 0 if whole != wanted else 1 if now > first else -1
    return max(whole, 1) if min(wanted, now) >= 1 else whole


def is_sane_edit(first: Value | None, now: Value | None) -> bool:
    """Whether a number's factor is one that a size or rate can take.

    >>> is_sane_edit(8, 16), is_sane_edit(1e-300, 1e17), is_sane_edit(8, None)
    (True, False, False)
    """
    if not (is_number(first) and is_number(now)):
        return False
    return not (first and now) or 1 / LARGEST <= abs(now / first) <= LARGEST


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
        if isinstance(node, ast.Call) and _is_named(node.func, name):
            argument = node.args[0] if node.args else next((k.value for k in node.keywords), None)
            if argument is not None:
                yield argument


def _is_named(node: ast.expr, name: str) -> bool:
    """Whether an expression is a dotted name, compared from its end."""
    *owners, first = reversed(name.split("."))
    for attribute in owners:
        if not (isinstance(node, ast.Attribute) and node.attr == attribute):
            return False
        node = node.value
    return isinstance(node, ast.Name) and node.id == first


def _constant(module: ast.Module, place: str, name: str) -> Constant:
    node = _nodes(module, place, name)[0]
    others = () if place.endswith(")") else _others(module, place)
    return Constant(read_literal(node), ast.unparse(node), others)


def _others(module: ast.Module, place: str) -> tuple[str, ...]:
    owner, _, name = place.rpartition(".")
    bodies = list(_bodies(module, owner)) if owner else [module.body]
    n_bound = sum(_binds(node, name) for body in bodies for node in _in_scope(body))
    n_bound += sum(_binds_from_afar(node, owner, name) for node in ast.walk(module))
    later = [ast.unparse(node) for body in bodies for node in _assigned(body, name)][1:]
    return (str(n_bound), *later)


def _in_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield all nodes that run where a body does: no inner part of a function or a class."""
    left = list(body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            left += ast.iter_child_nodes(node)


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return (node.asname or node.name.partition(".")[0]) == name
    return getattr(node, "name", None) == name  # functions, classes, errors, patterns


def _binds_from_afar(node: ast.AST, owner: str, name: str) -> bool:
    if isinstance(node, ast.Global):
        return not owner and name in node.names
    if owner and isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        return node.attr == name and _is_named(node.value, owner)
    return bool(owner) and isinstance(node, ast.ClassDef) and node.name == owner
