"""The source tree of each arm, made on first use in the study's own repository."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

from miniscale.setting.rung import Edit, Stacked, Tree
from miniscale.setting.setting import Kind
from miniscale.setting.trial import Scalar
from miniscale.tree.compare_programs import editable_texts, program_digest
from miniscale.tree.patch import Paths
from transfer.arm import ArmKind, ArmName
from transfer.change import Change
from transfer.events import Proposed
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.study.commit_message import message


class Trees(Protocol):
    """Where checkouts come from; :class:`miniscale.tree.workspace.Workspace` is the real one."""

    def first(self) -> str:
        """Return the commit that the study starts from."""

    def checkout(self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar]) -> Tree:
        """Return a tree of ``parent`` with the change applied."""

    def stack(self, arm: str, *, parent: str, edits: Sequence[Edit]) -> Stacked:
        """Return a tree of ``parent`` with the changes applied in order, and what was left out."""

    def accept(
        self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar], message: str
    ) -> str:
        """Commit a change on ``parent`` as the branch's new head and return the commit."""


class Checkouts:
    """Owns a study's trees; those of changes with a verdict are forgotten."""

    def __init__(self, trees: Trees, state: StudyState, ladder: Ladder) -> None:
        self.trees = trees
        self._state = state
        self._ladder = ladder
        self._paths = Paths(ladder.setting.editable, ladder.setting.locked)
        self._trees: dict[str, Tree] = {}
        self._known: dict[str, str] = {}
        self._n_known = 0

    def tree(self, arm: str) -> Tree:
        """Return the tree of a change, a stack or a baseline."""
        if arm not in self._trees:
            record, members = self._state.changes.get(arm), self._state.part_members(arm)
            if record is not None:
                self._trees[arm] = self.make(record.proposed)
            elif members is not None and arm not in self._state.bases:
                self._trees[arm] = self.stack(arm, self._state.first_base, members).tree
            else:
                commit = self._state.bases[arm]
                self._trees[arm] = self.trees.checkout(arm, parent=commit, patch="", knobs={})
        return self._trees[arm]

    def make(self, proposed: Proposed) -> Tree:
        """Make a change's tree, whether it is in the study already or not.

        Raises
        ------
        PatchRefused
            If the change does not apply.
        """
        change, parent = proposed.change, self._state.bases[proposed.base]
        if change.members:
            tree = self.stack(proposed.arm, proposed.base, change.members).tree
        else:
            tree = self.trees.checkout(
                proposed.arm, parent=parent, patch=change.patch, knobs=change.knobs
            )
        self._trees[proposed.arm] = tree
        return tree

    def stack(self, arm: str, base: str, members: Sequence[str]) -> Stacked:
        """Make the tree of several changes on a baseline."""
        changes = {member: self._state.changes[member].change for member in members}
        edits = [Edit(name, change.patch, change.knobs) for name, change in changes.items()]
        return self.trees.stack(arm, parent=self._state.bases[base], edits=edits)

    def commit(self, arm: str, *, parent: str) -> str:
        """Commit an accepted change on ``parent``, with its evidence, and return the commit.

        Raises
        ------
        PatchRefused
            If the change does not apply there.
        """
        state, change = self._state, self._state.changes[arm].change
        words = message(self._ladder, state, state.changes[arm].proposed, state.verdict(arm))
        return self.trees.accept(
            arm, parent=parent, patch=change.patch, knobs=change.knobs, message=words
        )

    def forget(self, arm: str) -> None:
        """Let go of a tree that no more trials need."""
        self._trees.pop(arm, None)

    def duplicate_of(self, change: Change, base: str) -> str:
        """Say which change of the study has the same content; empty if none has."""
        if change.is_control:
            return ""
        knobs = self.tree(base).knobs
        if not change.patch and all(knobs.get(k) == v for k, v in change.knobs.items()):
            return "changes nothing: the baseline has these knob values already"
        self._learn()
        arm = self._known.get(change.content_digest(self._state.bases[base]))
        title = self._state.changes[arm].change.title if arm else ""
        return f"the same as {arm} '{title}'" if arm else ""

    def program(self, proposed: Proposed) -> tuple[str, str]:
        """Return the digest of what a change runs, and why that is not worth running.

        The reason is empty for a program that is new, and where only knobs change.
        """
        change = proposed.change
        if change.is_control or proposed.rescreens:
            return "", ""
        name = self._program_of(self.tree(proposed.arm), is_patched=bool(change.patch))
        if not (name and change.patch):
            return name, ""
        if name == self._program_of(self.tree(proposed.base), is_patched=True):
            return name, "changes nothing but comments or layout"
        arm = self._state.changes.programs.get(name)
        title = self._state.changes[arm].change.title if arm else ""
        return name, f"runs the same program as {arm} '{title}'" if arm else ""

    def _program_of(self, tree: Tree, *, is_patched: bool) -> str:
        texts = editable_texts(tree.path, self._paths)
        return program_digest(texts, tree.knobs) if texts or not is_patched else ""

    def _learn(self) -> None:
        """Note the content of the changes that came since the last call."""
        changes, bases = self._state.changes, self._state.bases
        new = list(islice(reversed(changes), len(changes) - self._n_known))
        self._n_known = len(changes)
        for arm in reversed(new):
            other = changes[arm]
            if not other.change.members:
                self._known.setdefault(other.change.content_digest(bases[other.base]), arm)


def stack_of(state: StudyState, members: Sequence[str]) -> Change:
    """Describe several changes as one; it is a hyper-parameter edit only if all of them are."""
    kinds = {state.changes[member].change.kind for member in members}
    is_edit = kinds == {Kind.HYPERPARAMETER}
    return Change(
        title=f"stack of {' '.join(members)}",
        kind=Kind.HYPERPARAMETER if is_edit else Kind.STRUCTURAL,
        members=tuple(members),
        proposer="study",
    )


def next_baseline(state: StudyState) -> str:
    """Return the arm that the next baseline will be."""
    return str(ArmName(ArmKind.BASELINE, len(state.bases)))
