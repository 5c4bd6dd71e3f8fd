"""What a coding agent left, read as from a stranger: nothing there is run or followed."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.proposer.idea.apply_edits import Whole
from autoresearch.proposer.idea.make_change import MOST_BYTES
from autoresearch.proposer.idea.parse_reply import Malformed, loads, stated
from miniscale.source.source_text import form_of, plain_text
from miniscale.tree.patch import Paths, may_change
from miniscale.tree.workspace import KNOBS_FILE

PROPOSAL = "proposal.json"
OURS = (".git", ".home", ".tmp", "BRIEF.md", PROPOSAL)
MOST_FILES = 20_000
"""assumption: an agent that leaves more has run away."""
MOST_PROPOSAL_BYTES = 64_000
"""assumption: room for every knob and many words."""


class Misbehaved(ValueError):
    """An agent that did what it may not; the message says what."""


@dataclass(frozen=True)
class Handed:
    """A change as an agent handed it in."""

    texts: Mapping[str, str]
    """Editable files that differ, with their new content."""
    title: str = ""
    hypothesis: str = ""
    category: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    knobs: Mapping[str, Any] = field(default_factory=dict)
    left_behind: tuple[str, ...] = ()
    """New files, which are no part of the change."""

    @property
    def edits(self) -> tuple[Whole, ...]:
        """The changed files as edits."""
        return tuple(Whole(name, text) for name, text in self.texts.items())


def handed_in(
    work: Path, given: Mapping[str, bytes], paths: Paths, *, secrets: Sequence[str] = ()
) -> Handed:
    """Read what an agent changed.

    Parameters
    ----------
    given
        The files that were put there, by name.
    secrets
        Keys that the agent was given: taken out of what it says, refused in what it edits.

    Raises
    ------
    Misbehaved
        If it touched a file that it may not, took one away or made one a link.
    """
    texts = {}
    for name, before in given.items():
        after = _content(work, name, most=max(MOST_BYTES, len(before)))
        if after == before:
            continue
        if name == KNOBS_FILE or not paths.is_editable(name):
            hint = f"; give knob values in {PROPOSAL}" if name == KNOBS_FILE else ""
            raise Misbehaved(f"it changed {name!r}; {may_change(paths)}{hint}")
        texts[name] = _text(name, after, before)
    if any(secret in text for text in texts.values() for secret in secrets):
        raise Misbehaved("it wrote a key into a file")
    statement = _statement(work, secrets)
    try:
        fields = stated(statement)
    except Malformed as error:
        raise Misbehaved(f"{PROPOSAL}: {error}") from None
    return Handed(texts, **fields, left_behind=_others(work, given))


def _text(name: str, after: bytes, before: bytes) -> str:
    """Return a file's text, in the encoding that it had or in UTF-8."""
    for encoding in (form_of(name, before).encoding, "utf-8"):
        try:
            return plain_text(after.decode(encoding))
        except UnicodeDecodeError:
            continue
    raise Misbehaved(f"it left {name!r} in another form than UTF-8 text")


def _content(work: Path, name: str, *, most: int) -> bytes:
    """Return a file's bytes, reading nothing but a plain file that is reached by plain folders."""
    folder = work
    for part in Path(name).parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise Misbehaved(f"it made a link of the folder of {name!r}")
    content = _plain(work / name, most=most)
    if content is None:
        raise Misbehaved(f"it took {name!r} away, or made it no plain file")
    return content


def _plain(path: Path, *, most: int) -> bytes | None:
    """Return a plain file's bytes; None for what is none. Pipes and links are not opened."""
    try:
        kind = os.lstat(path)
        if not stat.S_ISREG(kind.st_mode):
            return None
        if kind.st_size > most:
            raise Misbehaved(f"it made {path.name!r} {kind.st_size} bytes long, at most {most}")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(most)


def _statement(work: Path, secrets: Sequence[str]) -> object:
    content = _plain(work / PROPOSAL, most=MOST_PROPOSAL_BYTES)
    if content is None:
        return {}
    # written anew, so that no key hides behind escapes
    text = json.dumps(loads(content.decode("utf-8", "replace")), ensure_ascii=False)
    for secret in secrets:
        text = text.replace(secret, "[key]")
    statement = json.loads(text)
    if not isinstance(statement, dict):
        raise Misbehaved(f"{PROPOSAL} holds no JSON object")
    return statement


def _others(work: Path, given: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the names of new files and links, at most a few of them."""
    names_left: list[str] = []
    seen = 0
    for root, folders, files in os.walk(work):
        where = Path(root)
        if where == work:
            folders[:] = [name for name in folders if name not in OURS]
            files = [name for name in files if name not in OURS]
        seen += len(files)
        if seen > MOST_FILES:
            raise Misbehaved(f"it left more than {MOST_FILES} files")
        names = ((where / name).relative_to(work).as_posix() for name in files)
        names_left += [name for name in names if name not in given][: 10 - len(names_left)]
    return tuple(sorted(names_left))
