"""What a program reads that no trial's tree holds: data that git ignores, folders elsewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from miniscale.starter.options import ProgramOption
from miniscale.tree.git import GitError, git

MOST_FOLDERS = 50
LEAST_BYTES = 10_000
"""assumption: data take more."""
_NO_DATA = re.compile(
    r"\..*|__pycache__|.*venv.*|.*\.egg-info|build|dist|wandb|out.*|runs|logs?|studies"
)


def find_ignored_data(source: Path) -> list[Path]:
    """Return the folders of a repository with data that git ignores; none without git."""
    try:
        listing = git(
            source, "ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory"
        ).split("\0")
    except GitError:
        return []
    found: dict[Path, None] = {}
    for entry in listing:
        if not entry or any(_NO_DATA.fullmatch(part) for part in Path(entry).parts):
            continue
        path = source / entry
        folder = path if path.is_dir() else path.parent
        for each in (folder, *(sub for sub in folder.iterdir() if sub.is_dir())):
            if each != source and len(found) < MOST_FOLDERS and _holds_data(each):
                found[each] = None
    return list(found)


def _holds_data(folder: Path) -> bool:
    sizes = (path.stat().st_size for path in folder.iterdir() if path.is_file())
    return any(size >= LEAST_BYTES for size in sizes)


def match_folders(
    options: Iterable[ProgramOption], folders: Iterable[Path], source: Path
) -> dict[str, Path]:
    """Return option -> the folder that its value names, by its name or from the repository."""
    by_name = {folder.name: folder for folder in folders}
    by_name |= {str(folder.relative_to(source)): folder for folder in by_name.values()}
    return {
        option.name: by_name[option.default.rstrip("/")]
        for option in options
        if isinstance(option.default, str) and option.default.rstrip("/") in by_name
    }


def paths_elsewhere(words: Iterable[str], env: Mapping[str, str], source: Path) -> Iterator[Path]:
    """Yield the folders and files outside a repository that a command or its variables name."""
    for text in (*words, *env.values()):
        path = Path(text.rpartition("=")[2]).expanduser()
        is_program = path.name.startswith("python") or path.parent.name == "bin"
        is_inside = path.is_relative_to(source) or path == Path("/")
        if path.is_absolute() and path.exists() and not is_program and not is_inside:
            yield path
