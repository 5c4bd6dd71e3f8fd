"""The house rules, checked on our own code by reading its syntax tree."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("scaling", "miniscale", "transfer", "autoresearch")
MAY_IMPORT = {
    "scaling": set(),
    "miniscale": set(),
    "transfer": {"scaling", "miniscale"},
    "autoresearch": {"scaling", "miniscale", "transfer"},
}
HEAVY = ("torch", "wandb", "openai", "optuna", "matplotlib", "hydra")
MODULE_CAP, EDITABLE_CAP, FUNCTION_CAP, FOLDER_CAP = 400, 600, 50, 14
CORE = ("journal", "measure", "belief", "study")
"""Folders of ``transfer`` that know policies by their protocol alone, and no presentation."""
PROGRAM_NAMES = {"__init__", "__main__", "train", "prepare", "evaluate"}
"""Module names that may come again: a setting's programs are found by them."""
SCRIPTS = ("train", "prepare", "evaluate", "solve")
"""Stems of programs that are run in a process of their own and answer on standard output."""


def is_script(path: Path) -> bool:
    return path.stem.startswith((*SCRIPTS, "__main__"))


def sources(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports anywhere, functions included."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's place and its number of lines, docstring included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            end = node.end_lineno or node.lineno
            yield f"{name(path)}:{node.lineno} {node.name}", end - node.lineno + 1


def tracked() -> list[Path]:
    """Return the files in version control, or every text file of ours where there is none."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        return [ROOT / line for line in listing.stdout.split("\0") if line]
    return [p for folder in (*PACKAGES, "conf", "tests") for p in (ROOT / folder).rglob("*.*")]


@pytest.mark.parametrize("package", PACKAGES)
def test_layers_import_only_those_below(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = {name(p): imported(p) & set(PACKAGES) - allowed for p in sources(package)}
    assert not {p: names for p, names in wrong.items() if names}


def test_scripts_that_get_edited_import_nothing_of_ours() -> None:
    wrong = [name(p) for p in sources("miniscale") if p.stem in ("train", "solve")]
    assert not [p for p in wrong if imported(ROOT / p) & set(PACKAGES)]


def test_modules_stay_under_the_cap() -> None:
    sizes = {p: len(p.read_text().splitlines()) for p in sources(*PACKAGES, "tests", "benchmarks")}
    caps = {p: EDITABLE_CAP if p.stem == "train" else MODULE_CAP for p in sizes}
    assert not {name(p): n for p, n in sizes.items() if n > caps[p]}


def test_functions_stay_under_the_cap() -> None:
    paths = [p for p in sources(*PACKAGES, "tests", "benchmarks") if p.stem != "train"]
    assert not [f"{at}: {n}" for p in paths for at, n in functions(p) if n > FUNCTION_CAP]


def test_no_module_is_named_for_having_no_subject() -> None:
    banned = ("utils", "util", "helpers", "helper", "manager", "common", "misc")
    assert not [name(p) for p in sources(*PACKAGES) if p.stem in banned or p.parent.name in banned]


def test_only_consoles_and_scripts_print() -> None:
    quiet = [p for p in sources(*PACKAGES) if not is_script(p) and p.stem != "console"]
    calls = [
        f"{name(p)}:{node.lineno}"
        for p in quiet
        for node in ast.walk(tree(p))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not calls


def test_one_catch_all_in_the_program_at_the_loops_edge() -> None:
    found = [
        name(p)
        for p in sources(*PACKAGES)
        for node in ast.walk(tree(p))
        if isinstance(node, ast.ExceptHandler) and swallows_everything(node)
    ]
    assert len(found) <= 1
    assert found == ["transfer/study/loop.py"], found


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes any exception and does not raise it again."""
    caught = "BaseException" if handler.type is None else ast.unparse(handler.type)
    names = set(re.findall(r"\w+", caught))
    ends_in_raise = isinstance(handler.body[-1], ast.Raise)
    return bool(names & {"Exception", "BaseException"}) and not ends_in_raise


def test_importing_our_packages_is_light() -> None:
    modules = [
        name(p).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for p in sources(*PACKAGES)
        if not is_script(p) and "nanochat" not in p.parts and "examples" not in p.parts
    ]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    assert not loaded.stdout.split()


def test_tracked_files_name_no_machine() -> None:
    folders = "|".join(("root", "work", "Users", r"home/\w+", "opt/pypi", "opt/wheels"))
    hosts = r"https?://[\w.-]*(?:pypi|registry|artifactory|nexus|devpi)[\w.-]*"
    machine = re.compile(rf"(?<![\w.}}~-])/(?:{folders})/|{hosts}|extra-index-url")
    wrong = []
    for path in (p for p in tracked() if p.is_file() and p != Path(__file__)):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary: the corpus, pictures
        wrong += [f"{name(path)}: {hit.group()}" for hit in machine.finditer(text)]
    assert not wrong


def module(path: Path) -> str:
    """Return the dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of ours that a file imports anywhere, for types too."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {dotted if dotted in modules else node.module for dotted in whole.values()}
    return names & modules


def imports_of_ours() -> dict[str, set[str]]:
    """Return what each module of the four packages imports of them."""
    paths = {module(path): path for path in sources(*PACKAGES)}
    return {name: imported_modules(path, set(paths)) for name, path in paths.items()}


def arrows(folder: str, imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return which entries of a folder, files and subfolders, import which others of it."""
    inside = f"{folder}."

    def entry(name: str) -> str:
        return name.removeprefix(inside).split(".")[0]

    found: dict[str, set[str]] = {}
    for name, targets in imports.items():
        if name.startswith(inside):
            others = {entry(target) for target in targets if target.startswith(inside)}
            found.setdefault(entry(name), set()).update(others - {entry(name)})
    return found


def circular_entries(graph: dict[str, set[str]]) -> list[str]:
    """Return the entries that reach themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = set(graph.get(start, ()))
        while ahead:
            seen |= ahead
            ahead = {far for near in ahead for far in graph.get(near, ())} - seen
        return seen

    return sorted(name for name in graph if name in reached(name))


def test_a_folder_holds_few_modules() -> None:
    folders: dict[Path, int] = {}
    for path in sources(*PACKAGES):
        if path.stem not in ("__init__", "__main__"):
            folders[path.parent] = folders.get(path.parent, 0) + 1
    crowded = {name(folder): n for folder, n in folders.items() if n > FOLDER_CAP}
    assert crowded.keys() == set(), crowded


def test_a_circle_of_imports_is_seen() -> None:
    imports = {"p.a.x": {"p.b.y"}, "p.b.y": {"p.c"}, "p.b.z": {"p.a.x"}, "p.c": set[str]()}
    assert circular_entries(arrows("p", imports)) == ["a", "b"]
    assert not circular_entries(arrows("p.b", imports))


def test_entries_of_a_folder_form_no_circle() -> None:
    imports = imports_of_ours()
    folders = {name(path.parent).replace("/", ".") for path in sources(*PACKAGES)}
    circles = {folder: circular_entries(arrows(folder, imports)) for folder in folders}
    assert {folder for folder, entries in circles.items() if entries} == set(), circles


def test_the_core_knows_policies_by_protocol_and_no_report() -> None:
    wrong = {
        f"{name} imports {target}"
        for name, targets in imports_of_ours().items()
        if name.startswith(tuple(f"transfer.{folder}" for folder in CORE))
        for target in targets
        if target.startswith(("transfer.policy.", "transfer.report"))
        and target != "transfer.policy.protocol"
    }
    assert wrong == set()


def test_no_class_is_named_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in sources(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module(path))
    assert not {title: where for title, where in places.items() if len(where) > 1}


def test_no_module_of_a_package_is_named_twice() -> None:
    places: dict[tuple[str, str], list[str]] = {}
    for path in sources(*PACKAGES):
        if path.stem not in PROGRAM_NAMES:
            package = path.relative_to(ROOT).parts[0]
            places.setdefault((package, path.stem), []).append(name(path))
    twice = {f"{key[0]} {key[1]}": where for key, where in places.items() if len(where) > 1}
    assert twice.keys() == set(), twice


def mapped_modules() -> set[str]:
    """Return the modules that the page of the architecture names, a folder a row of its tables."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    named, package = set(), ""
    for line in page[page.index("## The map") :].splitlines():
        if line.startswith("### "):
            package = line.removeprefix("### ").split("/")[0]
        row = re.fullmatch(r"\| (itself|`[\w/]+`) \| (.*) \|", line)
        if row:
            folder = "" if row[1] == "itself" else row[1].strip("`/").replace("/", ".")
            stems = [entry.split("`")[1] for entry in row[2].split(" · ")]
            named |= {".".join(part for part in (package, folder, stem) if part) for stem in stems}
    return named


def test_every_module_stands_on_the_map_of_the_house() -> None:
    held = {module(path) for path in sources(*PACKAGES) if path.stem != "__init__"}
    named = mapped_modules()
    assert held - named == set()
    assert named - held == set()
