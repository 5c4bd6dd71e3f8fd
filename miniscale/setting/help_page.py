"""What ``--help`` prints: the groups with their options, and every key with its comment.

Read from the files themselves, without composing them: Hydra takes a second to find the groups.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HIDDEN_BLOCKS = ("defaults:", "hydra:")
"""What a program's file tells Hydra, not a person."""


def show_help(name: str, folders: Sequence[Path]) -> str:
    """Return the help of the program whose configuration is ``name``.

    Parameters
    ----------
    name
        A file of the last folder; its ``hydra.help.template`` says where groups and keys go.
    folders
        The user's folders, then the shipped one.
    """
    import yaml

    file = folders[-1] / f"{name}.yaml"
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    keys = [*_keys_of(file), *_keys_of_defaults(config["defaults"], folders[-1])]
    template: str = config["hydra"]["help"]["template"]
    page = template.replace("$APP_CONFIG_GROUPS", "\n".join(_groups(folders)))
    return page.replace("$CONFIG", "\n".join(keys)).rstrip()


def _groups(folders: Sequence[Path]) -> Iterable[str]:
    """Return a line for each group: its options, the user's among them."""
    options: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.rglob("*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            options.setdefault(group, set()).add(path.stem)
    return [f"{g}: {', '.join(sorted(options[g]))}" for g in sorted(options) if g != "."]


def _keys_of(file: Path) -> list[str]:
    """Return the lines of a file but its opening comments and what is meant for Hydra."""
    lines: list[str] = []
    is_shown = True
    for line in file.read_text().splitlines():
        if line[:1].strip() and not line.startswith("#"):
            is_shown = not line.startswith(HIDDEN_BLOCKS)
        if is_shown and (lines or not line.startswith("#")):
            lines.append(line)
    return [line for line in lines if line.strip()]


def _keys_of_defaults(defaults: Sequence[Any], folder: Path) -> Iterable[str]:
    """Return the keys of the options that are taken where none is named."""
    for entry in defaults:
        for group, option in entry.items() if isinstance(entry, dict) else ():
            file = folder / group / f"{option}.yaml"
            if file.exists():
                yield f"{group}:"
                yield from (f"  {line}" for line in _keys_of(file))
