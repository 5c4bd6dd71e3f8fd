"""What a misspelt key or option of a command line may have meant, in one line."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from miniscale.setting.decode import InputError, nearest

FLAGS = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p",
         "--run", "-r", "--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp",
         "--config-name", "-cn", "--experimental-rerun", "--info", "-i")  # fmt: skip
"""Hydra's own; the user's folders are ours to find."""


def check_flags(flags: Iterable[str]) -> None:
    """Check that options are Hydra's.

    Raises
    ------
    InputError
        Naming the first that is not.
    """
    for flag in flags:
        name = flag.partition("=")[0]
        if name not in FLAGS:
            hint = nearest(name, ("--config-dir", *FLAGS))
            raise InputError(f"{flag}: no such option; {hint} (values are written NAME=VALUE)")


def unknown_key(wrong: str, overrides: Sequence[str], known: Any) -> str:
    """Say which key was not found, and the nearest one beside it or all that stand there.

    Parameters
    ----------
    wrong
        The dotted path up to the first part that does not exist.
    known
        The configuration without the user's own values.
    """
    parent, _, leaf = wrong.rpartition(".")
    typed = next((item for item in overrides if item.lstrip("+~").startswith(wrong)), wrong)
    for part in filter(None, parent.split(".")):
        if not isinstance(known, Mapping):
            break
        keys = {str(key): key for key in known}  # a key may be a number
        known = known[keys[part]] if part in keys else {}
    if not isinstance(known, Mapping):
        return f"{typed}: '{parent}' is a value and holds no keys; write '{parent}=…'"
    there = {str(key) for key in known}
    hint = nearest(leaf, there)
    if hint.startswith("did you mean") and parent:
        hint = hint.replace("'", f"'{parent}.", 1)
    if typed.startswith("+") or hint.startswith("did you mean"):
        return f"{typed}: no such key; {hint}"
    return f"{typed}: no such key; {hint} ('+{typed}' adds it)"


def chosen(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return those overrides that choose files of the configuration."""
    names = ((item, item.lstrip("+").partition("=")[0].partition("@")[0]) for item in overrides)
    return [item for item, name in names if any((folder / name).is_dir() for folder in folders)]
