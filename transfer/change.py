"""A change: a hypothesis with its patch or knob values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from miniscale.setting.decode import InputError, Node
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

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain JSON data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Change":
        """Rebuild a change from :meth:`to_json`."""
        known = dict(data)
        known["kind"] = Kind(known["kind"])
        known["members"] = tuple(known.get("members", ()))
        return Change(**known)


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


def decode_change(name: str, node: Node, *, setting: Setting, roots: Sequence[Path]) -> Change:
    """Read one change of a panel's YAML; ``patch`` names a file."""
    patch = node.text("patch", "")
    kind = node.text("kind", Kind.STRUCTURAL.value)
    if kind not in {known.value for known in Kind}:
        raise InputError(f"{node.path}.kind: got '{kind}', must be one of {[*Kind]}")
    change = Change(
        title=node.text("title", name.replace("_", " ")),
        hypothesis=node.text("hypothesis", ""),
        category=node.text("category", ""),
        kind=Kind(kind),
        knobs=node.scalars("knobs"),
        patch=_read_patch(patch, [setting.source, *roots], node.path) if patch else "",
        is_control=node.flag("control", False),
        known=node.text("known", ""),
        proposer="panel",
    )
    node.finish()
    return checked(change, setting)


def _read_patch(name: str, roots: Sequence[Path], path: str) -> str:
    for root in roots:
        if (root / name).is_file():
            return (root / name).read_text()
    raise InputError(f"{path}.patch: file '{name}' not found in {roots[0]}; correct the name")
