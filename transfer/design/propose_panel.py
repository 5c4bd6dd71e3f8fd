"""A panel for a setting that has none: a dozen edits of its knobs, half expected to hurt."""

import itertools
from collections.abc import Iterator

from miniscale.setting.setting import Kind, Knob, Setting
from miniscale.setting.trial import Scalar
from transfer.design.design_file import flow

WANTED = 12


def _edits(knob: Knob) -> Iterator[tuple[str, Scalar, str]]:
    """Yield edits of a knob: name, value and what is expected of it; mild ones first."""
    default = knob.default
    if knob.choices:
        for choice in knob.choices:
            if choice != default:
                yield f"{knob.name}_{choice}", choice, "open"
        return
    if isinstance(default, bool | str):
        return
    mild, strong = _numbers(knob, float(default))
    for value in mild:
        yield f"{knob.name}_{_word(value)}", _typed(knob, value), "open"
    for value in strong:
        yield f"{knob.name}_{_word(value)}", _typed(knob, value), "expected to hurt"


def _numbers(knob: Knob, default: float) -> tuple[list[float], list[float]]:
    """Return mild and strong values inside the knob's range, none of them the default."""
    low = knob.low if knob.low is not None else -float("inf")
    high = knob.high if knob.high is not None else float("inf")
    if default > 0:
        mild, strong = [default * 1.4, default / 1.4], [default * 4, default / 4]
    else:
        span = (high if high < float("inf") else 1.0) - default
        mild, strong = [default + 0.1 * span], [default + 0.7 * span]
    held = [[min(max(v, low), high) for v in values] for values in (mild, strong)]
    if isinstance(knob.default, int):
        held = [[float(round(v)) for v in values] for values in held]
    kept = [[v for v in dict.fromkeys(values) if v != default] for values in held]
    return kept[0], [v for v in kept[1] if v not in kept[0]]


def _typed(knob: Knob, value: float) -> Scalar:
    return int(value) if isinstance(knob.default, int) else float(f"{value:.4g}")


def _word(value: float) -> str:
    return f"{value:.4g}".replace("-", "m").replace(".", "p").replace("+", "")


def proposed(setting: Setting) -> dict[str, tuple[Knob, Scalar, str]]:
    """Return a dozen edits by name, knobs of both kinds taking turns, half expected to hurt.

    Fewer where the knobs have no more to give.
    """
    kinds = [[k for k in setting.knobs.values() if k.kind is kind] for kind in Kind]
    order = [k for pair in itertools.zip_longest(*kinds) for k in pair if k is not None]
    pools: dict[str, list[tuple[str, Knob, Scalar, str]]] = {"open": [], "expected to hurt": []}
    depth = [[(name, knob, value, what) for name, value, what in _edits(knob)] for knob in order]
    for layer in itertools.zip_longest(*depth):
        for one in layer:
            if one is not None:
                pools[one[3]].append(one)
    half = WANTED // 2
    hurt = pools["expected to hurt"]
    chosen = [*pools["open"][: max(half, WANTED - len(hurt))], *hurt[:half]]
    return {name: (knob, value, what) for name, knob, value, what in chosen[:WANTED]}


def panel_yaml(setting: Setting) -> tuple[str, int]:
    """Return a panel's file, and how many changes it holds."""
    found = proposed(setting)
    lines = [
        f"# Proposed from the knobs of setting {setting.name}: edit it, then design again. Patches",
        "# belong here too: 'patch: my.diff'. A panel is worth what it varies: a dozen changes of",
        "# all kinds, half of them expected to hurt.",
        "changes:",
    ]
    for name, (knob, value, what) in found.items():
        said = {
            "title": f"{knob.name} {value} for {knob.default}",
            "category": knob.about or knob.name.replace("_", " "),
            "kind": str(knob.kind),
            "knobs": {knob.name: value},
            "known": what,
        }
        lines.append(f"  {name}: {flow(said)}")
    return "\n".join(lines) + "\n", len(found)
