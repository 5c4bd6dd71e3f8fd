"""Which file of a repository trains: the one that was named, or the likeliest."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.starter.read_source import parse_source, read_options

MOST_FILES = 300
"""Python files that are looked at; a repository of more keeps its trainer near the top."""
DEEPEST = 3
_LEFT_OUT = re.compile(
    r"\..*|.*venv.*|tests?|test_.*|docs?|build|dist|node_modules|site-packages|__.*"
)
_TRAINS = re.compile(r"(?i)(^|_)(train|fit|main|run|pretrain|experiment)(_|$|er|ing)")


def find_program(source: Path, words: Sequence[str] = ()) -> str:
    """Return the file that trains, seen from the repository.

    Parameters
    ----------
    words
        A command that runs it, if one was given: what it names is taken.

    Raises
    ------
    InputError
        If the command names no file of the repository, or no file of it looks like a trainer.
    """
    if words:
        return _named(source, words)
    ranked = sorted(_candidates(source), key=lambda each: (-_likeliness(source, each), each))
    if not ranked or _likeliness(source, ranked[0]) <= 0:
        raise InputError(
            f"{source}: no Python file that looks like a training program; "
            "say how it is run: --run 'python FILE.py --steps=20'"
        )
    return ranked[0]


def _named(source: Path, words: Sequence[str]) -> str:
    for place, word in enumerate(words):
        named = [word] if word.endswith(".py") else []
        if place and words[place - 1] in ("-m", "--module"):
            path = word.replace(".", "/")
            named = [f"{path}.py", f"{path}/__main__.py", f"src/{path}.py"]
        for name in named:
            if (source / name).is_file():
                return str((source / name).relative_to(source))
    shown = " ".join(words)
    raise InputError(f"--run: got {shown!r}, names no Python file in {source}; name one that runs")


def _candidates(source: Path) -> Iterator[str]:
    yield from _entry_points(source)
    folders, n = [source], 0
    while folders and n < MOST_FILES:
        folder = folders.pop(0)
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or _LEFT_OUT.fullmatch(path.name):
                continue
            if path.is_dir() and len(path.relative_to(source).parts) < DEEPEST:
                folders.append(path)
            elif path.suffix == ".py" and path.is_file():
                n += 1
                yield str(path.relative_to(source))


def _entry_points(source: Path) -> Iterator[str]:
    """Yield the files of the commands that ``pyproject.toml`` declares."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text()).get("project", {})
    except (OSError, ValueError):
        return
    for target in (project.get("scripts") or {}).values():
        path = str(target).partition(":")[0].replace(".", "/")
        for name in (f"{path}.py", f"src/{path}.py"):
            if (source / name).is_file():
                yield name


def _likeliness(source: Path, program: str) -> float:
    path = Path(program)
    module = parse_source(source / path)
    if module is None:
        return -1.0
    score = 3.0 * bool(_TRAINS.search(path.stem)) + 2.0 * ("train" in path.stem)
    score += 2.0 * bool(read_options(source, program)) - 0.5 * len(path.parts)
    return score - 3.0 * bool(
        re.search(r"eval|sample|config|util|setup|test|plot|prepare", path.stem)
    )
