"""A number as programs print it: a whole token, never a part of one; and patterns that find it."""

import math
import re
from functools import cache

NUMBER = "{number}"
"""Stands for a number in a pattern."""
_GROUP = "number"
_NON_FINITE = (
    r"(?i:nan(?:\([0-9a-z]*\))?|inf(?:inity)?|1\.\#(?:[qs]nan|ind|inf)[0-9]*)(?![A-Za-z0-9_])|∞"
)
_MISSING = r"(?i:none|null|nil|n/a|undefined)(?![A-Za-z0-9_])|\*{2,}|(?<!-)-{2,}+(?![.\w])"
"""What programs print where they have no number; Fortran prints stars for what is too wide."""
_WHOLE = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+(?:_[0-9]+)*"
_FINITE = rf"(?:(?:{_WHOLE})(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][-+]?[0-9]+)?"
_SIGN = r"[-+\u2212]"
# atomic: what follows in a pattern must not make it give back digits
TOKEN = rf"(?>{_MISSING}|{_SIGN}?(?:{_NON_FINITE}|{_FINITE}))"
_WHOLE_TOKEN = re.compile(TOKEN)
_IN_TEXT = re.compile(rf"(?>{_MISSING}|(?:(?<![\w.)]){_SIGN})?(?:{_NON_FINITE}|{_FINITE}))")
_GOES_ON = re.compile(
    r"\w|[-+\u2212][-+.,]*\w|[.,:/'’^·\u00a0\u2009\u202f][-+.,]*[0-9]"
    r"|[^\S\n]?[x×*·][^\S\n]?10(?![0-9.])"
)
"""What makes a token a part of something longer: a unit, a ratio, a date, a power of ten."""
_TO_SPACE = re.compile(r"(?:\S|[\u00a0\u2009\u202f](?=[0-9]))*(?:\s[x×*·]\s?10\S*)?")
_PUNCTUATION = ".,;:)]}>\"'|"
_REGULAR = re.compile(r"[\\^$*+?|\[]")
"""What makes the text around a number a regular expression as well."""


def parse_number(text: str) -> float:
    """Return the number that a text is; it may be non-finite.

    Raises
    ------
    ValueError
        If it is none, or leaves open which one: ``0,5``, ``3k``.

    >>> [parse_number(text) for text in ("5,778.0", "9.90E-01", "1.5D+2", "-Inf")]
    [5778.0, 0.99, 150.0, -inf]
    """
    token = text.strip()
    if not _WHOLE_TOKEN.fullmatch(token):
        raise ValueError(f"{text.strip()[:60]!r} is no number")
    low = token.lower().replace("\u2212", "-")
    if "nan" in low or "#ind" in low:
        return math.nan
    if "inf" in low or "∞" in low:
        return -math.inf if low.startswith("-") else math.inf
    try:
        return float(low.replace(",", "").replace("d", "e"))
    except ValueError:
        raise ValueError(f"{token!r} stands where a number should be") from None


@cache
def compile_pattern(text: str) -> tuple[re.Pattern[str], ...]:
    """Return what a pattern of the configuration searches a line for.

    ``val_bpb: {number}`` is looked for as it is written, spaces as wide as they come, and as a
    regular expression around the number. A regular expression with a group is searched as it is
    and with a number token in the place of its group, which finds the ``nan`` that
    ``[0-9.]+`` passes over.

    Raises
    ------
    ValueError
        If it holds no ``{number}`` and not exactly one group, or is no regular expression.
    """
    if NUMBER in text:
        return _template(text)
    try:
        plain = re.compile(text, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"got {text!r}, is no regular expression ({error}); correct it") from None
    if plain.groups != 1:
        raise ValueError(
            f"got {text!r}, has {plain.groups} groups, needs one around the number; write "
            f"'{NUMBER}' there, and (?:…) for groups that are not it"
        )
    return (plain, *_compiled(_with_token(text)))


