"""Words on a terminal or pipe whose encoding lacks our characters: plain ones stand for them."""

import codecs
import io
import sys
import unicodedata

_PLAIN = {
    "✓": "yes", "✗": "no", "→": "->", "←": "<-", "×": "x", "±": "+-", "−": "-", "–": "-", "—": "-",
    "…": "...", "·": "-", "•": "*", "≤": "<=", "≥": ">=", "²": "2", "³": "3", "’": "'", "“": '"',
    "”": '"', "─": "-", "━": "-", "│": "|", "█": "#",
}  # fmt: skip
HANDLER = "plain"


def use_plain_output() -> None:
    """Let standard output and error write what their encoding lacks in plain characters."""
    codecs.register_error(HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(plain, lacking)), error.end


def plain(character: str) -> str:
    """Return what stands for a character in ASCII.

    >>> plain("→"), plain("é"), plain("漢")
    ('->', 'e', '?')
    """
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _PLAIN.get(character) or bare or "?"
