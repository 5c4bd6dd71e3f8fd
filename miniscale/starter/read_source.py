"""The options of a program, read off its syntax tree; nothing of it is run."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from miniscale.setting.trial import Scalar
from miniscale.source.literals import read_literal
from miniscale.starter.options import OptionStyle, ProgramOption

MOST_BYTES = 2_000_000
MOST_CHARACTERS = 60
"""Of what is said about a knob."""
_CALLS_WITH_FIELDS = ("tyro.cli", "fire.Fire", "HfArgumentParser", "simple_parsing.parse", "CLI")
_SEEDERS = ("manual_seed", "random.seed", "seed_everything", "set_seed")
_FIELDS_NAMED = {"field", "dataclasses.field", "Field", "pydantic.Field"}


def parse_source(path: Path) -> ast.Module | None:
    """Return a file's syntax tree, None if it is too large or no Python."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def read_options(source: Path, program: str) -> list[ProgramOption]:
    """Return the options of a program in the order they stand there, from all styles that it has.

    Constants of the source are taken only where there is nothing else.
    """
    module = parse_source(source / program)
    if module is None:
        return []
    found = [
        *_argparse_options(module, program),
        *_click_options(module, program),
        *_field_options(module, program),
        *_hydra_options(module, source, program),
        *_configurator_options(module, program),
    ]
    if not found:
        found = [*_constants(module, program), *_imported_constants(module, source, program)]
    return list({option.name: option for option in found}.values())


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    """Yield every call, in the order of the source."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    yield from sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def _text(node: ast.expr | None) -> str:
    value = read_literal(node) if node is not None else None
    return " ".join(value.split())[:MOST_CHARACTERS] if isinstance(value, str) else ""


def _choices(node: ast.expr | None) -> tuple[Scalar, ...]:
    if not isinstance(node, ast.List | ast.Tuple):
        return ()
    values = [read_literal(each) for each in node.elts]
    return tuple(value for value in values if value is not None)


def _long_name(call: ast.Call) -> str:
    """Return the longest option name among a call's arguments, without its dashes."""
    names = [value for each in call.args if isinstance(value := read_literal(each), str)]
    dashed = [name.split("/")[0].lstrip("-") for name in names if name.startswith("--")]
    return max(dashed, key=len, default="")


def _argparse_options(module: ast.Module, program: str) -> Iterator[ProgramOption]:
    for call in _calls(module):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "add_argument":
            continue
        name, action = _long_name(call), _text(_keyword(call, "action"))
        if not name:
            continue
        is_flag = action.startswith("store_")
        style = OptionStyle.FLAG if is_flag else OptionStyle.EQUALS
        default = action == "store_false" if is_flag else _default(call)
        about = _text(_keyword(call, "help"))
        choices = _choices(_keyword(call, "choices"))
        yield ProgramOption(name, default, style, program, about, choices)


def _default(call: ast.Call) -> Scalar | None:
    """Return an option's default, a float where its type says so."""
    default, kind = read_literal(_keyword(call, "default")), _keyword(call, "type")
    is_float = kind is not None and _dotted(kind) == "float"
    return float(default) if is_float and isinstance(default, int) else default


def _click_options(module: ast.Module, program: str) -> Iterator[ProgramOption]:
    """Yield the options of click's decorators, and of typer's defaults."""
    for call in _calls(module):
        if _dotted(call.func).rpartition(".")[2] == "option" and (name := _long_name(call)):
            is_flag = read_literal(_keyword(call, "is_flag")) is True
            style = OptionStyle.FLAG if is_flag else OptionStyle.EQUALS
            kind = _keyword(call, "type")
            choices = _choices(kind.args[0]) if isinstance(kind, ast.Call) and kind.args else ()
            default = read_literal(_keyword(call, "default"))
            yield ProgramOption(
                name, default, style, program, _text(_keyword(call, "help")), choices
            )
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            for argument, given in _with_defaults(node):
                if isinstance(given, ast.Call) and _dotted(given.func) == "typer.Option":
                    name = _long_name(given) or argument.arg.replace("_", "-")
                    value = read_literal(given.args[0]) if given.args else None
                    about = _text(_keyword(given, "help"))
                    yield ProgramOption(name, value, OptionStyle.EQUALS, program, about)


def _with_defaults(node: ast.FunctionDef) -> list[tuple[ast.arg, ast.expr]]:
    positional = node.args.args[len(node.args.args) - len(node.args.defaults) :]
    named = [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
             if d is not None]  # fmt: skip
    return [*zip(positional, node.args.defaults, strict=True), *named]


def _field_options(module: ast.Module, program: str) -> Iterator[ProgramOption]:
    """Yield the fields of classes, and defaults of functions, that a call makes a command of."""
    classes = {node.name: node for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
    for call in _calls(module):
        if not call.args or not _dotted(call.func).endswith(_CALLS_WITH_FIELDS):
            continue
        for node in getattr(call.args[0], "elts", [call.args[0]]):
            name = _dotted(node)
            if name in classes:
                yield from _fields(classes[name], classes, program)
            elif name in functions:
                yield from _parameters(functions[name], classes, program)


def _parameters(
    function: ast.FunctionDef, classes: dict[str, ast.ClassDef], program: str
) -> Iterator[ProgramOption]:
    for argument, default in _with_defaults(function):
        value = read_literal(default)
        if value is not None:
            yield ProgramOption(argument.arg, value, OptionStyle.EQUALS, program)
    for argument in function.args.args:
        inner = _dotted(argument.annotation) if argument.annotation is not None else ""
        if inner in classes:
            yield from _fields(classes[inner], classes, program, prefix=f"{argument.arg}.")


def _fields(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef], program: str, *, prefix: str = ""
) -> Iterator[ProgramOption]:
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        name, inner = prefix + item.target.id, _dotted(item.annotation)
        if inner in classes and inner != node.name and prefix.count(".") < 4:
            yield from _fields(classes[inner], classes, program, prefix=f"{name}.")
            continue
        default, about = item.value, ""
        if isinstance(default, ast.Call) and _dotted(default.func) in _FIELDS_NAMED:
            about = _text(_keyword(default, "help") or _keyword(default, "description"))
            default = _keyword(default, "default")
        value = read_literal(default)
        if isinstance(value, int) and not isinstance(value, bool) and inner == "float":
            value = float(value)
        yield ProgramOption(name, value, OptionStyle.EQUALS, program, about)


