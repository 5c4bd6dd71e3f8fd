"""Play a policy in a world, through the study that real trainings go through."""

import time
from dataclasses import dataclass, field

from transfer.belief.utility import Utility
from transfer.bench.score import StudyScore, oracle, score
from transfer.bench.worlds.world import World, world_runner
from transfer.events import GainForecast
from transfer.policy.protocol import (
    Decision,
    Evidence,
    Policy,
    Review,
    Reviewer,
    StudyView,
    reserve_of,
)
from transfer.policy.registry import decode_policy, expecting
from transfer.study.simulated_study import KnobTrees, light_spec, simulate

ORACLE = "oracle"
"""The name of who knows the truth; no policy, a reference."""


@dataclass
class Clock:
    """Seconds of CPU that a policy took."""

    cpu_s: float = 0.0
    _begun: float = 0.0

    def __enter__(self) -> None:
        self._begun = time.process_time()

    def __exit__(self, *exception: object) -> None:
        self.cpu_s += time.process_time() - self._begun


@dataclass(frozen=True)
class Timed:
    """A policy that is timed."""

    policy: Policy
    clock: Clock = field(default_factory=Clock)

    @property
    def name(self) -> str:
        """The policy's own."""
        return self.policy.name

    @property
    def utility(self) -> Utility:
        """The policy's own."""
        return self.policy.utility

    def decide(self, evidence: Evidence) -> Decision:
        """Return the policy's decision."""
        with self.clock:
            return self.policy.decide(evidence)

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Return the policy's forecast."""
        with self.clock:
            return self.policy.foresee(evidence, rung)


@dataclass(frozen=True)
class TimedReviewer(Timed):
    """A policy with stacks that is timed."""

    @property
    def reserve(self) -> float:
        """The policy's own."""
        return reserve_of(self.policy)

    def review(self, view: StudyView) -> Review:
        """Return the policy's review."""
        assert isinstance(self.policy, Reviewer)
        with self.clock:
            return self.policy.review(view)


def play(world: World, policy: Policy, *, label: str = "") -> StudyScore:
    """Run one study to its end and score it."""
    told = expecting(policy, world.n_ideas)
    timed = TimedReviewer(told) if isinstance(told, Reviewer) else Timed(told)
    trees, begun = KnobTrees(world.ladder.setting.defaults()), time.process_time()
    study = simulate(
        world.ladder,
        world.changes(),
        policy=timed,
        plan=world.plan,
        runner=world_runner(world, trees),
        trees=trees,
        specs=light_spec,
    )
    return score(
        world,
        study.state,
        trees,
        policy=label or policy.name,
        cpu_s=timed.clock.cpu_s,
        seconds=time.process_time() - begun,
    )


def play_by_name(world: World, policy: str) -> StudyScore:
    """Play a policy as it is named on the command line: ``name`` or ``name key=value …``."""
    if policy == ORACLE:
        return oracle(world)
    return play(world, parsed(policy), label=policy)


def parsed(policy: str) -> Policy:
    """Read a policy from the command line.

    >>> parsed("ttest seeds=6 control=lord").name
    'ttest'

    Raises
    ------
    InputError
        If it is no policy or a key is wrong.
    """
    name, *edits = policy.split()
    data: dict[str, object] = {"name": name}
    for edit in edits:
        key, _, text = edit.partition("=")
        *outer, last = key.split(".")
        inner = data
        for part in outer:
            inner = inner.setdefault(part, {})  # type: ignore[assignment]
        inner[last] = _plain(text)
    return decode_policy(data)


def _plain(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("[") and text.endswith("]"):
        return [_plain(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
