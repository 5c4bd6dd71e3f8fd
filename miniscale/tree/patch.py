"""What a patch may touch: the editable files of a setting, as text, and nothing else."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
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


def tidy(patch: str) -> str:
    """Mend what is often lost on the way: line ends of another system, the last newline."""
    text = patch.replace("\r\n", "\n")
    return text if not text or text.endswith("\n") else text + "\n"


def strip_level(patch: str) -> int:
    """Return 1 for paths that start with ``a/`` and ``b/``, as git writes them, else 0."""
    names = [name for line, name in _headers(patch) if line[:3] in ("---", "+++")]
    prefixed = [name[:2] in ("a/", "b/") for name in names if name != NOWHERE]
    return int(all(prefixed))


def check(patch: str, paths: Paths) -> None:
    """Refuse a patch that would touch anything but the text of editable files.

    This reads the patch for its reasons; what it did is checked again in the tree afterwards.

    Raises
    ------
    PatchRefused
        With what it tries to do, and what it may.
    """
    _check_text(patch)
    level = strip_level(patch)
    touched = 0
    for line, name in _headers(patch):
        for start, what in _FORBIDDEN:
            if line.startswith(start):
                raise PatchRefused(f"the patch {what} ({line.strip()}); only text may change")
        if line.startswith("new file mode ") and line.split()[-1] != "100644":
            raise PatchRefused(f"the patch makes a link or program ({line}); only text may change")
        if line.startswith("index ") and line.endswith(_LINK_MODES):
            raise PatchRefused(f"the patch changes a link ({line}); only text may change")
        if line[:3] in ("---", "+++"):
            touched += 1
            if name == NOWHERE and line.startswith("+++"):
                raise PatchRefused("the patch deletes a file; editable files must stay")
            if name != NOWHERE:
                _check_name(name[2:] if level else name, paths)
    if touched > 2 * MOST_FILES:
        raise PatchRefused(f"the patch touches {touched // 2} files, more than {MOST_FILES}")
    if not touched:
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


def _headers(patch: str) -> list[tuple[str, str]]:
    """Return the lines outside hunks, with the path of those that name one."""
    outside = []
    old = new = 0
    for line in patch.split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] in (" ", "-", "")
            new -= line[:1] in (" ", "+", "")
            continue
        hunk = _HUNK.match(line)
        if hunk:
            old, new = (1 if count is None else int(count) for count in hunk.groups())
            continue
        is_name = line.startswith(("--- ", "+++ "))
        outside.append((line, _name(line[4:]) if is_name else ""))
    return outside


def _name(text: str) -> str:
    """Read a path as git and diff write it: quoted if odd, a time stamp behind a tab."""
    if not text.startswith('"'):
        return text.split("\t")[0].strip()
    body = text[1 : text.rfind('"')]
    plain = _OCTAL.sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], body)
    return plain.encode("latin-1", "replace").decode("utf-8", "replace")
