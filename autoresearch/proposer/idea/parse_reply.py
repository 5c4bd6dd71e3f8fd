"""What a model wrote, read as ideas; what cannot be read is told back in words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoresearch.proposer.idea import parse_edits
from autoresearch.proposer.idea.apply_edits import Edit, EditBlock, Whole
from miniscale.process.logs import plain

MOST_CHARACTERS = 400_000
MOST_IDEAS = 16
"""assumption: a reply beyond these has run away."""
TITLE, HYPOTHESIS, CATEGORY = 80, 600, 32
"""assumption: characters kept of each."""
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL)
_TOO_DEEP = 60
"""assumption: levels of JSON; Python's own parser gives up near a thousand."""


class Malformed(ValueError):
    """A reply without any idea that can be read; the message goes back to the model."""


@dataclass(frozen=True)
class Idea:
    """One idea as it was written, before anything of it is checked against the study."""

    title: str
    hypothesis: str = ""
    category: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Rung or ``target`` -> percent of compute that the change is expected to be worth."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Reply:
    """The ideas of a reply in order, and what was wrong with others."""

    ideas: tuple[Idea, ...]
    problems: tuple[str, ...] = ()


def read(text: str) -> Reply:
    """Read a reply in any of the formats: one JSON object, or headers each with blocks behind it.

    Raises
    ------
    Malformed
        If there is no idea in it that can be read.
    """
    if len(text) > MOST_CHARACTERS:
        raise Malformed(
            f"the reply has {len(text)} characters, at most {MOST_CHARACTERS} are read; be brief"
        )
    text = _THOUGHTS.sub("", text.replace("\r\n", "\n")).strip()
    if not text:
        raise Malformed("the reply is empty; give one idea")
    whole = loads(text)
    reply = _from_json(whole) if isinstance(whole, dict | list) else _from_text(text)
    if not reply.ideas:
        why = "; ".join(reply.problems) or "no JSON header with a title was found"
        raise Malformed(why)
    return reply


# -- JSON ------------------------------------------------------------------------------------


def loads(text: str) -> object:
    """Parse JSON; None for what is none, is too deep, or holds numbers that are no numbers."""
    try:
        data: object = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return data if _depth_of(data) <= _TOO_DEEP else None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _depth_of(value: object) -> int:
    depth, level = 0, [value]
    while level and depth <= _TOO_DEEP:
        depth += 1
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    return depth


