"""The accepted stack in the user's own files: commits on their repository, knobs as edits."""

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.setting.trial import Scalar
from miniscale.source.constants import read_constants, set_constants
from miniscale.tree.git import GitError, git
from miniscale.tree.knob_places import edit_place, find_place
from miniscale.tree.workspace import KNOBS_FILE

_OURS = f":(exclude){KNOBS_FILE}"
_PATCH = ("--full-index", "--binary", "--no-renames")


@dataclass(frozen=True)
class Exported:
    """One accepted change: what it became in the user's files, and what only a flag says."""

    commit: str
    """On the study's branch."""
    subject: str
    edits: tuple[str, ...]
    flags: Mapping[str, Scalar]


@dataclass(frozen=True)
class ExportedStack:
    """All accepted changes as the user's repository takes them."""

    changes: tuple[Exported, ...]
    diff: str
    mails: str

    @property
    def flags(self) -> dict[str, Scalar]:
        """Knobs that no file of the source holds, with their last values."""
        return {name: value for change in self.changes for name, value in change.flags.items()}


def rewrite(
    repo: Path,
    first: str,
    head: str,
    *,
    command: Sequence[str],
    prefix: str,
    constants: Mapping[str, Mapping[str, str]],
) -> ExportedStack:
    """Turn the commits of a study's branch into commits of the user's files alone.

    Parameters
    ----------
    repo
        The study's repository; it is not changed.
    first, head
        The commit that the study started from, and its accepted state.
    command
        The argv that trains: what it names is searched for the knobs.
    constants
        Source file -> place -> template, as the setting has them: a knob alone in one lies there.
    prefix
        Folder of the source within its repository, with a slash at the end; empty for all of it.

    Raises
    ------
    InputError
        If the accepted patches do not apply in order.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        git(repo, "clone", "-q", "--shared", "--no-checkout", str(repo), str(clone))
        (clone / ".git" / "info").mkdir(exist_ok=True)
        attributes = repo / ".git" / "info" / "attributes"
        if attributes.is_file():
            (clone / ".git" / "info" / "attributes").write_text(attributes.read_text())
        listed = git(clone, "rev-list", "--reverse", f"{first}..{head}").split()
        changes = _replay_all(clone, first, listed, command, constants)
        at = (f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}")
        whole = (f"{first}..HEAD", "--", ".", _OURS)
        diff = git(clone, "diff", *_PATCH, *at, *whole)
        mails = git(clone, "format-patch", "--stdout", *_PATCH, *at, *whole)
    return ExportedStack(changes, diff, mails)


def _replay_all(
    clone: Path,
    first: str,
    listed: Sequence[str],
    command: Sequence[str],
    constants: Mapping[str, Mapping[str, str]],
) -> tuple[Exported, ...]:
    """Commit each change with its knobs; knobs come last where a patch meets the lines of one.

    Raises
    ------
    InputError
        If the patches do not apply to each other's files.
    """
    git(clone, "checkout", "-q", "--detach", first)
    try:
        return tuple(_replay(clone, commit, command, constants) for commit in listed)
    except GitError:
        git(clone, "reset", "-q", "--hard", first)
    try:
        return _replay_apart(clone, listed, command, constants)
    except GitError as error:
        raise InputError(
            f"export: the accepted patches do not apply in order ({error}); take them off the "
            "study's own branch"
        ) from None


def _replay(
    clone: Path,
    commit: str,
    command: Sequence[str],
    constants: Mapping[str, Mapping[str, str]],
) -> Exported:
    """Commit what one commit of the study does to files, its knobs where the source has them."""
    _apply_patch(clone, commit)
    edits, flags = _set_knobs(clone, commit, command, constants)
    message = _message(clone, commit, flags)
    _commit(clone, message)
    return Exported(commit, message.partition("\n")[0], (*_patched(clone, commit), *edits), flags)


def _replay_apart(
    clone: Path,
    listed: Sequence[str],
    command: Sequence[str],
    constants: Mapping[str, Mapping[str, str]],
) -> tuple[Exported, ...]:
    """Commit all patches as the study has them, then the knobs of all changes at once."""
    for commit in listed:
        _apply_patch(clone, commit)
        _commit(clone, _message(clone, commit, {}))
    changes, said = [], []
    for commit in listed:
        edits, flags = _set_knobs(clone, commit, command, constants)
        subject = _message(clone, commit, {}).partition("\n")[0]
        said += [f"{subject}\n  {edit}" for edit in edits]
        said += [f"{subject}\n  flags {say_flags(flags)}"] if flags else []
        changes.append(Exported(commit, subject, (*_patched(clone, commit), *edits), flags))
    _commit(clone, "\n".join(["Set the knobs of the accepted changes", "", *said, ""]))
    return tuple(changes)


def _apply_patch(clone: Path, commit: str) -> None:
    patch = git(clone, "diff", *_PATCH, f"{commit}^", commit, "--", ".", _OURS)
    if patch:
        git(clone, "apply", "--3way", "--whitespace=nowarn", "-", given=_bytes(patch))


def _set_knobs(
    clone: Path,
    commit: str,
    command: Sequence[str],
    constants: Mapping[str, Mapping[str, str]],
) -> tuple[list[str], dict[str, Scalar]]:
    """Write the knobs that a commit moves; return what was edited, and what no file holds."""
    before, after = (_knobs(clone, at) for at in (f"{commit}^", commit))
    edits: list[str] = []
    flags: dict[str, Scalar] = {}
    for name, value in after.items():
        if before.get(name) == value:
            continue
        said = _edit(clone, name, value, command, constants)
        edits += said
        flags |= {} if said else {name: value}
    return edits, flags


def _message(clone: Path, commit: str, flags: Mapping[str, Scalar]) -> str:
    message = git(clone, "log", "-1", "--format=%B", commit)
    return message + (f"Flags: {say_flags(flags)}\n" if flags else "")


def _commit(clone: Path, message: str) -> None:
    git(clone, "add", "--all", "--force")
    git(clone, "commit", "-q", "--allow-empty", "-F", "-", "--cleanup=verbatim", given=message)


def _patched(clone: Path, commit: str) -> list[str]:
    files = git(clone, "diff", "--name-only", f"{commit}^", commit, "--", ".", _OURS).split("\n")
    return [f"{name}: as its patch" for name in files if name]


def _edit(
    tree: Path,
    knob: str,
    value: Scalar,
    command: Sequence[str],
    constants: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Write a knob's value where the source keeps it and say what was done; nothing if nowhere."""
    said = []
    for name, places in constants.items():
        for place, template in places.items():
            if template == f"{{{knob}}}":
                content = (tree / name).read_bytes()
                before = read_constants(name, content, [place])[place].words
                (tree / name).write_bytes(set_constants(name, content, {place: value}))
                said.append(f"{name}: {place} {before} → {value!r} (a constant)")
    found = None if said else find_place(tree, command, knob)
    if found is not None:
        written = edit_place(tree, found, value)
        said.append(f"{found.file}: {knob} {found.before} → {written} ({found.what})")
    return said