@cache
def compile_mark(text: str) -> tuple[re.Pattern[str], ...]:
    """Return what finds a line that marks an end: the text as it is, or a regular expression.

    Raises
    ------
    ValueError
        If it holds more than one ``{number}``.
    """
    if NUMBER in text:
        return _template(text)
    return (
        re.compile(_literal(text), re.MULTILINE),
        *(_compiled(text) if _REGULAR.search(text) else ()),
    )


def find_number(line: str, patterns: tuple[re.Pattern[str], ...]) -> str | None:
    """Return the last whole number token that patterns find in a line, or what stands there.

    A token of which a pattern took a part comes whole; one that goes on as no number does (a unit,
    a ratio, a date) comes with what follows, which :func:`parse_number` refuses.
    """
    spans = [span for pattern in patterns if (span := _last_span(pattern, line)) is not None]
    if not spans:
        return None
    start, end, is_followed = max(spans, key=lambda span: span[0])
    for token in _IN_TEXT.finditer(line):
        if token.end() > start and token.start() < end:
            start, end = min(start, token.start()), max(end, token.end())
            break
    if not is_followed and _GOES_ON.match(line, end):
        whole = _TO_SPACE.match(line, start)
        return line[start : whole.end() if whole else end]
    text = line[start:end]
    return text if _WHOLE_TOKEN.fullmatch(text) else text.rstrip(_PUNCTUATION)


def parse_take(text: str) -> tuple[str, int]:
    """Return which of several numbers is meant, and of how many of the last.

    Raises
    ------
    ValueError
        If it is neither ``last``, ``min``, ``max`` nor ``mean(k)``.

    >>> parse_take("mean(5)")
    ('mean', 5)
    """
    match = re.fullmatch(r"(last|min|max)|mean\(\s*([1-9][0-9]{0,3})\s*\)", text)
    if match is None:
        raise ValueError(f"got {text!r}, must be last, best, min, max or mean(5); correct it")
    return (match[1], 1) if match[1] else ("mean", int(match[2]))


def _last_span(pattern: re.Pattern[str], line: str) -> tuple[int, int, bool] | None:
    """Return where the group of the last match lies, and whether the pattern names what follows."""
    last = None
    for match in pattern.finditer(line):
        start, end = match.span(_GROUP if _GROUP in pattern.groupindex else 1)
        last = (start, end, match.end() > end) if start < end else last
    return last


def _template(text: str) -> tuple[re.Pattern[str], ...]:
    before, _, after = text.partition(NUMBER)
    if NUMBER in after:
        raise ValueError(f"got {text!r}, needs {NUMBER} once; leave the others out")
    token = f"(?P<{_GROUP}>{TOKEN})"
    literal = f"{_literal(before)}[^\\S\\n]*{token}{_spaced(after)}"
    is_regular = _REGULAR.search(before + after)
    return (
        re.compile(literal, re.MULTILINE),
        *(_compiled(f"{before}{token}{after}") if is_regular else ()),
    )


def _literal(text: str) -> str:
    """Return a regular expression for a text; a name in it is no end of a longer name."""
    return (r"(?<![\w/])(?<!\w\.)" if re.match(r"\w", text) else "") + _spaced(text)


def _spaced(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


def _compiled(source: str) -> tuple[re.Pattern[str], ...]:
    try:
        return (re.compile(source, re.MULTILINE),) if source else ()
    except re.error:
        return ()


def _with_token(source: str) -> str:
    """Return a regular expression with a number token in the place of its group, or ''."""
    opened: list[int] = []
    first = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?(?!P<))|\(|\)", re.DOTALL)
    begin = -1
    for part in first.finditer(source):
        if part[0] == "(":
            is_group = source[part.start() + 1 : part.start() + 2] != "?" or (
                source.startswith("(?P<", part.start())
            )
            begin = part.start() if is_group and begin < 0 else begin
            opened.append(part.start())
        elif part[0] == ")" and opened.pop() == begin:
            return f"{source[:begin]}(?P<{_GROUP}>{TOKEN}){source[part.end() :]}"
    return ""
