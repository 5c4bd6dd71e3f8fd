"""All worlds by name: suites, families of other mechanisms, variations; a stranger's by path."""

import importlib
from collections.abc import Callable, Mapping
from functools import partial

from miniscale.setting.decode import InputError, nearest
from transfer.bench.worlds import families, families_data, families_law, families_surface
from transfer.bench.worlds.suites import SUITES, VARIATIONS, suite_world, variation_world
from transfer.bench.worlds.world import World

Maker = Callable[[int], World]
"""From a seed to a world."""

FAMILIES: Mapping[str, Maker] = {
    **families_law.FAMILIES,
    **families_surface.FAMILIES,
    **families_data.FAMILIES,
    **families.FAMILIES,
}
GROUPS: Mapping[str, Mapping[str, Maker]] = {
    "suites": {name: partial(suite_world, name) for name in SUITES},
    "families": FAMILIES,
    "variations": {name: partial(variation_world, name) for name in VARIATIONS},
}
MAKERS: Mapping[str, Maker] = {name: m for group in GROUPS.values() for name, m in group.items()}


def maker(name: str) -> Maker:
    """Return what makes the worlds of a suite: by its name, or ``module:function``.

    Raises
    ------
    InputError
        If there is no such suite, module or function.
    """
    if name in MAKERS:
        return MAKERS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        known = [*MAKERS, *GROUPS, "all"]
        hint = f"{nearest(name, known)} Or give 'module:function' of your own"
        raise InputError(f"--suite: '{name}' is unknown; {hint}")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        raise InputError(f"--suite: '{name}' cannot be imported ({error})") from None
    if not callable(found):
        raise InputError(f"--suite: '{name}' is no function from a seed to a World")
    made: Maker = found
    return made


def chosen(words: str) -> list[str]:
    """Return suites named on the command line: names and groups with commas, or ``all``.

    >>> chosen("A,B")
    ['A', 'B']

    Raises
    ------
    InputError
        For a name that is none.
    """
    found: dict[str, None] = {}
    for word in filter(None, words.split(",")):
        if word != "all" and word not in GROUPS:
            maker(word)
        found |= dict.fromkeys(MAKERS if word == "all" else GROUPS.get(word, {word: None}))
    if not found:
        raise InputError(f"--suite: empty; known: {', '.join([*GROUPS, *MAKERS])}")
    return list(found)