def _knobs(clone: Path, commit: str) -> dict[str, Scalar]:
    knobs: dict[str, Scalar] = json.loads(git(clone, "show", f"{commit}:{KNOBS_FILE}"))
    return knobs


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def say_flags(knobs: Mapping[str, Scalar]) -> str:
    """Return knobs as the options of a command line."""
    return " ".join(f"--{name}={shlex.quote(str(value))}" for name, value in knobs.items())


def put_on_branch(source: Path, commit: str, branch: str, mails: str) -> str:
    """Put mails on a new branch of the user's repository; its checkout is not touched.

    Returns the branch's commit.

    Raises
    ------
    InputError
        If the source is in no repository, the branch is there, or the mails do not apply.
    """
    try:
        root = Path(git(source, "rev-parse", "--show-toplevel").strip())
        base = git(root, "rev-parse", "--verify", "--end-of-options", commit or "HEAD").strip()
    except (GitError, OSError):
        raise InputError(
            f"--branch {branch}: {source} is in no git repository that has the study's start; use "
            "the mails: git am stack.mbox"
        ) from None
    if git(root, "for-each-ref", f"refs/heads/{branch}").strip():
        raise InputError(f"--branch {branch}: {root} has that branch; name another")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        try:
            git(root, "clone", "-q", "--shared", "--no-checkout", str(root), str(clone))
            git(clone, "checkout", "-q", "-B", branch, base)
            git(clone, "am", "-q", "--3way", "--keep-cr", given=_bytes(mails))
            git(root, "fetch", "-q", str(clone), f"refs/heads/{branch}:refs/heads/{branch}")
        except GitError as error:
            raise InputError(
                f"--branch {branch}: the commits do not apply to {base[:12]} ({error}); were files "
                "edited and not committed when the study began? Commit them and name the mails: "
                "git am --3way stack.mbox"
            ) from None
    return git(root, "rev-parse", f"refs/heads/{branch}").strip()
