"""Proposers that work through a list: a script's changes, a panel, a person's own patches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.proposer.idea.read_patches import LEFT_OUT, read_branch, read_patches
from miniscale.setting.decode import InputError
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


def from_path(
    path: str,
    *,
    source: Path,
    roots: Sequence[Path],
    base: str,
    ignore: Sequence[str] = LEFT_OUT,
) -> ChangeList:
    """Make a proposer of a person's own work.

    Parameters
    ----------
    path
        A patch file (unified diff, or mails of ``git format-patch``), a folder of ``*.diff`` and
        ``*.patch`` files, or a branch of the repository that holds the setting's source: each of
        its commits is a change.
    base
        With a branch: the commit that it left.
    ignore
        Patterns of files that are taken out of the patches: records and notes.

    Raises
    ------
    InputError
        If there is no such file, folder or branch, or it holds no patch.
    """
    for root in roots:
        resolved = (root / Path(path).expanduser()).resolve()
        if resolved.is_file() or resolved.is_dir():
            return ChangeList("patches", tuple(_from_files(resolved, ignore)))
    try:
        return ChangeList("patches", tuple(read_branch(source, base, path, ignore)))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"agent.path: '{path}' is no patch file, no folder, and no branch of the repository "
            f"of {source}; name one of them"
        ) from error


def _from_files(path: Path, ignore: Sequence[str]) -> list[Change]:
    if path.is_file():
        return read_patches(path, ignore)
    files = sorted(p for p in path.iterdir() if p.suffix in {".diff", ".patch", ".mbox"})
    if not files:
        raise InputError(f"agent.path: no *.diff or *.patch file in {path}; add one")
    return [change for file in files for change in read_patches(file, ignore)]
