"""Where a program itself keeps the value of a knob, and how that place is edited.

An accepted knob has to be said in the files of whoever wrote the program: a default of argparse or
click, a constant or dataclass field of the script that the command runs, a key of a YAML file.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.trial import Scalar

FILE_BYTES = 2_000_000
_YAML = (".yaml", ".yml")
_PAIR = re.compile(r"^( *)([\w.-]+):(?: +([^#\n]*?))?( *#.*)?$")


@dataclass(frozen=True)
class Place:
    """A literal in a file: byte offsets, and what it reads as now."""

    file: str
    start: int
    end: int
    before: str
    what: str
    """What kind of place it is, in words."""

    @property
    def line_style(self) -> str:
        """``yaml`` or ``python``: how a value is written there."""
        return "yaml" if self.file.endswith(_YAML) else "python"


def find_place(tree: Path, command: Sequence[str], knob: str) -> Place | None:
    """Return where the files that a command names keep a knob; None if nowhere, or twice in one.

    Of several files that name it the last one counts: a configuration follows the script.

    Parameters
    ----------
    tree
        The checkout.
    command
        The argv that trains: scripts, ``-m`` modules and YAML files in it are searched.
    knob
        Its name; hyphens and underscores are one.
    """
    places: list[Place] = []
    named = program_files(tree, command)
    configs = [config for script in named for config in _hydra_config(tree, script)]
    for name in dict.fromkeys([*configs, *named]):
        content = (tree / name).read_bytes()
        if len(content) <= FILE_BYTES:
            search = _in_yaml if name.endswith(_YAML) else _in_python
            places += search(name, content, knob)
    kind = next((kind for kind in _ORDER if any(place.what == kind for place in places)), "")
    alike = [place for place in places if place.what == kind]
    last = [place for place in alike if place.file == alike[-1].file]
    return last[0] if len(last) == 1 else None


def edit_place(tree: Path, place: Place, value: Scalar) -> str:
    """Write a value there and return what now stands there."""
    path = tree / place.file
    content, written = path.read_bytes(), write_literal(value, place.line_style)
    path.write_bytes(content[: place.start] + written.encode() + content[place.end :])
    return written


def write_literal(value: Scalar, style: str) -> str:
    """Return a value as source text.

    >>> write_literal(True, "python"), write_literal(True, "yaml"), write_literal("a b", "yaml")
    ('True', 'true', "'a b'")
    """
    if style == "python":
        return repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # YAML 1.1 reads 1e-05 as text: a dot makes it a number
        text = repr(value)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return repr(value) if isinstance(value, str) else str(value)


def program_files(tree: Path, command: Sequence[str]) -> list[str]:
    """Return the scripts, modules and YAML files of the tree that a command names, in order."""
    names: dict[str, None] = {}
    for element, following in zip(command, [*command[1:], ""], strict=True):
        texts = [element.removeprefix("{tree}/"), element.rpartition("=")[2]]
        if element == "-m":
            stem = following.replace(".", "/")
            texts += [f"{stem}.py", f"{stem}/__main__.py"]
        for text in texts:
            if text.endswith((".py", *_YAML)) and _is_inside(tree, text):
                names[text] = None
    return list(names)


def _is_inside(tree: Path, name: str) -> bool:
    path = tree / name
    return (
        ".." not in Path(name).parts
        and not Path(name).is_absolute()
        and path.is_file()
        and not path.is_symlink()
    )


_DEFAULT, _CONSTANT, _FIELD, _KEY = (
    "the default of its option",
    "a constant",
    "a field",
    "a key",
)
_ORDER = (_KEY, _DEFAULT, _CONSTANT, _FIELD)
"""Which place counts where there are several: what is read last by usual programs."""


def _in_python(name: str, content: bytes, knob: str) -> Iterator[Place]:
    try:
        module = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    mark = len(b"\xef\xbb\xbf") if content.startswith(b"\xef\xbb\xbf") else 0
    for what, node in _literals(module, knob):
        if node.end_lineno is None or node.end_col_offset is None:
            continue
        shift = mark if node.lineno == 1 else 0
        start = starts[node.lineno - 1] + node.col_offset + shift
        end = starts[node.end_lineno - 1] + node.end_col_offset + shift
        place = Place(name, start, end, content[start:end].decode(errors="replace"), what)
        if _reads_as(place.before, node):  # columns count UTF-8, which the file may not be
            yield place


def _reads_as(text: str, node: ast.expr) -> bool:
    try:
        return bool(ast.literal_eval(text) == ast.literal_eval(node))
    except (SyntaxError, ValueError):
        return False


def _hydra_config(tree: Path, script: str) -> Iterator[str]:
    """Return the YAML file that a script's ``@hydra.main`` names."""
    if not script.endswith(".py"):
        return
    try:
        module = ast.parse((tree / script).read_bytes())
    except (SyntaxError, ValueError):
        return
    calls = (node for node in ast.walk(module) if isinstance(node, ast.Call))
    for call in calls:
        given = {
            keyword.arg: keyword.value.value
            for keyword in call.keywords
            if isinstance(keyword.value, ast.Constant)
        }
        if {"config_path", "config_name"} <= given.keys():
            stem = str(given["config_name"]).removesuffix(".yaml")
            name = (Path(script).parent / str(given["config_path"]) / f"{stem}.yaml").as_posix()
            if _is_inside(tree, name):
                yield name


def _literals(module: ast.Module, knob: str) -> Iterator[tuple[str, ast.expr]]:
    """Return the literals that hold a knob's value, and what each is."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _option(node) == _plain(knob):
            for keyword in node.keywords:
                if keyword.arg == "default" and _is_literal(keyword.value):
                    yield _DEFAULT, keyword.value
    bodies: list[tuple[str, Sequence[ast.stmt]]] = [(_CONSTANT, module.body)]
    bodies += [(_FIELD, node.body) for node in module.body if isinstance(node, ast.ClassDef)]
    for what, body in bodies:
        for statement in body:
            target, value = _assigned(statement)
            if target is not None and _plain(target) == _plain(knob) and _is_literal(value):
                assert value is not None
                yield what, value


def _assigned(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return None, None
    return (target.id if isinstance(target, ast.Name) else None), statement.value


def _option(call: ast.Call) -> str:
    """Return the name of the option that a call declares; empty if it declares none."""
    for argument in call.args:
        text = argument.value if isinstance(argument, ast.Constant) else None
        if isinstance(text, str) and text.startswith("--"):
            return _plain(text[2:].partition("/")[0])
    return ""


def _is_literal(node: ast.expr | None) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant)


def _in_yaml(name: str, content: bytes, knob: str) -> Iterator[Place]:
    """Find a key, dotted through nested mappings, whose value stands on its own line."""
    above: list[tuple[int, str]] = []
    at = 0
    for raw in content.splitlines(keepends=True):
        found = _PAIR.match(raw.decode(errors="replace").rstrip("\r\n"))
        if found:
            indent, key, value = len(found[1]), found[2], found[3]
            above = [(i, k) for i, k in above if i < indent]
            dotted = ".".join([*(k for _, k in above), key])
            if value and _plain(dotted) == _plain(knob):
                start = at + len(raw.decode(errors="replace")[: found.start(3)].encode())
                yield Place(name, start, start + len(value.encode()), value, _KEY)
            above.append((indent, key))
        at += len(raw)


def _plain(name: str) -> str:
    return name.replace("-", "_")
