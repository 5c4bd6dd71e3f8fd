"""Edits of text files: found by what they replace, applied in whole or refused with the reason."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

LEAST_SIMILAR = 0.6
"""assumption: lines less alike than this are not shown as what was meant."""


class EditRule(StrEnum):
    """How the lines to replace were recognised, in the order tried."""

    EXACT = "exact"
    TRAILING = "trailing whitespace ignored"
    SHIFTED = "indentation shifted"
    WHOLE = "whole file"


@dataclass(frozen=True)
class EditBlock:
    """Lines to find in a file, once, and what to put there; no ``file`` means the only one."""

    file: str
    search: str
    replace: str


@dataclass(frozen=True)
class Whole:
    """A file's new content."""

    file: str
    content: str


Edit = EditBlock | Whole


@dataclass(frozen=True)
class Applied:
    """One edit that went in: where and by which rule."""

    file: str
    line: int
    rule: EditRule


class EditRefused(ValueError):
    """Edits that cannot be applied; the message tells whoever wrote them what to mend."""


def apply(
    edits: Sequence[Edit], texts: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Applied, ...]]:
    """Apply edits in order and return the new texts, and how each went in.

    Parameters
    ----------
    texts
        The files that may be edited, by name.

    Raises
    ------
    EditRefused
        If any edit does not apply: then none does, and every one that failed is named.
    """
    now, done, wrong = dict(texts), [], []
    for number, edit in enumerate(edits, start=1):
        where = f"edit {number}"
        try:
            name = _file_of(edit, texts)
            where += f" of {name}"
            now[name], applied = _one(edit, now.get(name, ""), name)
            done.append(applied)
        except EditRefused as error:
            wrong.append(f"{where}: {error}")
    if wrong:
        raise EditRefused("\n".join(wrong))
    return now, tuple(done)


def _file_of(edit: Edit, texts: Mapping[str, str]) -> str:
    if not texts:
        raise EditRefused("no file may be edited here; set knobs")
    known = ", ".join(texts)
    if not edit.file:
        if len(texts) == 1:
            return next(iter(texts))
        raise EditRefused(f"names no file; write one of {known} on the line before it")
    name = edit.file.removeprefix("./")
    if name not in texts:
        raise EditRefused(f"the file {name[:80]!r} may not be edited; it must be one of {known}")
    return name


def _one(edit: Edit, text: str, name: str) -> tuple[str, Applied]:
    if isinstance(edit, Whole):
        if not edit.content.strip():
            raise EditRefused("the whole file is empty; write all of it")
        content = edit.content if edit.content.endswith("\n") else edit.content + "\n"
        return content, Applied(name, 1, EditRule.WHOLE)
    lines, search = text.split("\n"), _lines(edit.search)
    if not any(line.strip() for line in search):
        raise EditRefused("SEARCH is empty; copy the lines to replace, or the line to add after")
    for rule in (EditRule.EXACT, EditRule.TRAILING, EditRule.SHIFTED):
        places = _places(lines, search, rule)
        if len(places) > 1:
            numbers = ", ".join(str(place + 1) for place in places[:5])
            raise EditRefused(
                f"SEARCH stands {len(places)} times (lines {numbers}, {rule}); add lines around it "
                "until it stands once"
            )
        if places:
            matched = lines[places[0] : places[0] + len(search)]
            new = _replacement(edit, matched, search, rule)
            rest = lines[places[0] + len(search) :]
            return "\n".join([*lines[: places[0]], *new, *rest]), Applied(name, places[0] + 1, rule)
    raise EditRefused("SEARCH is nowhere in the file. " + _nearest(lines, search))


def _lines(text: str) -> list[str]:
    """Split a block; the newline before its divider ends its last line."""
    return text.removesuffix("\n").split("\n") if text else []


def _places(lines: Sequence[str], search: Sequence[str], rule: EditRule) -> list[int]:
    n = len(search)
    return [at for at in range(len(lines) - n + 1) if _matches(lines[at : at + n], search, rule)]


def _matches(present: Sequence[str], search: Sequence[str], rule: EditRule) -> bool:
    if rule is EditRule.EXACT:
        return list(present) == list(search)
    if rule is EditRule.TRAILING:
        return all(a.rstrip() == b.rstrip() for a, b in zip(present, search, strict=True))
    return _shift(present, search) is not None


def _shift(present: Sequence[str], search: Sequence[str]) -> tuple[str, str] | None:
    """Return (whitespace to take away, whitespace to put before) that turns search into present."""
    shifts = set()
    for have, want in zip(present, search, strict=True):
        if have.strip() != want.strip():
            return None
        if want.strip():
            shifts.add((_indent(want), _indent(have)))
    ends = set()
    for want, have in shifts:
        if have.endswith(want):
            ends.add(("", have[: len(have) - len(want)]))
        elif want.endswith(have):
            ends.add((want[: len(want) - len(have)], ""))
        else:
            return None
    return ends.pop() if len(ends) == 1 else None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _replacement(
    edit: EditBlock, matched: Sequence[str], search: Sequence[str], rule: EditRule
) -> list[str]:
    new = _lines(edit.replace)
    if rule is not EditRule.SHIFTED:
        return new
    off, on = _shift(matched, search) or ("", "")
    low = [line for line in new if line.strip() and not line.startswith(off)]
    if low:
        raise EditRefused(
            f"SEARCH fits with {len(off)} columns less, but REPLACE holds {low[0].strip()[:60]!r} "
            "further left; indent both as the file does"
        )
    return [on + line.removeprefix(off) if line.strip() else line for line in new]


def _nearest(lines: Sequence[str], search: Sequence[str]) -> str:
    """Show the lines of a file that are most like what was looked for."""
    n = len(search)
    wanted = {line.strip() for line in search if line.strip()}
    scored = sorted(
        range(max(len(lines) - n + 1, 1)),
        key=lambda at: (-sum(line.strip() in wanted for line in lines[at : at + n]), at),
    )
    words = search if n < 40 else search[:40]
    candidates = scored[:8]
    if not any(line.strip() in wanted for line in lines):
        first = max(search, key=lambda line: len(line.strip()))
        close = difflib.get_close_matches(first, lines, n=3, cutoff=LEAST_SIMILAR)
        candidates = [max(lines.index(line) - search.index(first), 0) for line in close]
    best, best_at = 0.0, 0
    for at in candidates:
        ratio = _likeness(words, lines[at : at + len(words)])
        if ratio > best:
            best, best_at = ratio, at
    if best < LEAST_SIMILAR:
        return "No lines are like it; copy from the file as the brief shows it"
    shown = "\n".join(lines[best_at : best_at + min(n, 20)])
    return f"Nearest are lines {best_at + 1} to {best_at + n}, {best:.0%} alike:\n{shown}"


def _likeness(one: Sequence[str], other: Sequence[str]) -> float:
    text = "\n".join(one)[:4000], "\n".join(other)[:4000]
    return difflib.SequenceMatcher(None, *text, autojunk=False).ratio()
