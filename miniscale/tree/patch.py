"""What a patch may touch: the editable files of a setting, as text, and nothing else."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from miniscale.source.source_text import hunk_lengths

_OCTAL = re.compile(r"\\([0-7]{3}|.)")
_FORBIDDEN = (
    ("old mode ", "changes a file's mode"),
    ("new mode ", "changes a file's mode"),
    ("deleted file mode ", "deletes a file"),
    ("rename from ", "renames a file"),
    ("rename to ", "renames a file"),
    ("copy from ", "copies a file"),
    ("copy to ", "copies a file"),
    ("GIT binary patch", "is binary"),
    ("Binary files ", "is binary"),
)
NOWHERE = "/dev/null"
_LETTERS = ("a/", "b/", "i/", "w/", "c/", "o/", "1/", "2/")
"""What git puts before names: old and new, or index, work tree, commit, object, first, second."""
PATCH_BYTES = 1_000_000
FILE_BYTES = 2_000_000
MOST_FILES = 100
"""Assumption, as the sizes above: beyond what a person would review."""
_UNPRINTED = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff\u202a-\u202e\u2066-\u2069]")
"""What no source text needs: control characters, a byte order mark, and what turns the direction
of writing, so that a reader sees other code than the interpreter."""
_LINK_MODES = ("120000", "160000")


class PatchRefused(Exception):
    """A change that cannot be tried; the message says why, and is told to who proposed it."""


@dataclass(frozen=True)
class Paths:
    """Which names in a tree may change (glob patterns) and which never (they win)."""

    editable: tuple[str, ...]
    locked: tuple[str, ...]

    def is_editable(self, name: str) -> bool:
        """Whether a change may alter or create this file."""
        return _matches(name, self.editable) and not self.is_locked(name)

    def is_locked(self, name: str) -> bool:
        """Whether this file must stay as it is."""
        return _matches(name, self.locked)


@lru_cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Translate a glob as :meth:`pathlib.Path.glob` reads it."""
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    made = [parts.get(t, t if t.startswith("[") and len(t) > 2 else re.escape(t)) for t in tokens]
    return re.compile("".join(made))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(_expression(pattern).fullmatch(name) for pattern in patterns)


def strip_level(patch: str, prefix: str = "") -> int:
    """Return how many folders git must take off the names, such as ``a/`` and ``b/``.

    ``prefix`` is the source's folder in its repository, such as ``sub/``: a patch made at the root
    names files from there.

    Raises
    ------
    PatchRefused
        If only some of the names begin with the prefix.
    """
    pairs = _pairs(patch)
    level = int(bool(pairs) and all(_is_lettered(old, new) for old, new in pairs))
    names = {stripped(name, level) for pair in pairs for name in pair if name != NOWHERE}
    inside = {name for name in names if prefix and name.startswith(prefix)}
    if inside and names - inside:
        raise PatchRefused(
            f"the patch changes {min(names - inside)!r}, outside of {prefix!r}, which is the "
            f"source; make it in that folder with 'git diff --relative'"
        )
    return level + (prefix.count("/") if inside else 0)


def _is_lettered(old: str, new: str) -> bool:
    """Whether two names begin with letters for before and after, as git's settings have them."""
    before, after = (name[:2] for name in (old, new))
    if NOWHERE in (old, new):
        return (after if old == NOWHERE else before) in _LETTERS
    return (
        before in _LETTERS
        and after in _LETTERS
        and ((before, after) == ("a/", "b/") or (before != after and old[2:] == new[2:]))
    )


def stripped(name: str, level: int) -> str:
    """Return a name without its first folders."""
    return "/".join(name.split("/")[level:])


