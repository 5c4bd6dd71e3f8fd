"""What the journal adds up to: a fold over events, nothing more."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from miniscale.trial import TrialResult
from transfer.events import (
    Accepted,
    Based,
    Decided,
    Deferred,
    Event,
    Forecast,
    Judged,
    Outcome,
    Proposed,
    Refused,
    Request,
    Started,
    Stopped,
    Tick,
    Tried,
)


@dataclass
class State:
    """Where a study stands. Changed by :meth:`apply` alone."""

    started: Started | None = None
    bases: dict[str, str] = field(default_factory=dict)
    """Baseline arm -> commit, oldest first."""
    changes: dict[str, Proposed] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    results: dict[str, TrialResult] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    requests: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    """(arm, rung) -> seed -> trial identity."""
    ticks: list[Tick] = field(default_factory=list)
    forecasts: dict[tuple[str, str], Forecast] = field(default_factory=dict)
    decisions: list[Decided] = field(default_factory=list)
    verdicts: dict[str, Judged] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """Arm -> commit on the study's branch, in order."""
    deferred: dict[str, str] = field(default_factory=dict)
    """Arm -> why an accepted change is not on the branch yet."""
    stopped: Stopped | None = None

    @property
    def base(self) -> str:
        """The baseline arm that new changes are measured against."""
        return next(reversed(self.bases))

    @property
    def head(self) -> str:
        """The newest commit of the study's branch."""
        return next(reversed(self.accepted.values()), next(iter(self.bases.values())))

    @property
    def spent(self) -> float:
        """What ideas and trials took from the budget, in the ladder's unit."""
        ideas = (proposed.cost for proposed in self.changes.values() if proposed.cost)
        return math.fsum((*self.costs.values(), *ideas))

    def in_flight(self) -> list[Proposed]:
        """Return changes without a verdict, in the order proposed."""
        return [change for arm, change in self.changes.items() if arm not in self.verdicts]

    def pending(self) -> list[Request]:
        """Return trials of the last tick that have not ended."""
        if not self.ticks:
            return []
        return [r for r in self.ticks[-1].requests if r.identity not in self.results]

    def losses(self, arm: str, rung: str) -> dict[int, TrialResult]:
        """Return the ended trials of an arm on a rung by seed."""
        asked = self.requests.get((arm, rung), {})
        return {
            seed: self.results[identity]
            for seed, identity in asked.items()
            if identity in self.results
        }

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        self.stopped = None
        match event:
            case Started():
                self.started = event
            case Based():
                self.bases[event.arm] = event.commit
            case Proposed():
                self.changes[event.arm] = event
            case Refused():
                self.refused.append(event)
            case Tick():
                self.ticks.append(event)
                for asked in event.requests:
                    self.requests.setdefault((asked.arm, asked.rung), {})[asked.seed] = (
                        asked.identity
                    )
            case Tried():
                self.results[event.result.identity] = event.result
                self.costs[event.result.identity] = event.cost
            case Forecast():
                self.forecasts[event.arm, event.rung] = event
            case Decided():
                self.decisions.append(event)
            case Judged():
                self.verdicts[event.arm] = event
            case Accepted():
                self.accepted[event.arm] = event.commit
            case Deferred():
                self.deferred[event.arm] = event.reason
            case Stopped():
                self.stopped = event


def replay(events: Iterable[Event]) -> State:
    """Fold events into a state."""
    state = State()
    for event in events:
        state.apply(event)
    return state


def count(state: State) -> dict[str, int]:
    """Count verdicts by outcome, for a person's first line."""
    counted = {outcome.value: 0 for outcome in Outcome}
    for verdict in state.verdicts.values():
        counted[verdict.outcome.value] += 1
    return counted
