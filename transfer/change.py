"""A change: a hypothesis with its patch or knob values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from miniscale.setting.decode import InputError, Key
from miniscale.setting.setting import Kind, Setting
from miniscale.setting.trial import Scalar, digest


@dataclass(frozen=True)
class Change:
    """One idea, as a patch of the editable files, knob values, or both.

    A null change (``is_control``) changes nothing and runs with salted seeds (other initialisation,
    other order): it measures the false-positive rate of the whole pipeline as it really is.
    """

    title: str
    hypothesis: str = ""
    category: str = ""
    kind: Kind = Kind.STRUCTURAL
    knobs: Mapping[str, Scalar] = field(default_factory=dict)
    patch: str = ""
    is_control: bool = False
    known: str = ""
    proposer: str = ""
    members: tuple[str, ...] = ()
    """Arms that this stack puts together; empty for a single change."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Rung or ``target`` -> percent of compute that its proposer expects it to be worth."""
    repairs: str = ""
    """Arm of the crashed change that this one mends."""

    def __post_init__(self) -> None:
        if not self.title:
            raise InputError("change: title is empty; say in a few words what it does")
        if not (self.patch or self.knobs or self.is_control or self.members):
            raise InputError(f"change '{self.title}': no patch and no knobs; give one of them")
        if self.is_control and (self.patch or self.knobs):
            raise InputError(
                f"change '{self.title}': a null change changes nothing; drop patch and knobs"
            )

    def content_digest(self, parent: str) -> str:
        """Name the content by what it does and to which commit: equal digests are one change."""
        content: dict[str, Any] = {
            "patch": self.patch,
            "knobs": dict(self.knobs),
            "control": self.is_control,
            "on": parent,
        }
        if self.members:
            content["members"] = sorted(self.members)
        return digest(content)


def kind_of(change: Change, setting: Setting) -> Kind:
    """Return the kind a change really has: an edit of hyper-parameters alone is one.

    A knob edit is what its knobs are, whatever the change calls itself.
    """
    if change.patch or not change.knobs:
        return change.kind
    kinds = {setting.knobs[name].kind for name in change.knobs}
    return Kind.HYPERPARAMETER if kinds == {Kind.HYPERPARAMETER} else Kind.STRUCTURAL


def checked(change: Change, setting: Setting) -> Change:
    """Return the change with knobs in their own types and its true kind.

    Raises
    ------
    InputError
        For unknown knobs or values outside a knob's range.
    """
    knobs = setting.check_knobs(change.knobs, where=f"change '{change.title}'")
    typed = replace(change, knobs=knobs)
    return replace(typed, kind=kind_of(typed, setting))


@dataclass(frozen=True)
class ChangeKeys:
    """A known change as a panel's YAML has it."""

    name: str
    title: str = ""
    """In a few words what it does; absent: its name."""
    hypothesis: str = ""
    category: str = ""
    kind: Kind = Kind.STRUCTURAL
    knobs: Mapping[str, Scalar] = field(default_factory=dict)
    patch: str = ""
    """File with a diff, beside the setting's source or the configuration."""
    is_control: Annotated[bool, Key("control")] = False
    """An A/A control: it changes nothing and runs with other seeds."""
    known: str = ""
    """What is known of it, in words."""

    def build(self, setting: Setting, roots: Sequence[Path], *, path: str) -> Change:
        """Return the change, its patch read and its knobs checked.

        Parameters
        ----------
        setting
            What it changes.
        roots
            Folders that the patch is looked up in, after the setting's own.
        path
            Where it is written, for messages.

        Raises
        ------
        InputError
            If the patch is not there, or a knob or its value does not exist.
        """
        patch = _read_patch(self.patch, [setting.source, *roots], path) if self.patch else ""
        change = Change(
            title=self.title or self.name.replace("_", " "),
            hypothesis=self.hypothesis,
            category=self.category,
            kind=self.kind,
            knobs=self.knobs,
            patch=patch,
            is_control=self.is_control,
            known=self.known,
            proposer="panel",
        )
        return checked(change, setting)


@dataclass(frozen=True)
class PanelKeys:
    """Known changes by name, as ``conf/panel/`` has them."""

    changes: Mapping[str, ChangeKeys] = field(default_factory=dict)

    def build(self, setting: Setting, roots: Sequence[Path], *, path: str) -> dict[str, Change]:
        """Return the changes by name; see :meth:`ChangeKeys.build`."""
        return {
            name: keys.build(setting, roots, path=f"{path}.changes.{name}")
            for name, keys in self.changes.items()
        }


def _read_patch(name: str, roots: Sequence[Path], path: str) -> str:
    for root in roots:
        if (root / name).is_file():
            return (root / name).read_text()
    raise InputError(f"{path}.patch: file '{name}' not found in {roots[0]}; correct the name")
