"""From an idea to a change, or to the reason why no compute is spent on it."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from autoresearch.proposer.idea.apply_edits import Applied, EditRefused, apply
from autoresearch.proposer.idea.parse_reply import Idea
from miniscale.setting.decode import InputError
from miniscale.setting.setting import Kind, Setting
from miniscale.setting.trial import Scalar
from miniscale.tree.compare_programs import is_retuned, is_seed_change, program_digest, syntax_error
from transfer.change import Change, checked

MOST_BYTES = 300_000
"""assumption: of one edited file."""


class Unfit(ValueError):
    """An idea that is not run; the message says why and what would mend it."""

    def __init__(self, message: str, *, is_misapplied: bool = False) -> None:
        super().__init__(message)
        self.is_misapplied = is_misapplied
        """Whether its edits did not fit the files: the whole file may be the way out."""


@dataclass(frozen=True)
class Ground:
    """What an idea is checked against: the baseline, and what was tried before."""

    setting: Setting
    texts: Mapping[str, str]
    """Editable file -> its text in the baseline."""
    knobs: Mapping[str, Scalar]
    known: Mapping[str, str] = field(default_factory=dict)
    """Program digest -> the change that had it, in words."""


def admit(
    idea: Idea, ground: Ground, *, proposer: str, repairs: str = ""
) -> tuple[Change, tuple[Applied, ...]]:
    """Turn an idea into a change of the baseline, and say how its edits went in.

    Raises
    ------
    Unfit
        If it cannot be applied, is no program, changes nothing or nothing but seeds, or was tried.
    """
    knobs = _typed(idea, ground)
    try:
        texts, applied = apply(idea.edits, ground.texts)
    except EditRefused as error:
        raise Unfit(f"'{idea.title}': {error}", is_misapplied=True) from None
    for name, text in texts.items():
        if text != ground.texts[name]:
            _check_text(idea, name, text)
    _check_new(idea, ground, texts, knobs)
    is_tuned = not idea.edits or is_retuned(ground.texts, texts)
    kind = Kind.HYPERPARAMETER if is_tuned else Kind.STRUCTURAL
    change = Change(
        title=idea.title,
        hypothesis=idea.hypothesis,
        category=idea.category,
        kind=kind,
        knobs=knobs,
        patch=difference(ground.texts, texts),
        proposer=proposer,
        expected=dict(idea.expected),
        repairs=repairs,
    )
    return checked(change, ground.setting), applied


def _typed(idea: Idea, ground: Ground) -> dict[str, Scalar]:
    given = {name: _plain(value, ground, name) for name, value in idea.knobs.items()}
    try:
        knobs = ground.setting.check_knobs(given, where=f"'{idea.title}'")
    except InputError as error:
        raise Unfit(str(error)) from None
    return {name: value for name, value in knobs.items() if ground.knobs.get(name) != value}


def _plain(value: object, ground: Ground, name: str) -> object:
    """Read a number or truth value that was written as text, where the knob is none."""
    knob = ground.setting.knobs.get(name)
    if not isinstance(value, str) or knob is None or isinstance(knob.default, str):
        return value
    word = value.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word) if any(c in word for c in ".en") else int(word)
    except ValueError:
        return value


def _check_text(idea: Idea, name: str, text: str) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise Unfit(
            f"'{idea.title}': {name} would hold damaged characters; write it again"
        ) from None
    if "\ufffd" in text or "\0" in text:
        raise Unfit(f"'{idea.title}': {name} would hold damaged characters; write it again")
    if size > MOST_BYTES:
        raise Unfit(f"'{idea.title}': {name} would have {size} bytes, at most {MOST_BYTES}")
    error = syntax_error(name, text)
    if error:
        raise Unfit(f"'{idea.title}' is no program: {error}")


def _check_new(
    idea: Idea, ground: Ground, texts: Mapping[str, str], knobs: Mapping[str, Scalar]
) -> None:
    before = program_digest(ground.texts, ground.knobs)
    now = program_digest(texts, {**ground.knobs, **knobs})
    if now == before:
        raise Unfit(
            f"'{idea.title}' changes nothing: the baseline is this program with these knobs already"
        )
    is_reseeded = is_seed_change(ground.texts, texts) or texts == ground.texts
    if is_reseeded and all("seed" in name.lower() for name in knobs):
        raise Unfit(
            f"'{idea.title}' changes seeds only; seeds are the harness's, change the method"
        )
    if now in ground.known:
        raise Unfit(f"'{idea.title}' was tried: the same as {ground.known[now]}; try another idea")


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a patch as git writes it; its index lines let a three-way merge find the baseline."""
    parts = []
    for name, text in after.items():
        old = before.get(name, "")
        if text == old:
            continue
        lines = difflib.unified_diff(
            _lines(old), _lines(text), f"a/{name}", f"b/{name}", lineterm="\n"
        )
        body = "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )
        index = f"index {_blob(old)}..{_blob(text)} 100644"
        parts.append(f"diff --git a/{name} b/{name}\n{index}\n{body}")
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """Split after line feeds alone: other line ends are text to git."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def _blob(text: str) -> str:
    content = text.encode("utf-8")
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
