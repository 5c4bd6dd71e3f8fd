"""Edits as models write them in text: SEARCH/REPLACE blocks, patches, whole files."""

import re
from dataclasses import dataclass
from itertools import pairwise

from autoresearch.proposer.idea.apply_edits import Edit, EditBlock, Whole

_OPEN = re.compile(r"^\s{0,3}<{5,9} ?(?:SEARCH|ORIGINAL)\b:?\s*(.*?)\s*$")
_DIVIDE = re.compile(r"^\s{0,3}={5,9}\s*$")
_CLOSE = re.compile(r"^\s{0,3}>{5,9} ?(?:REPLACE|UPDATED)\b.*$")
_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})\s*([\w+.-]*)\s*(\S*)\s*$")
_FILE = re.compile(r"^\s*(?:[#*]*\s*)?(?:WHOLE )?FILE:\s*[`*]*([^`*\s]+)[`*]*\s*$", re.IGNORECASE)
_NAME = re.compile(r"^\s*[#*`]*\s*([\w./-]+\.\w+)[`*:]*\s*$")
_CODEX = re.compile(r"^\*\*\* (Update|Add|Delete) File: (.+?)\s*$")
_HUNK = re.compile(r"^@@")


@dataclass(frozen=True)
class ParsedEdits:
    """Edits of a text in order, and what was wrong with others."""

    edits: tuple[Edit, ...]
    problems: tuple[str, ...] = ()


def find_edits(text: str) -> ParsedEdits:
    """Return all edits of a text: blocks if it has any, else a patch, else whole files."""
    lines = text.split("\n")
    if any(_OPEN.match(line) for line in lines):
        return _blocks(lines)
    if any(_CODEX.match(line) for line in lines) or _is_diff(lines):
        return _patch(lines)
    if any(_CLOSE.match(line) for line in lines):
        return ParsedEdits(
            (), ("a block is closed by '>>>>>>> REPLACE' that '<<<<<<< SEARCH' opens nowhere",)
        )
    return _wholes(lines)


# -- blocks ----------------------------------------------------------------------------------


def _blocks(lines: list[str]) -> ParsedEdits:
    edits: list[Edit] = []
    problems: list[str] = []
    at, name = 0, ""
    while at < len(lines):
        opened = _OPEN.match(lines[at])
        if not opened:
            name = _named(lines[at]) or name
            at += 1
            continue
        number = len(edits) + len(problems) + 1
        end = next((i for i in range(at, len(lines)) if _CLOSE.match(lines[i])), None)
        again = next((i for i in range(at + 1, len(lines)) if _OPEN.match(lines[i])), None)
        if end is None or (again is not None and again < end):
            problems.append(f"block {number} is not closed by '>>>>>>> REPLACE'")
            at = len(lines) if again is None else again
            continue
        block = _block(lines[at + 1 : end], opened[1] or name)
        if isinstance(block, str):
            problems.append(f"block {number} {block}")
        else:
            edits.append(block)
        at = end + 1
    return ParsedEdits(tuple(edits), tuple(problems))


def _block(inside: list[str], name: str) -> EditBlock | str:
    dividers = [i for i, line in enumerate(inside) if _DIVIDE.match(line)]
    if len(dividers) != 1:
        return f"holds {len(dividers)} lines '=======', needs exactly one between its two halves"
    search, replace = inside[: dividers[0]], inside[dividers[0] + 1 :]
    return EditBlock(name, _joined(search), _joined(replace))


def _joined(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _named(line: str) -> str:
    """Return the file that a line of its own names, as models do before a block."""
    naming = _FILE.match(line) or _NAME.match(line)
    if naming:
        return naming[1]
    fence = _FENCE.match(line)
    return fence[3] if fence and "." in fence[3] else ""


# -- patches ---------------------------------------------------------------------------------


def _is_diff(lines: list[str]) -> bool:
    return any(one.startswith("--- ") and two.startswith("+++ ") for one, two in pairwise(lines))


def _patch(lines: list[str]) -> ParsedEdits:
    """Read a unified diff, or the patch format of Codex, hunk by hunk: line numbers are ignored."""
    edits: list[Edit] = []
    problems: list[str] = []
    name, hunk = "", list[str]()
    is_inside = False

    def close() -> None:
        if hunk:
            _close_hunk(name, hunk, edits, problems)
            hunk.clear()

    for number, line in enumerate(lines):
        codex = _CODEX.match(line)
        is_header = (
            line.startswith("--- ")
            and lines[number + 1 : number + 2] != []
            and (lines[number + 1].startswith("+++ "))
        )
        if codex or is_header or line.startswith(("*** ", "```", "diff --git ")):
            close()
            is_inside = False
            if codex:
                name, is_inside = codex[2], codex[1] == "Update"
                if codex[1] != "Update":
                    problems.append(f"the patch would {codex[1].lower()} {name}; only edit files")
        elif line.startswith("+++ ") and not is_inside:
            name = line[4:].split("\t")[0].strip().removeprefix("b/")
        elif _HUNK.match(line):
            close()
            is_inside = True
        elif is_inside and (line[:1] in ("+", "-", " ") or not line):
            hunk.append(line)
        elif is_inside and not line.startswith("\\"):
            hunk.append(" " + line)  # context whose blank was lost on the way
    close()
    return ParsedEdits(tuple(edits), tuple(problems))


def _close_hunk(name: str, hunk: list[str], edits: list[Edit], problems: list[str]) -> None:
    while hunk and not hunk[-1].strip():
        hunk.pop()  # blank lines behind a patch are not part of it
    search = [line[1:] for line in hunk if line[:1] in (" ", "-", "")]
    replace = [line[1:] for line in hunk if line[:1] in (" ", "+", "")]
    if search == replace:
        return
    if not any(line.strip() for line in search):
        problems.append(f"a hunk of {name} has no line to find its place by; give context")
    else:
        edits.append(EditBlock(name, _joined(search), _joined(replace)))


# -- whole files -----------------------------------------------------------------------------


def _wholes(lines: list[str]) -> ParsedEdits:
    """Read ``FILE: name`` lines, each with a fenced part behind it."""
    edits: list[Edit] = []
    problems: list[str] = []
    for number, line in enumerate(lines):
        named = _FILE.match(line)
        if not named:
            continue
        rest = [i for i in range(number + 1, len(lines)) if lines[i].strip()]
        fence = _FENCE.match(lines[rest[0]]) if rest else None
        if fence is None:
            problems.append(f"FILE: {named[1]} is not followed by a fenced part with its content")
            continue
        inside = lines[rest[0] + 1 :]
        end = next((i for i, one in enumerate(inside) if _ends(one, fence[1])), None)
        if end is None:
            problems.append(f"the fenced part of FILE: {named[1]} is not closed")
            continue
        edits.append(Whole(named[1], _joined(inside[:end])))
    return ParsedEdits(tuple(edits), tuple(problems))


def _ends(line: str, mark: str) -> bool:
    fence = _FENCE.match(line)
    return bool(fence and not fence[2] and fence[1].startswith(mark))
