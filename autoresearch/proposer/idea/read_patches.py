"""A person's own work as changes: patches, mails of ``git format-patch``, a branch's commits."""

import csv
import email
import email.policy
import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.tree.git import GitError, git, patch_between
from transfer.change import Change

LEFT_OUT = ("*.tsv", "*.csv", "*.md", "*.txt", "*.log", "*.png", "*.ipynb", ".gitignore")
"""Records and notes that commits of an experiment carry along; no program that is tried reads
them. assumption: as karpathy/autoresearch keeps its ``results.tsv``."""
MOST_COMMITS = 1000
RESULTS_BYTES = 1_000_000
_MAIL = re.compile(r"^From [0-9a-f]{40} .*\n", re.MULTILINE)
_FILE = re.compile(r"^(?=diff --git )", re.MULTILINE)
_NUMBERED = re.compile(r"^\[[^\]]*PATCH[^\]]*\]\s*")
_SIGNATURE = re.compile(r"^-- \n[^\n]*\n*\Z", re.MULTILINE)


def read_patches(path: Path, ignore: Sequence[str]) -> list[Change]:
    """Read a patch or a mailbox; words before the first file are the hypothesis.

    Raises
    ------
    InputError
        If it is no text, or holds no patch.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; give a unified diff") from None
    mails = [part for part in _MAIL.split(text) if part.strip()] if _MAIL.match(text) else []
    if mails:
        return [_read_mail(mail, path, ignore) for mail in mails if _start(mail) >= 0]
    at = _start(text)
    if at < 0:
        raise InputError(f"{path}: holds no '--- FILE' header; give a unified diff")
    title = path.stem.replace("_", " ").replace("-", " ")
    return [_change(title, text[:at].strip(), text[at:], ignore)]


def read_branch(source: Path, base: str, branch: str, ignore: Sequence[str]) -> list[Change]:
    """Read the commits of a branch since it left ``base``, each a change of its own, in order.

    Merges are passed over, and commits that touch nothing below ``source`` but what is ignored.

    Raises
    ------
    ValueError
        If there is no repository, or no such branch or commit in it.
    InputError
        If the branch has no commit that changes anything there.
    """
    try:
        listed = git(source, "rev-list", "--reverse", "--no-merges", "--end-of-options",
                     f"{base}..{branch}", "--", ".").split()  # fmt: skip
    except (GitError, OSError) as error:
        raise ValueError(f"no branch {branch!r}: {error}") from None
    if len(listed) > MOST_COMMITS:
        raise InputError(
            f"agent.base: branch '{branch}' has {len(listed)} commits since {base}, at most "
            f"{MOST_COMMITS}; name a nearer base"
        )
    changes, measured = [], _results(source, branch)
    for commit in listed:
        patch = patch_between(source, f"{commit}^", commit)
        subject, _, body = git(source, "log", "-1", "--format=%B", commit).strip().partition("\n")
        said = (body.strip(), f"commit {commit[:7]}", measured.get(commit[:7], ""))
        words = "\n".join(part for part in said if part)
        change = _change(subject or commit[:7], words, patch, ignore)
        if _kept(patch, ignore):
            changes.append(change)
    if not changes:
        raise InputError(f"agent.path: branch '{branch}' changes nothing in {source} since {base}")
    return changes


def _read_mail(mail: str, path: Path, ignore: Sequence[str]) -> Change:
    at = _start(mail)
    message = email.message_from_string(mail[:at], policy=email.policy.default)
    subject = _NUMBERED.sub("", " ".join(str(message["subject"] or path.stem).split()))
    words = str(message.get_payload()).partition("\n---\n")[0].strip()
    return _change(subject, words, _SIGNATURE.sub("", mail[at:]), ignore)


def _results(source: Path, branch: str) -> dict[str, str]:
    """Return what a branch's ``results.tsv`` says of its commits, in words, by short commit.

    karpathy/autoresearch keeps one: each row is a run on top of the rows kept before it, so its
    step is against the last of these.
    """
    try:
        text = git(source, "show", "--end-of-options", f"{branch}:./results.tsv")
    except (GitError, OSError):
        return {}
    lines = text[:RESULTS_BYTES].splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    said: dict[str, str] = {}
    kept: float | None = None
    metric = (
        next((name for name in rows[0] if name and name.startswith("val_")), "") if rows else ""
    )
    for row in rows:
        commit, status = (row.get("commit") or "")[:7], row.get("status") or ""
        try:
            value = float(row.get(metric) or "nan")
        except ValueError:
            continue
        step = "" if kept is None else f", {value - kept:+.6f} from the run kept before"
        said[commit] = f"once measured: {metric} {value:g}{step}, one seed, {status}"
        kept = value if status == "keep" else kept
    return said


def _change(title: str, words: str, patch: str, ignore: Sequence[str]) -> Change:
    """Return a change without its records and notes; of these alone it keeps all, to be refused."""
    kept = _kept(patch, ignore)
    return Change(title=title, hypothesis=words, category="patch", patch=kept or patch)


def _kept(patch: str, ignore: Sequence[str]) -> str:
    """Return a patch without the files that are ignored."""
    parts = _FILE.split(patch)
    return "".join(part for part in parts if part and not _is_ignored(part, ignore))


def _is_ignored(part: str, ignore: Sequence[str]) -> bool:
    header = part.partition("\n")[0]
    name = header.rpartition(" ")[2].strip('"').partition("/")[2]
    return header.startswith("diff --git ") and any(
        fnmatch.fnmatch(text, pattern) for pattern in ignore for text in (name, Path(name).name)
    )


def _start(text: str) -> int:
    """Return where the first file begins; -1 where none does."""
    starts = [at for mark in ("diff --git ", "--- ") if (at := _find(text, mark)) >= 0]
    return min(starts, default=-1)


def _find(text: str, mark: str) -> int:
    pattern = r"^--- \S.*\n\+\+\+ " if mark == "--- " else rf"^{mark}"
    found = re.search(pattern, text, re.MULTILINE)
    return found.start() if found else -1
