"""What a tree's editable files say once layout is taken away: equal programs are one program.

Comments, docstrings, blank lines and the like change no result, and neither does a change of
nothing but seeds change a method: both are told here by syntax trees.
"""

import ast
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from miniscale.setting.trial import Scalar, digest
from miniscale.source.source_text import read_source
from miniscale.tree.patch import Paths

_SEEDERS = ("seed", "default_rng", "randomstate", "prngkey", "generator")
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What the parser raises on text that is no program; the last two come of deep nesting."""


def editable_texts(tree: Path, paths: Paths) -> dict[str, str]:
    """Return the text of a tree's editable files by name; empty where there is no tree.

    Line ends are line feeds; bytes that a file's encoding lacks become replacement characters.
    """
    texts = {}
    for pattern in paths.editable:
        for path in tree.glob(pattern) if tree.is_dir() else ():
            name = path.relative_to(tree).as_posix()
            if path.is_file() and not path.is_symlink() and paths.is_editable(name):
                texts[name] = read_source(name, path.read_bytes())
    return dict(sorted(texts.items()))


def program_digest(texts: Mapping[str, str], knobs: Mapping[str, Scalar]) -> str:
    """Name a program by what it does: equal digests differ in layout at most."""
    return digest({"files": {n: _digest(n, t) for n, t in texts.items()}, "knobs": dict(knobs)})


def syntax_error(name: str, text: str) -> str:
    """Say why a file is no program of its language; empty for what parses or is no Python."""
    if not name.endswith(".py"):
        return ""
    try:
        ast.parse(text)
    except SyntaxError as error:
        shown = (error.text or "").strip()[:120]
        return f"{name}:{error.lineno}: {error.msg}: {shown!r}"
    except BROKEN as error:
        return f"{name}: cannot be parsed ({type(error).__name__}: {str(error)[:120]})"
    return ""


def is_seed_change(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether files differ, and in nothing but seeds."""
    differing = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
    changed = [
        n for n in differing if _digest(n, before.get(n, "")) != _digest(n, after.get(n, ""))
    ]
    return bool(changed) and all(
        n.endswith(".py") and _seedless(before.get(n, "")) == _seedless(after.get(n, ""))
        for n in changed
    )


def is_retuned(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether files differ in literal numbers alone: such an edit is one of hyper-parameters."""
    changed = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
    return bool(changed) and all(
        n.endswith(".py") and _numberless(before.get(n, "")) == _numberless(after.get(n, ""))
        for n in changed
    )


def _digest(name: str, text: str) -> str:
    normal = _normal(text) if name.endswith(".py") else None
    if normal is None:
        normal = "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    return hashlib.sha256(normal.encode("utf-8", "replace")).hexdigest()


def _dumped(text: str, *passes: ast.NodeTransformer) -> str | None:
    """Return the syntax tree as text after some passes over it; None if there is none."""
    try:
        tree: ast.AST = ast.parse(text)
        for visitor in (_NoDocstrings(), *passes):
            tree = visitor.visit(tree)
        return ast.dump(tree)
    except BROKEN:
        return None


@lru_cache(maxsize=64)
def _normal(text: str) -> str | None:
    return _dumped(text)


@lru_cache(maxsize=16)
def _seedless(text: str) -> str | None:
    return _dumped(text, _NoSeeds()) or text


@lru_cache(maxsize=16)
def _numberless(text: str) -> str | None:
    return _dumped(text, _NoNumbers()) or text


class _NoDocstrings(ast.NodeTransformer):
    """Drops statements that are only a string."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        self.generic_visit(node)
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


class _NoNumbers(ast.NodeTransformer):
    """Makes all literal numbers one, their signs included."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        return ast.Constant(0) if is_number else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        is_sign = isinstance(node.op, ast.USub | ast.UAdd) and isinstance(
            node.operand, ast.Constant
        )
        return node.operand if is_sign else node


class _NoSeeds(ast.NodeTransformer):
    """Makes whatever seeds something zero: arguments, keywords, assigned names, dict entries."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = ast.unparse(node.func).rpartition(".")[2].lower()
        if any(word in name for word in _SEEDERS) or name == "random":
            node.args = [ast.Constant(0) for _ in node.args]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if "seed" in (node.arg or "").lower():
            node.value = ast.Constant(0)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if all("seed" in ast.unparse(target).lower() for target in node.targets):
            node.value = ast.Constant(0)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and "seed" in ast.unparse(node.target).lower():
            node.value = ast.Constant(0)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        for index, key in enumerate(node.keys):
            if isinstance(key, ast.Constant) and "seed" in str(key.value).lower():
                node.values[index] = ast.Constant(0)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        positional = [*node.posonlyargs, *node.args]
        named = positional[len(positional) - len(node.defaults) :]
        for index, argument in enumerate(named):
            if "seed" in argument.arg.lower():
                node.defaults[index] = ast.Constant(0)
        for index, argument in enumerate(node.kwonlyargs):
            if "seed" in argument.arg.lower() and node.kw_defaults[index] is not None:
                node.kw_defaults[index] = ast.Constant(0)
        return node
