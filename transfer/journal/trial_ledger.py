"""The trials of a study: what was asked for, what ended, what failed."""

from dataclasses import dataclass, field

from miniscale.setting.trial import TrialResult, TrialState
from transfer.events import Imported, Request, TrialFinished, TrialsRequested

Key = tuple[str, str]
"""(arm, rung)."""
Trial = tuple[str, str, int]
"""(arm, rung, seed)."""


@dataclass
class TrialLedger:
    """Trials by arm and rung; changed by the study's state alone."""

    batches: list[TrialsRequested] = field(default_factory=list)
    requests: dict[Key, dict[int, str]] = field(default_factory=dict)
    """(arm, rung) -> seed -> trial identity."""
    awaited: dict[str, list[Request]] = field(default_factory=dict)
    """Identity of a trial that has not ended -> the requests that it answers."""
    results: dict[str, TrialResult] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    ended: dict[Key, dict[int, TrialResult]] = field(default_factory=dict)
    """(arm, rung) -> seed -> result, in no order of meaning."""
    trail: list[Key] = field(default_factory=list)
    """Keys of ``ended`` as they changed, so that a reader can catch up."""
    measured: dict[Key, int] = field(default_factory=dict)
    """(baseline, rung) -> how many changes were asked for there."""
    at_target: dict[str, dict[int, TrialResult]] = field(default_factory=dict)
    """Arm -> seed -> run at the target, made elsewhere."""
    broken: set[str] = field(default_factory=set)
    """Arms with a trial that left no number, unless it diverged for the first time on its rung."""
    diverged: dict[Key, set[int]] = field(default_factory=dict)
    """(arm, rung) -> seeds on which a trial diverged, exams left out."""
    retried: set[Key] = field(default_factory=set)

    def n_spare(self, arm: str, rung: str) -> int:
        """Return how many more seeds an arm gets on a rung: one where it diverged."""
        return min(len(self.diverged.get((arm, rung), ())), 1)

    def is_forgiven(self, arm: str, rung: str, result: TrialResult) -> bool:
        """Whether a trial without a number does not count against its arm: diverged, once."""
        n = len(self.diverged.get((arm, rung), ()))
        return result.state is TrialState.DIVERGED and n == self.n_spare(arm, rung)

    def pending(self) -> list[Request]:
        """Return trials of the last batch that have not ended."""
        if not self.awaited or not self.batches:
            return []
        return [r for r in self.batches[-1].requests if r.identity in self.awaited]

    def losses(self, arm: str, rung: str) -> dict[int, TrialResult]:
        """Return the ended trials of an arm on a rung by seed."""
        ended = self.ended.get((arm, rung), {})
        return {seed: ended[seed] for seed in sorted(ended)}

    def ask(self, asked: Request) -> TrialResult | None:
        """Enter a request; return the result of an equal trial that ended already."""
        self.requests.setdefault((asked.arm, asked.rung), {})[asked.seed] = asked.identity
        if asked.identity not in self.results:
            self.awaited.setdefault(asked.identity, []).append(asked)
        return self.results.get(asked.identity)

    def end(self, event: TrialFinished) -> list[Request]:
        """Enter a result; return the requests that it answers."""
        self.results[event.result.identity] = event.result
        self.costs[event.result.identity] = event.cost
        return self.awaited.pop(event.result.identity, [])

    def take(self, event: Imported) -> Request | None:
        """Enter a run made elsewhere; return the request that it answers, None at the target."""
        if event.is_target:
            self.at_target.setdefault(event.arm, {})[event.seed] = event.result
            return None
        asked = Request(event.arm, event.rung, event.seed, event.result.identity)
        self.requests.setdefault((event.arm, event.rung), {})[event.seed] = asked.identity
        self.results[asked.identity] = event.result
        self.costs[asked.identity] = 0.0
        return asked

    def land(self, asked: Request, result: TrialResult) -> None:
        """Enter a result under the arm, rung and seed that asked for it."""
        key = (asked.arm, asked.rung)
        self.ended.setdefault(key, {})[asked.seed] = result
        self.trail.append(key)

    def fail(self, asked: Request, result: TrialResult, *, is_exam: bool) -> None:
        """Note that a trial left no number."""
        if result.state is TrialState.DIVERGED and not is_exam:
            self.diverged.setdefault((asked.arm, asked.rung), set()).add(asked.seed)
        if not self.is_forgiven(asked.arm, asked.rung, result):
            self.broken.add(asked.arm)
