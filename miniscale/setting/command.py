"""Turn a setting's command template into the argv of one trial."""

import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from miniscale.setting.trial import Scalar

KNOBS = "knobs"
THEN = "&&"
"""An element of its own between two programs: the second runs if the first ends with 0."""
_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)\}|[{}]")


class FlagStyle(StrEnum):
    """How a knob's name and value stand on a command line."""

    EQUALS = "equals"
    """``--name=value``."""
    SPACE = "space"
    """``--name value``."""
    HYDRA = "hydra"
    """``name=value``."""


class BoolStyle(StrEnum):
    """How a truth value is written."""

    LOWER = "true"
    TITLE = "True"
    FLAG = "flag"
    """``--name`` if it holds, else nothing."""
    NO_FLAG = "no-flag"
    """``--name`` or ``--no-name``."""


class Seeding(StrEnum):
    """Who seeds a program's random numbers."""

    NONE = "none"
    """The program, by what the command passes it."""
    AUTO = "auto"
    """We, before it starts."""


@dataclass(frozen=True)
class Flags:
    """How ``{knobs}`` is written out."""

    style: FlagStyle = FlagStyle.EQUALS
    bools: BoolStyle = BoolStyle.LOWER

    def written(self, name: str, value: Scalar) -> list[str]:
        """Return the elements of one knob."""
        if isinstance(value, bool) and self.bools in (BoolStyle.FLAG, BoolStyle.NO_FLAG):
            no = [f"--no-{name}"] if self.bools is BoolStyle.NO_FLAG else []
            return [f"--{name}"] if value else no
        words = written(value, self.bools)
        if self.style is FlagStyle.SPACE:
            return [f"--{name}", words]
        return [f"{name}={words}" if self.style is FlagStyle.HYDRA else f"--{name}={words}"]


def written(value: Scalar, bools: BoolStyle = BoolStyle.LOWER) -> str:
    """Write a value for a command line: floats so that they read back exactly."""
    if isinstance(value, bool):
        return str(value) if bools is BoolStyle.TITLE else str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def placeholders(template: Sequence[str]) -> frozenset[str]:
    """Return the names that a template needs, ``knobs`` among them where it expands them.

    Raises
    ------
    ValueError
        If an element holds a brace that opens or closes nothing.

    Examples
    --------
    >>> sorted(placeholders(["python", "--depth={depth}", "{{literal}}", "{knobs}"]))
    ['depth', 'knobs']
    """
    return frozenset(name for element in template for name in _names(element))


def render(
    template: Sequence[str],
    values: Mapping[str, Scalar],
    *,
    knobs: Mapping[str, Scalar] | None = None,
    flags: Flags = Flags(),
    placed: Collection[str] = (),
) -> tuple[str, ...]:
    """Fill a template's placeholders; an element ``{knobs}`` becomes ``--name=value`` for each.

    A knob can also be named by itself, and is left out of ``{knobs}`` then. Where a rung sets a
    knob's name, the rung wins.

    Parameters
    ----------
    template
        The elements.
    values
        What the rung and the harness say.
    knobs
        What the arm says.
    flags
        How ``{knobs}`` is written out.
    placed
        Knobs that reach the program by another way, such as its environment.

    Raises
    ------
    ValueError
        If a placeholder has no value.

    Examples
    --------
    >>> render(["run", "{n}", "{knobs}"], {"n": 2}, knobs={"lr": 0.1, "fast": True})
    ('run', '2', '--lr=0.1', '--fast=true')
    """
    knobs = knobs or {}
    known = {**knobs, **values}
    by_hand = {name for element in template for name in _names(element)} | set(placed)
    argv: list[str] = []
    for element in template:
        if element == f"{{{KNOBS}}}":
            rest = (name for name in knobs if name not in by_hand)
            argv += [word for name in rest for word in flags.written(name, known[name])]
        else:
            argv.append(_fill(element, known, flags))
    return tuple(argv)


def in_a_row(argv: Sequence[str]) -> tuple[str, ...]:
    """Return one program that runs those of a command one after another, each if the last did.

    Examples
    --------
    >>> in_a_row(["make", "all"])
    ('make', 'all')
    """
    if THEN not in argv:
        return tuple(argv)
    script = Path(__file__).resolve().parents[1] / "run" / "in_a_row.py"
    return (sys.executable, "-I", "-S", str(script), *argv)


def _names(element: str) -> Iterable[str]:
    for match in _TOKEN.finditer(element):
        if match[0] in ("{", "}"):
            raise ValueError(
                f"command element {element!r}: a lone '{match[0]}'; "
                f"write a placeholder as {{name}}, or '{match[0] * 2}' for the character"
            )
        if match[1]:
            yield match[1]


def _fill(element: str, known: Mapping[str, Scalar], flags: Flags) -> str:
    """Replace the placeholders of one element."""
    for name in _names(element):
        if name not in known:
            raise ValueError(_unknown(name, element, known))

    def value(match: re.Match[str]) -> str:
        return written(known[match[1]], flags.bools) if match[1] else match[0][0]

    return _TOKEN.sub(value, element)


def _unknown(name: str, element: str, known: Mapping[str, Scalar]) -> str:
    where = f"command element {element!r}: placeholder {{{name}}}"
    if name == KNOBS:
        return f"{where} must be an element of its own; give it one"
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {{{near[0]}}}?" if near else "give it a value in the rung's params"
    return f"{where} is none of {', '.join(sorted(known)) or 'nothing'}; {hint}"
