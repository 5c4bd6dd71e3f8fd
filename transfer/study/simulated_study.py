"""Run a whole study in memory on a trainer with planted truth: real loop, policy and ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.run.runner.in_process import InProcessRunner
from miniscale.run.runner.protocol import Runner
from miniscale.setting.rung import Edit, Folders, Rung, Stacked, Tree
from miniscale.setting.trial import MetricSource, Scalar, TrialSpec, digest
from miniscale.settings.oracle.planted_law import result_of
from transfer.change import Change
from transfer.events import Event
from transfer.ladder import Ladder
from transfer.policy.protocol import Policy
from transfer.study.arm_trees import Trees
from transfer.study.limits import UNLIMITED
from transfer.study.loop import run
from transfer.study.proposer_protocol import ProposalRequest, Session
from transfer.study.study import Specs, Study
from transfer.study_plan import StudyPlan

NOWHERE = Path("nowhere")
READING = MetricSource(file="nowhere", key="value")
QUIET = Session(NOWHERE, clock=float)
"""No clock, no voice, nobody who could interrupt."""


@dataclass
class MemoryLedger:
    """Events in a list."""

    events: list[Event] = field(default_factory=list)

    def append(self, event: Event) -> None:
        """Keep one more event."""
        self.events.append(event)


@dataclass(frozen=True)
class Content:
    """What a commit in memory holds: the patches that led to it, in order, and knob values.

    No patch is applied: its text is a name, so a planted world may say which idea it stands for.
    """

    patches: tuple[str, ...]
    knobs: Mapping[str, Scalar]

    @property
    def digest(self) -> str:
        """The commit's name; equal contents have equal names."""
        return digest([*self.patches, dict(self.knobs)] if self.patches else dict(self.knobs))


class KnobTrees:
    """Trees in memory: a commit is no more than its patches' texts and its knob values."""

    def __init__(self, knobs: Mapping[str, Scalar]) -> None:
        first = Content((), dict(knobs))
        self._first = first.digest
        self._contents = {self._first: first}

    def first(self) -> str:
        """Return the commit with every knob at its default."""
        return self._first

    def content(self, name: str) -> Content:
        """Return what a commit or a tree holds, by its digest; the same as a spec's ``tree``."""
        return self._contents[name]

    def checkout(self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar]) -> Tree:
        """Return ``parent`` with the change's patch and knob values."""
        del arm
        before = self._contents[parent]
        patches = (*before.patches, patch) if patch else before.patches
        content = Content(patches, {**before.knobs, **knobs} if knobs else before.knobs)
        name = content.digest if patch or knobs else parent
        self._contents.setdefault(name, content)
        return Tree(NOWHERE, name, content.knobs)

    def stack(self, arm: str, *, parent: str, edits: Sequence[Edit]) -> Stacked:
        """Return ``parent`` with all edits; in memory every patch applies."""
        tree = self.checkout(arm, parent=parent, patch="", knobs={})
        for edit in edits:
            tree = self.checkout(arm, parent=tree.digest, patch=edit.patch, knobs=edit.knobs)
        return Stacked(tree, {})

    def accept(
        self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar], message: str
    ) -> str:
        """Make a commit of the merged content."""
        del message
        return self.checkout(arm, parent=parent, patch=patch, knobs=knobs).digest


def light_spec(rung: Rung, *, arm: str, seed: int, tree: Tree) -> TrialSpec:
    """Describe a trial in memory: no command, ``tree`` is the tree's digest.

    The identity is the content by name, readable and made without hashing.
    """
    return TrialSpec(
        identity=f"{tree.digest}.{rung.name}.{seed}",
        arm=arm,
        rung=rung.name,
        seed=seed,
        trainer=(),
        evaluator=(),
        tree=tree.digest,
        out="",
        reading=READING,
    )


@dataclass(frozen=True)
class Scripted:
    """Proposes what comes next, once."""

    changes: Iterator[Change]
    name: str = "scripted"

    def propose(self, request: ProposalRequest) -> Change | None:
        """Return the next change; None when there are no more."""
        del request
        return next(self.changes, None)


def simulate(
    ladder: Ladder,
    changes: Iterable[Change],
    *,
    policy: Policy,
    plan: StudyPlan,
    runner: Runner | None = None,
    trees: Trees | None = None,
    specs: Specs | None = None,
) -> Study:
    """Run one study to its end in memory and return it.

    Parameters
    ----------
    ladder
        A ladder of a setting without editable files whose command is the oracle trainer, or any
        other for a ``runner`` of its own.
    changes
        What is proposed, in order; may never end, since the budget does.
    runner
        What measures; the oracle trainer if not given.
    trees
        Where commits live; :class:`KnobTrees` if not given.
    specs
        How a trial is described, :func:`light_spec` where no command is run; complete with the
        command if not given.
    """
    study = Study(
        ladder,
        policy=policy,
        plan=plan,
        ledger=MemoryLedger(),
        trees=trees or KnobTrees(ladder.setting.defaults()),
        folders=Folders(NOWHERE, NOWHERE),
        data={},
        specs=specs,
    )
    study.start("simulated", {})
    proposer = Scripted(iter(changes))
    run(
        study,
        proposer=proposer,
        runner=runner or InProcessRunner(result_of),
        limits=UNLIMITED,
        session=QUIET,
    )
    return study
