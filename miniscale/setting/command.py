"""Turn a setting's command template into the argv of one trial."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from miniscale.setting.trial import Scalar

KNOBS = "knobs"
_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


def written(value: Scalar) -> str:
    """Write a value for a command line: floats so that they read back exactly."""
    if isinstance(value, bool):
        return "true" if value else "false"
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
) -> tuple[str, ...]:
    """Fill a template's placeholders; an element ``{knobs}`` becomes ``--name=value`` for each.

    A knob can also be named by itself. Where a rung sets a knob's name, the rung wins.

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
    argv: list[str] = []
    for element in template:
        if element == f"{{{KNOBS}}}":
            argv += [f"--{name}={written(known[name])}" for name in knobs]
        else:
            argv.append(_fill(element, known))
    return tuple(argv)


def _names(element: str) -> Iterable[str]:
    for match in _TOKEN.finditer(element):
        if match[0] in ("{", "}"):
            raise ValueError(
                f"command element {element!r}: a lone '{match[0]}'; "
                f"write a placeholder as {{name}}, or '{match[0] * 2}' for the character"
            )
        if match[1]:
            yield match[1]


def _fill(element: str, known: Mapping[str, Scalar]) -> str:
    """Replace the placeholders of one element."""
    for name in _names(element):
        if name not in known:
            raise ValueError(_unknown(name, element, known))

    def value(match: re.Match[str]) -> str:
        return written(known[match[1]]) if match[1] else match[0][0]

    return _TOKEN.sub(value, element)


def _unknown(name: str, element: str, known: Mapping[str, Scalar]) -> str:
    where = f"command element {element!r}: placeholder {{{name}}}"
    if name == KNOBS:
        return f"{where} must be an element of its own; give it one"
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {{{near[0]}}}?" if near else "give it a value in the rung's params"
    return f"{where} is none of {', '.join(sorted(known)) or 'nothing'}; {hint}"
