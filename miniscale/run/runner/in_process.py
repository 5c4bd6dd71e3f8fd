"""A runner whose trials are a function of their spec, for planted truths in tests and worlds."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from miniscale.setting.trial import TrialResult, TrialSpec


@dataclass
class InProcessRunner:
    """Answers in this process, at once and in order."""

    run: Callable[[TrialSpec], TrialResult]
    slots: int = 1
    _queue: deque[TrialSpec] = field(default_factory=deque, init=False)

    def submit(self, specs: Sequence[TrialSpec]) -> None:
        """Queue trials."""
        self._queue.extend(specs)

    def poll(self, timeout_s: float) -> list[TrialResult]:
        """Return the results of all queued trials."""
        del timeout_s
        results = [self.run(spec) for spec in self._queue]
        self._queue.clear()
        return results

    def running(self) -> list[TrialSpec]:
        """Return nothing: no trial takes time."""
        return []

    def close(self) -> None:
        """Forget what is queued."""
        self._queue.clear()
