"""Constants that trials set in a tree's sources, and what a change may make of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.source.constants import (
    Constant,
    NoConstant,
    is_sane_edit,
    read_constants,
    set_constants,
)
from miniscale.source.literals import Value
from miniscale.tree.patch import PatchRefused

_SHOWN = 40
"""Characters of a constant that a message shows."""
Constants = dict[str, dict[str, Constant]]


@dataclass(frozen=True)
class SetPlaces:
    """Places in sources that every trial sets, and what stood there when a study began."""

    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Source file -> place -> what it is set to, as the setting says."""
    first: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """Source file -> place -> its first value, where that is a plain one."""

    @classmethod
    def of(cls, source: Path, templates: Mapping[str, Mapping[str, str]]) -> "SetPlaces":
        """Look the places up in a source.

        Raises
        ------
        InputError
            If one is not there.
        """
        try:
            now = _read(source, templates)
        except (NoConstant, OSError) as error:
            raise InputError(f"setting.constants: {error}; name one that is there") from None
        first = {
            name: {p: c.value for p, c in places.items() if c.value is not None}
            for name, places in now.items()
        }
        try:
            _try_setting(source, templates, first, now)
        except NoConstant as error:
            raise InputError(f"setting.constants: {error}") from None
        return cls(templates, first)

    def read(self, tree: Path) -> Constants:
        """Return what a tree has at the places."""
        return _read(tree, self.templates)

    def check(self, tree: Path, before: Constants) -> None:
        """Refuse a change that took a place away, or whose edit of one no trial would see.

        An edit of a number is kept as a factor on what trials set; no other is.

        Raises
        ------
        PatchRefused
            With what every trial sets there.
        """
        try:
            after = _read(tree, self.templates)
            _try_setting(tree, self.templates, self.first, after)
        except NoConstant as error:
            raise PatchRefused(
                f"the patch takes a constant away that every trial sets ({error}); leave it there"
            ) from None
        for name, places in self.templates.items():
            for place, template in places.items():
                old, new = before[name][place], after[name][place]
                first = self.first.get(name, {}).get(place)
                is_kept = template != "{seed}" and is_sane_edit(first, new.value)
                if old.words != new.words and not is_kept:
                    raise PatchRefused(
                        f"the patch edits {place} in {name!r} ({old.words[:_SHOWN]} to "
                        f"{new.words[:_SHOWN]}), which every trial sets to {template!r}; "
                        "change the program elsewhere"
                    )
                if old.others != new.others:
                    raise PatchRefused(
                        f"the patch binds {place} in {name!r} in another place, which no trial "
                        f"sets to {template!r}; bind it once, or use another name"
                    )


def _read(folder: Path, templates: Mapping[str, Mapping[str, str]]) -> Constants:
    return {
        name: read_constants(name, (folder / name).read_bytes(), places)
        for name, places in templates.items()
    }


def _try_setting(
    folder: Path,
    templates: Mapping[str, Mapping[str, str]],
    first: Mapping[str, Mapping[str, Value]],
    now: Constants,
) -> None:
    """Set each place to a text of all that its value depends on: trials would fail where this does.

    Parameters
    ----------
    folder
        Where the sources are.
    templates, first
        As of :class:`SetPlaces`.
    now
        What stands there.
    """
    for name, places in templates.items():
        values: dict[str, Value] = {
            place: f"{template} {first.get(name, {}).get(place)} {now[name][place].value}"
            for place, template in places.items()
        }
        set_constants(name, (folder / name).read_bytes(), values)
