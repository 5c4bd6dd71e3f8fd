"""Proposers that work through a list: a script's changes, a panel, a person's own patches."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.tree.workspace import patch_between
from transfer.change import Change
from transfer.study.proposer_protocol import ProposalRequest, asked_before


@dataclass(frozen=True)
class ChangeList:
    """Proposes given changes in order, each once."""

    name: str
    changes: tuple[Change, ...]

    def propose(self, request: ProposalRequest) -> Change | None:
        """Return the next change of the list, or None at its end."""
        n_asked = asked_before(request.state, self.name)
        if n_asked >= len(self.changes):
            return None
        return replace(self.changes[n_asked], proposer=self.name)


def from_path(path: str, *, source: Path, roots: Sequence[Path], base: str) -> ChangeList:
    """Make a proposer of a person's own work.

    Parameters
    ----------
    path
        A patch file (unified diff), a folder of ``*.diff`` and ``*.patch`` files, or a branch of
        the repository that holds the setting's source.
    base
        With a branch: the commit that it is compared to.

    Raises
    ------
    InputError
        If there is no such file, folder or branch, or it holds no patch.
    """
    for root in roots:
        resolved = (root / Path(path).expanduser()).resolve()
        if resolved.is_file():
            return ChangeList("patches", (_read(resolved),))
        if resolved.is_dir():
            files = sorted(p for p in resolved.iterdir() if p.suffix in {".diff", ".patch"})
            if not files:
                raise InputError(f"agent.path: no *.diff or *.patch file in {resolved}; add one")
            return ChangeList("patches", tuple(_read(file) for file in files))
    try:
        patch = patch_between(source, base, path, ".")
    except (InputError, OSError, subprocess.CalledProcessError, ValueError) as error:
        raise InputError(
            f"agent.path: '{path}' is no patch file, no folder, and no branch of the repository "
            f"of {source}; name one of them"
        ) from error
    if not patch.strip():
        raise InputError(f"agent.path: branch '{path}' changes nothing in {source} against {base}")
    return ChangeList("patches", (Change(title=path, hypothesis=f"branch {path}", patch=patch),))


def _read(path: Path) -> Change:
    """Read one patch; text before the first file header is the hypothesis."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; give a unified diff") from None
    starts = [text.find(mark) for mark in ("diff --git ", "--- ") if mark in text]
    if not starts:
        raise InputError(f"{path}: holds no '--- FILE' header; give a unified diff")
    words = text[: min(starts)].strip()
    title = path.stem.replace("_", " ").replace("-", " ")
    return Change(title=title, hypothesis=words, category="patch", patch=text[min(starts) :])