def _from_json(whole: dict[str, Any] | list[Any]) -> Reply:
    given = whole.get("ideas", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(given, list):
        raise Malformed(f"'ideas' must be a list, got {_shown(given)}")
    ideas, problems = [], []
    for number, one in enumerate(given[:MOST_IDEAS], start=1):
        try:
            ideas.append(_idea(one, _json_edits(one)))
        except Malformed as error:
            problems.append(f"idea {number}: {error}")
    return Reply(tuple(ideas), tuple(problems))


def _idea(data: object, edits: tuple[Edit, ...]) -> Idea:
    fields = stated(data)
    title = fields["title"]
    if not title:
        raise Malformed("'title' is missing; say in a few words what the change does")
    if not edits and not fields["knobs"]:
        raise Malformed(f"'{title}' has neither edits nor knobs; give one of them")
    return Idea(**fields, edits=edits)


def stated(data: object) -> dict[str, Any]:
    """Return what an object states of an idea, its edits left out; a title may be missing.

    Raises
    ------
    Malformed
        If it is no object, or its knobs are none.
    """
    if not isinstance(data, dict):
        raise Malformed(f"must be an object with a title, got {_shown(data)}")
    return {
        "title": words(data.get("title"), TITLE),
        "hypothesis": words(data.get("hypothesis"), HYPOTHESIS),
        "category": words(data.get("category"), CATEGORY).lower(),
        "expected": _expected(data.get("expected")),
        "knobs": _knobs(data.get("knobs")),
    }


def words(value: object, most: int) -> str:
    """Return one plain line of text, without control characters and cut to size."""
    if not isinstance(value, str):
        return ""
    text = " ".join(plain(value).split()).encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= most else text[: most - 1] + "…"


def _knobs(value: object) -> dict[str, Any]:
    """Read knobs as an object or as a list of name and value, which strict schemas want."""
    if value is None:
        return {}
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        pairs = [(one.get("name"), one.get("value")) for one in value]
    else:
        raise Malformed(f"'knobs' must be an object of names and values, got {_shown(value)}")
    by_name: dict[str, Any] = {}
    for name, one in pairs:
        if not isinstance(name, str) or isinstance(one, dict | list) or one is None:
            raise Malformed(f"knob {_shown(name)}: {_shown(one)} is no plain value")
        if isinstance(one, int) and abs(one) > 2**53:
            raise Malformed(f"knob {name[:40]!r}: {_shown(one)} is too large a number")
        if name in by_name and by_name[name] != one:
            raise Malformed(f"knob {name[:40]!r} is given two values; give one")
        by_name[name] = one
    return by_name


def _expected(value: object) -> dict[str, float]:
    """Keep what is a number; a forecast that cannot be read costs nobody an idea."""
    if not isinstance(value, dict):
        return {}
    return {
        str(name)[:40]: float(one)
        for name, one in value.items()
        if isinstance(one, int | float) and not isinstance(one, bool) and -100 < one <= 10_000
    }


def _json_edits(data: object) -> tuple[Edit, ...]:
    given = data.get("edits") if isinstance(data, dict) else None
    if given is None:
        return ()
    if isinstance(given, str):
        return _edits_in(given)
    if not isinstance(given, list):
        raise Malformed(f"'edits' must be a list, got {_shown(given)}")
    edits: list[Edit] = []
    for number, one in enumerate(given, start=1):
        texts = one if isinstance(one, dict) else {}
        file, search, replace = (texts.get(key) for key in ("file", "search", "replace"))
        content = texts.get("content")
        name = file if isinstance(file, str) else ""
        if isinstance(search, str) and isinstance(replace, str):
            edits.append(EditBlock(name, search, replace))
        elif isinstance(content, str):
            edits.append(Whole(name, content))
        else:
            raise Malformed(f"edit {number} needs file, search and replace (or content) as text")
    return tuple(edits)


def _edits_in(text: str) -> tuple[Edit, ...]:
    parsed = parse_edits.find_edits(text)
    if parsed.problems:
        raise Malformed("; ".join(parsed.problems))
    return parsed.edits


def _shown(value: object) -> str:
    return repr(value)[:60]


# -- text ------------------------------------------------------------------------------------


def _from_text(text: str) -> Reply:
    """Read headers and, behind each up to the next one, its edits."""
    headers = _headers(text)
    if not headers:
        parsed = parse_edits.find_edits(text)
        what = f"{len(parsed.edits)} edits but " if parsed.edits else ""
        shown = "; ".join(parsed.problems)
        raise Malformed(
            f"the reply has {what}no JSON object with a title that can be read"
            + (f"; {shown}" if shown else "")
        )
    if len(headers) == 1 and "ideas" in headers[0][2]:
        return _from_json(headers[0][2])
    ideas, problems = [], []
    ends = [start for start, _, _ in headers[1:]] + [len(text)]
    for number, ((_, after, data), end) in enumerate(zip(headers, ends, strict=True), start=1):
        try:
            edits = _json_edits(data) or _edits_in(text[after:end])
            ideas.append(_idea(data, edits))
        except Malformed as error:
            problems.append(f"idea {number}: {error}")
    return Reply(tuple(ideas[:MOST_IDEAS]), tuple(problems))


def _headers(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (start, end, object) of JSON objects that begin a line and have one of our keys."""
    decoder = json.JSONDecoder(parse_constant=_no_number)
    headers: list[tuple[int, int, dict[str, Any]]] = []
    read_to = 0
    for match in re.finditer(r"^[ \t]*(?=\{)", text, re.MULTILINE):
        if match.end() < read_to or len(headers) >= MOST_IDEAS:
            continue
        try:
            data, read_to = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and {"title", "ideas"} & data.keys():
            headers.append((match.start(), read_to, data))
    return headers
