"""Constants that trials set in a tree's sources, and what a change may make of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.source.constants import Constant, NoConstant, Value, read_constants
from miniscale.tree.patch import PatchRefused

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
        except NoConstant as error:
            raise PatchRefused(
                f"the patch takes a constant away that every trial sets ({error}); leave it there"
            ) from None
        for name, places in self.templates.items():
            for place, template in places.items():
                old, new = before[name][place], after[name][place]
                is_number = _is_number(old.value) and _is_number(new.value)
                if old.words != new.words and not (is_number and template != "{seed}"):
                    raise PatchRefused(
                        f"the patch edits {place} in {name!r} ({old.words} to {new.words}), which "
                        f"every trial sets to {template!r}; change the program elsewhere"
                    )


def _read(folder: Path, templates: Mapping[str, Mapping[str, str]]) -> Constants:
    return {
        name: read_constants(name, (folder / name).read_bytes(), places)
        for name, places in templates.items()
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
