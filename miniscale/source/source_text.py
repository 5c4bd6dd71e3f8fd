"""Source files as text, and patches of that text as bytes: encodings, byte order marks, line ends.

Whoever reads a file gets text with plain line feeds and no byte order mark; a patch of that text is
fitted to the file again before git sees it, so that the file keeps what it had.
"""

import codecs
import io
import re
import string
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_MARKED = re.compile(r"^([ +-])\ufeff", re.MULTILINE)


class NotWritable(ValueError):
    """Text that a file's encoding has no bytes for; the message says which."""


@dataclass(frozen=True)
class FileForm:
    """How a file writes its text."""

    encoding: str = "utf-8"
    is_marked: bool = False
    """Whether it begins with a byte order mark."""
    ends_crlf: bool = False
    """Whether most of its lines end with a carriage return too."""


def form_of(name: str, content: bytes) -> FileForm:
    """Find out how a file writes its text: by its mark, its coding line, or what decodes."""
    ends_crlf = content.count(b"\r\n") * 2 > max(content.count(b"\n"), 1)
    if content.startswith(codecs.BOM_UTF8):
        return FileForm(is_marked=True, ends_crlf=ends_crlf)
    return FileForm(_encoding(name, content), ends_crlf=ends_crlf)


def _encoding(name: str, content: bytes) -> str:
    if name.endswith(".py"):
        named = _named_encoding(content)
        return named if _is_ascii_like(named) and _decodes(content, named) else "utf-8"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _named_encoding(content: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    except SyntaxError:
        return "utf-8"


def _is_ascii_like(encoding: str) -> bool:
    """Whether ASCII stays as it is: a codec that is none of text, or slow by design, fails this."""
    text, plain = string.printable, string.printable.encode()
    try:
        return text.encode(encoding) == plain and plain.decode(encoding) == text
    except (LookupError, UnicodeError):
        return False


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True


def odd_encoding(name: str, content: bytes) -> str:
    """Return the encoding that a Python source names if no text can be in it; else nothing.

    >>> odd_encoding("t.py", b"# coding: rot13"), odd_encoding("t.py", b"# coding: latin-1")
    ('rot13', '')
    """
    named = _named_encoding(content) if name.endswith(".py") else "utf-8"
    return "" if content.startswith(codecs.BOM_UTF8) or _is_ascii_like(named) else named


def read_source(name: str, content: bytes) -> str:
    """Return a file's text, its line ends made plain; what cannot be read is marked as such."""
    return plain_text(content.decode(form_of(name, content).encoding, errors="replace"))


def plain_text(text: str) -> str:
    """Return a text with line feeds for line ends and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def tidy(patch: str) -> str:
    """Mend what is often lost or added on the way: the last newline, byte order marks."""
    text = _MARKED.sub(r"\1", patch).replace("\r\r\n", "\r\n")
    return text if not text or text.endswith("\n") else text + "\n"


def hunk_lengths(line: str) -> tuple[int, int] | None:
    """Return how many lines of the old and the new file a hunk shows, if this line opens one."""
    hunk = _HUNK.match(line)
    if not hunk:
        return None
    old, new = (1 if count is None else int(count) for count in (hunk[2], hunk[4]))
    return old, new


def fit_patch(patch: str, content_of: Callable[[str], bytes | None]) -> bytes:
    """Return a patch whose lines are written as the files that it changes write theirs.

    Parameters
    ----------
    content_of
        From the name in a ``+++`` or ``---`` line to what the file holds; None if there is none.

    Raises
    ------
    NotWritable
        If a file's encoding lacks a character that the patch puts there.
    """
    lines = patch.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return b"".join(_fitted_lines(lines, content_of))


def _fitted_lines(lines: list[str], content_of: Callable[[str], bytes | None]) -> Iterator[bytes]:
    form, old, new, at_old, at_new = FileForm(), 0, 0, 0, 0
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if old <= 0 and new <= 0:
            hunk = _HUNK.match(line)
            if line.startswith("--- ") and following.startswith("+++ "):
                form = _form_of_either(line[4:], following[4:], content_of)
            elif hunk:
                old, new = hunk_lengths(line) or (0, 0)
                at_old, at_new = int(hunk[1]), int(hunk[3])
            yield line.encode("utf-8", "surrogateescape") + b"\n"
            continue
        if line.startswith("\\"):
            yield line.encode() + b"\n"
            continue
        mark, text = line[:1] or " ", line[1:]
        ends = "\r\n" if form.ends_crlf and not following.startswith("\\") else "\n"
        before, after = (  # a byte order mark stays where the file begins
            _encoded("\ufeff" * (form.is_marked and at == 1) + text + ends, form)
            for at in (at_old, at_new)
        )
        if mark == " " and before != after:
            yield b"-" + before + b"+" + after
        else:
            yield mark.encode() + (after if mark == "+" else before)
        old, at_old = old - (mark != "+"), at_old + (mark != "+")
        new, at_new = new - (mark != "-"), at_new + (mark != "-")


def _form_of_either(old: str, new: str, content_of: Callable[[str], bytes | None]) -> FileForm:
    for name in (new, old):
        content = content_of(name)
        if content is not None:
            return form_of(name.split("\t")[0].strip().strip('"'), content)
    return FileForm()


def _encoded(text: str, form: FileForm) -> bytes:
    try:
        return text.encode(form.encoding)
    except UnicodeEncodeError as error:
        raise NotWritable(
            f"it puts {text[error.start]!r} into a file in {form.encoding}, which lacks it; "
            "write it as an escape"
        ) from None