def check(patch: str, paths: Paths, prefix: str = "") -> None:
    """Refuse a patch that would touch anything but the text of editable files.

    This reads the patch for its reasons; what it did is checked again in the tree afterwards.

    Raises
    ------
    PatchRefused
        With what it tries to do, and what it may.
    """
    _check_text(patch)
    level = strip_level(patch, prefix)
    for line in _headers(patch):
        for start, what in _FORBIDDEN:
            if line.startswith(start):
                raise PatchRefused(f"the patch {what} ({line.strip()}); only text may change")
        if line.startswith("new file mode ") and line.split()[-1] != "100644":
            raise PatchRefused(f"the patch makes a link or program ({line}); only text may change")
        if line.startswith("index ") and line.endswith(_LINK_MODES):
            raise PatchRefused(f"the patch changes a link ({line}); only text may change")
    pairs = _pairs(patch)
    for old, new in pairs:
        for name in (old, new):
            if name != NOWHERE:
                _check_name(stripped(name, level), paths)
        if new == NOWHERE:
            raise PatchRefused("the patch deletes a file; editable files must stay")
    if len(pairs) > MOST_FILES:
        raise PatchRefused(f"the patch touches {len(pairs)} files, more than {MOST_FILES}")
    if not pairs:
        raise PatchRefused("the patch has no '--- FILE' and '+++ FILE' lines; give a unified diff")


def _check_text(patch: str) -> None:
    """Refuse what is not plain text of sane size."""
    try:
        size = len(patch.encode())
    except UnicodeEncodeError as error:
        raise PatchRefused(f"the patch is not UTF-8 (at character {error.start}); send text") from (
            None
        )
    if size > PATCH_BYTES:
        raise PatchRefused(f"the patch has {size} bytes, more than {PATCH_BYTES}; send less")
    odd = _UNPRINTED.search(patch)
    if odd is not None:
        raise PatchRefused(
            f"the patch holds {odd[0]!r} (at character {odd.start()}), which no source text "
            "needs; write it as an escape"
        )


def _check_name(name: str, paths: Paths) -> None:
    parts = PurePosixPath(name).parts
    is_gits = any(part.casefold().startswith((".git", "git~")) for part in parts)
    if not parts or parts[0] == "/" or ".." in parts or is_gits or "\\" in name:
        raise PatchRefused(f"the patch names {name!r}, which leads out of the tree")
    if any(part != part.strip(" .") and not part.startswith(".") for part in parts):
        raise PatchRefused(f"the patch names {name!r}, which some systems read as another file")
    hidden = [
        f"{parent}.py" for parent in PurePosixPath(name).parents if paths.is_locked(f"{parent}.py")
    ]
    if hidden:
        raise PatchRefused(f"the patch makes {name!r}, which hides {hidden[0]!r}, which is locked")
    if paths.is_editable(name):
        return
    why = "is locked" if paths.is_locked(name) else "is not editable"
    raise PatchRefused(f"the patch changes {name!r}, which {why}; {may_change(paths)}")


def clash(name: str, others: Iterable[str]) -> str:
    """Return the other name that some file systems take for the same; empty if there is none.

    >>> clash("Train.py", ["train.py"]), clash("train.py", ["train.py", "model.py"])
    ('train.py', '')
    """
    me = _folded(name)
    return next((other for other in others if other != name and _folded(other) == me), "")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def may_change(paths: Paths) -> str:
    """Say which files a patch may change."""
    names = ", ".join(paths.editable)
    return f"it may change {names}" if names else "this setting has knobs only"


def _pairs(patch: str) -> list[tuple[str, str]]:
    """Return the names of each file before and after."""
    lines = _headers(patch)
    return [
        (_name(line[4:]), _name(following[4:]))
        for line, following in pairwise(lines)
        if line.startswith("--- ") and following.startswith("+++ ")
    ]


def _headers(patch: str) -> list[str]:
    """Return the lines outside hunks, from the first file on: what a mail says before is words."""
    outside: list[str] = []
    old = new = 0
    lines = patch.replace("\r\n", "\n").split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if old > 0 or new > 0:
            old -= line[:1] in (" ", "-", "")
            new -= line[:1] in (" ", "+", "")
            continue
        lengths = hunk_lengths(line)
        is_start = line.startswith("diff --git ") or (
            line.startswith("--- ") and following.startswith("+++ ")
        )
        if lengths and outside:
            old, new = lengths
        elif outside or is_start:
            outside.append(line)
    return outside


def _name(text: str) -> str:
    """Read a path as git and diff write it: quoted if odd, a time stamp behind a tab."""
    if not text.startswith('"'):
        return text.split("\t")[0].strip()
    body = text[1 : text.rfind('"')]
    plain = _OCTAL.sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], body)
    return plain.encode("latin-1", "replace").decode("utf-8", "replace")
