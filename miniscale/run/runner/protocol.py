"""Runners take trial specs and give back results; where a trial runs changes nothing else."""

from collections.abc import Sequence
from typing import Protocol

from miniscale.setting.trial import TrialResult, TrialSpec


class Runner(Protocol):
    """Executes trials somewhere; a trial's result depends on its spec alone."""

    @property
    def slots(self) -> int:
        """How many trials run side by side."""

    def submit(self, specs: Sequence[TrialSpec]) -> None:
        """Queue trials in the order given; a trial already queued is ignored."""

    def poll(self, timeout_s: float) -> list[TrialResult]:
        """Wait up to ``timeout_s`` for trials to end and return those that did."""

    def running(self) -> list[TrialSpec]:
        """Return the trials that are executing at this moment."""

    def close(self) -> None:
        """Stop everything that was started; nothing is left running."""