def _hydra_options(module: ast.Module, source: Path, program: str) -> Iterator[ProgramOption]:
    """Yield the leaves of the configuration that ``@hydra.main`` names."""
    for call in _calls(module):
        if _dotted(call.func) == "hydra.main":
            folder = _text(_keyword(call, "config_path")) or "."
            name = _text(_keyword(call, "config_name")).removesuffix(".yaml")
            root = (source / program).parent / folder
            yield from _yaml_options(root, name, source)


def _yaml_options(root: Path, name: str, source: Path) -> Iterator[ProgramOption]:
    path = root / f"{name}.yaml"
    file = str(path.relative_to(source)) if path.is_relative_to(source) else str(path)
    data = _load_yaml(path)
    entries = data.get("defaults")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            for group, option in entry.items():
                for key, value in _leaves(_load_yaml(root / str(group) / f"{option}.yaml")):
                    yield ProgramOption(f"{group}.{key}", value, OptionStyle.HYDRA, file)
    for key, value in _leaves({k: v for k, v in data.items() if k not in ("defaults", "hydra")}):
        yield ProgramOption(key, value, OptionStyle.HYDRA, file)


def _load_yaml(path: Path) -> dict[str, object]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return {}
    try:
        data = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError):
        return {}
    return {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}


def _leaves(data: object, prefix: str = "") -> Iterator[tuple[str, Scalar]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(data, str | int | float | bool) and "${" not in str(data):
        yield prefix, data


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Scalar]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                constant = read_literal(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                constant = read_literal(value)
            case _:
                continue
        if constant is not None:
            yield name, constant


def _configurator_options(module: ast.Module, program: str) -> Iterator[ProgramOption]:
    """Yield the globals before a file is executed that overrides them from the command line."""
    for place, node in enumerate(module.body):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and _dotted(node.value.func) == "exec"
            and "open(" in ast.unparse(node.value)
        ):
            for name, value in _assigned(module.body[:place]):
                if not name.startswith("_"):
                    yield ProgramOption(name, value, OptionStyle.EQUALS, program)
            return


def _constants(module: ast.Module, file: str) -> Iterator[ProgramOption]:
    for name, value in _assigned(module.body):
        if name.isupper() and not name.startswith("_"):
            yield ProgramOption(name, value, OptionStyle.CONSTANT, file)


def _imported_constants(module: ast.Module, source: Path, program: str) -> Iterator[ProgramOption]:
    """Yield the constants that a program takes from a file beside it."""
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            path = (source / program).parent / f"{node.module.replace('.', '/')}.py"
            wanted = {alias.name for alias in node.names}
            other = parse_source(path)
            if other is not None:
                file = str(path.relative_to(source))
                yield from (o for o in _constants(other, file) if o.name in wanted)


def override_options(
    options: Sequence[ProgramOption], source: Path, words: Sequence[str]
) -> list[ProgramOption]:
    """Return options with the defaults that files of Python named in a command give them."""
    given: dict[str, Scalar] = {}
    for word in words:
        module = parse_source(source / word) if word.endswith(".py") else None
        given |= dict(_assigned(module.body)) if module is not None else {}
    return [
        replace(option, default=given[option.name])
        if option.name in given and option.style is OptionStyle.EQUALS
        else option
        for option in options
    ]


def local_imports(source: Path, program: str) -> list[str]:
    """Return the files beside a program, or in its repository, that it imports."""
    module, found = parse_source(source / program), dict[str, None]()
    for node in ast.walk(module) if module is not None else ():
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            for root in ((source / program).parent, source):
                path = root / f"{name.replace('.', '/')}.py"
                if path.is_file() and path.is_relative_to(source):
                    found[str(path.relative_to(source))] = None
                    break
    return [name for name in found if name != program]


def printed_lines(source: Path, program: str) -> list[str]:
    """Return the lines that a program may print, with a 1 for what it fills in."""
    module, lines = parse_source(source / program), list[str]()
    for call in _calls(module) if module is not None else ():
        is_said = _dotted(call.func).rpartition(".")[2] in (
            "print",
            "print0",
            "info",
            "log",
            "echo",
        )
        for argument in call.args if is_said else ():
            if isinstance(argument, ast.JoinedStr):
                parts = [read_literal(part) or "1" for part in argument.values]
                lines += "".join(str(part) for part in parts).splitlines()
    return lines


def seed_calls(source: Path, program: str) -> dict[str, dict[str, str]]:
    """Return file -> function -> the call by which it seeds what is random with a number.

    Of a program, and of the files that it imports.
    """
    found: dict[str, dict[str, str]] = {}
    for file in (program, *local_imports(source, program)):
        module = parse_source(source / file)
        for call in _calls(module) if module is not None else ():
            name = _dotted(call.func)
            if name.endswith(_SEEDERS) and call.args and _holds_number(call.args[0]):
                found.setdefault(file, {})[name] = ast.unparse(call)[:MOST_CHARACTERS]
    return found


def _holds_number(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Constant) and isinstance(each.value, int)
               for each in ast.walk(node))  # fmt: skip
