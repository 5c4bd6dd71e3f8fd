"""The study's folder: where things lie, and whether a study may go on with this configuration."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniscale.setting.decode import InputError
from miniscale.setting.records import replace_file
from miniscale.setting.trial import digest


@dataclass(frozen=True)
class StudyFolder:
    """Names of the parts of one study's folder."""

    path: Path

    @property
    def journal(self) -> Path:
        """The one truth."""
        return self.path / "journal"

    @property
    def config(self) -> Path:
        """The configuration as composed, and what must stay the same."""
        return self.path / "study.json"

    @property
    def trials(self) -> Path:
        """One folder a trial, by identity."""
        return self.path / "trials"

    @property
    def report(self) -> Path:
        """Report, plots and tables; all made again from the journal."""
        return self.path / "report"

    @property
    def exists(self) -> bool:
        """Whether a study was started here."""
        return self.config.exists()


def flatten(data: object, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, keys joined by dots."""
    if not isinstance(data, Mapping):
        return {prefix: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return found


def open_folder(
    folder: StudyFolder, *, content: Mapping[str, Any], config: Mapping[str, Any]
) -> bool:
    """Make a study's folder, or check that an old one may go on.

    Parameters
    ----------
    content
        What must not change between two runs of one study.
    config
        The whole composed configuration, kept for a reader.

    Returns
    -------
    bool
        Whether the study existed before.

    Raises
    ------
    InputError
        If the content differs from the study's.
    """
    fresh = json.loads(json.dumps(content))
    if folder.exists:
        known = json.loads(folder.config.read_text())
        _check_same(folder, known["content"], fresh)
        return True
    record = {"content": fresh, "digest": digest(fresh), "config": config}
    replace_file(folder.config, json.dumps(record, indent=1, default=str))
    return False


def check_writable(path: Path) -> None:
    """Check that a study's folder can be made and written; leaves nothing behind.

    Raises
    ------
    InputError
        If it cannot.
    """
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"study folder {path}: cannot be written ({error.strerror}); "
            "give another with study.root=FOLDER"
        ) from None


def _check_same(folder: StudyFolder, known: object, fresh: object) -> None:
    old, new = flatten(known), flatten(fresh)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise InputError(
                f"{key}: was {old.get(key)!r} when study {folder.path.name} began and is "
                f"{new.get(key)!r} now, so its trials would not be comparable; set it back, or "
                f"start another study with study.name=NAME"
            )
