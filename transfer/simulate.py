"""Whole studies in memory: the real study, policy and climb on a trainer with planted truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.oracle import OracleRunner
from miniscale.rung import Folders, Tree
from miniscale.runner import Runner
from miniscale.trial import Scalar, digest
from transfer.change import Change
from transfer.events import Event
from transfer.ladder import Ladder
from transfer.policy import Policy
from transfer.study import Plan, Study

NOWHERE = Path("nowhere")


@dataclass
class MemoryLedger:
    """Events in a list."""

    events: list[Event] = field(default_factory=list)

    def append(self, event: Event) -> None:
        """Keep one more event."""
        self.events.append(event)


class KnobTrees:
    """Trees of a setting without editable files: a commit is no more than its knob values."""

    def __init__(self, knobs: Mapping[str, Scalar]) -> None:
        self._commits: dict[str, dict[str, Scalar]] = {digest(dict(knobs)): dict(knobs)}

    def first(self) -> str:
        """Return the commit with every knob at its default."""
        return next(iter(self._commits))

    def checkout(self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar]) -> Tree:
        """Return the knob values of ``parent`` with the change's."""
        del arm, patch
        merged = {**self._commits[parent], **knobs}
        return Tree(NOWHERE, digest(merged), merged)

    def accept(
        self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar], message: str
    ) -> str:
        """Make a commit of the merged values."""
        tree = self.checkout(arm, parent=parent, patch=patch, knobs=knobs)
        del message
        self._commits[tree.digest] = dict(tree.knobs)
        return tree.digest


def simulate(
    ladder: Ladder,
    changes: Iterable[Change],
    *,
    policy: Policy,
    plan: Plan,
    runner: Runner | None = None,
) -> Study:
    """Run one study to its end in memory and return it.

    Parameters
    ----------
    ladder
        A ladder of a setting without editable files whose command is the oracle trainer.
    changes
        What is proposed, in order.
    """
    knobs = ladder.setting.defaults()
    study = Study(
        ladder,
        policy=policy,
        plan=plan,
        ledger=MemoryLedger(),
        trees=KnobTrees(knobs),
        folders=Folders(NOWHERE, NOWHERE),
        data={},
    )
    study.start("simulated", {})
    waiting = iter(changes)
    engine = runner or OracleRunner()
    while True:
        study.settle()
        while study.has_room():
            change = next(waiting, None)
            if change is None:
                break
            study.add(change)
        specs = study.next_tick()
        if not specs and not study.state.in_flight():
            return study
        engine.submit(specs)
        while study.state.pending():
            for result in engine.poll(1.0):
                study.finish(result)
