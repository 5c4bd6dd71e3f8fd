"""Git without the user's configuration, hooks or prompts: the same hashes anywhere."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_AUTHOR, _EMAIL, _DATE = "study", "study@localhost", "2000-01-01T00:00:00Z"
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "safe.directory=*",
)
_ALTERNATES = "GIT_ALTERNATE_OBJECT_DIRECTORIES"
_LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock")


class GitError(RuntimeError):
    """Git refused; the message is its own, without its prefixes."""


def git(folder: Path, *arguments: str, given: str | bytes | None = None, objects: str = "") -> str:
    """Run git in a folder and return what it prints.

    ``objects`` is a folder of another repository whose objects it may read.

    Raises
    ------
    GitError
        If it fails.
    FileNotFoundError
        If git is not installed.
    """
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    done = subprocess.run(
        ["git", *settings, *arguments],
        cwd=folder,
        env=_environment() | ({_ALTERNATES: objects} if os.path.isdir(objects) else {}),
        input=given.encode() if isinstance(given, str) else given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise GitError(_words(done.stderr) or f"git {arguments[0]}: exit code {done.returncode}")
    return done.stdout.decode(errors="surrogateescape")


def remove_stale_locks(repository: Path) -> None:
    """Remove what a killed git left behind; the caller knows that no other git runs here."""
    inside = repository / ".git"
    for name in _LOCKS:
        (inside / name).unlink(missing_ok=True)
    for lock in (inside / "refs").rglob("*.lock"):
        lock.unlink(missing_ok=True)


def remove_worktree(repository: Path, tree: Path) -> None:
    """Remove a worktree, whole or half made, and what the repository knows of it."""
    for folder in (tree, repository / ".git" / "worktrees" / tree.name):
        if folder.is_symlink():
            folder.unlink()  # never ours: what a trainer without a box put there
        elif folder.is_dir():
            shutil.rmtree(folder)


def patch_between(repo: Path, base: str, head: str, subfolder: str = ".") -> str:
    """Return what a branch changed in a folder since it left ``base``, as a patch for that folder.

    Nothing in the repository or its checkout is touched.

    Parameters
    ----------
    base, head
        Branches or commits; what ``base`` did since they parted is left out.
    subfolder
        Folder of ``repo`` that names in the patch are relative to.

    Raises
    ------
    ValueError
        If there is no repository, or no such branch or commit in it.
    """
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index")
    revisions = ("--end-of-options", f"{base}...{head}", "--", ".")
    prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
    try:
        patch = git(repo / subfolder, "diff", "--relative", *options, *prefixes, *revisions)
    except (GitError, OSError) as error:
        raise ValueError(
            f"{repo}: no patch from {base!r} to {head!r} ({error}); name a branch that is in it"
        ) from None
    return "".join(map(_as_text, patch.splitlines(keepends=True)))


def _as_text(line: str) -> str:
    """Read a line of a file that is not UTF-8 as Latin-1, which has a character for every byte."""
    content = line.encode("utf-8", "surrogateescape")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _environment() -> dict[str, str]:
    passed_on = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ
    }
    roles = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", _AUTHOR), ("EMAIL", _EMAIL), ("DATE", _DATE))
    }
    fixed = {
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    return passed_on | roles | fixed


def _words(output: bytes) -> str:
    """Shorten git's complaint to its distinct lines."""
    lines: Sequence[str] = output.decode(errors="replace").splitlines()
    complaints = [line.removeprefix("error: ").removeprefix("fatal: ").strip() for line in lines]
    return "; ".join(dict.fromkeys(line for line in complaints if line))[:1000]
