"""The loop: propose, prepare, run, decide, accept, repeat, while you sleep."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.proposer import Proposer
from miniscale.runner import Runner
from miniscale.trial import Cause
from transfer.events import Event
from transfer.study import Study

REFUSALS = 30
"""Refused proposals in a row that end a study: the proposer has run dry."""


class Observer(Protocol):
    """Looks on: a console or a tracker. What it does changes nothing in the study."""

    def event(self, study: Study, event: Event) -> None:
        """Take note of an event."""

    def progress(self, study: Study, runner: Runner) -> None:
        """Take note of the trials that run at this moment, some times a second."""

    def close(self, study: Study) -> None:
        """End; the study has stopped."""


@dataclass(frozen=True)
class Limits:
    """What ends a study before its proposer does; compute is the plan's."""

    changes: int = 40
    hours: float = math.inf


class Interrupted(Exception):
    """Someone asked the study to stop now."""


def guarded(
    observers: list[Observer], call: Callable[[Observer], None], warn: Callable[[str], None]
) -> None:
    """Call every observer; one that fails is dropped with a word, and the study goes on."""
    for observer in list(observers):
        try:
            call(observer)
        except Exception as error:  # the loop's edge: no observer may stop a study
            observers.remove(observer)
            warn(f"{type(observer).__name__} failed and is off from now on: {error}")


def run(
    study: Study,
    *,
    proposer: Proposer,
    runner: Runner,
    limits: Limits,
    observers: Sequence[Observer],
    clock: Callable[[], float],
    is_interrupted: Callable[[], bool],
    warn: Callable[[str], None],
) -> str:
    """Run a study to its end and return why it ended.

    Raises
    ------
    Interrupted
        When ``is_interrupted`` says so; the study can be resumed.
    """
    start = clock()
    watching = list(observers)
    while True:
        if not study.state.pending():
            study.settle()
            if clock() - start > limits.hours * 3600:
                study.stop(f"{limits.hours:g} hours are over", is_final=False)
                return f"{limits.hours:g} hours are over; the same command goes on"
            reason = admit(study, proposer, limits)
            specs = study.next_tick()
            if not specs and not study.state.pending():
                if study.state.in_flight() or study.state.closing:
                    continue
                if study.has_room() and not reason:
                    continue
                if study.wind_up():
                    continue
                reason = reason or "the budget is spent"
                study.stop(reason, is_final=True)
                return reason
        else:
            specs = study.pending_specs()
        runner.submit(specs)
        while study.state.pending():
            if is_interrupted():
                raise Interrupted
            for result in runner.poll(0.5):
                if result.cause is Cause.INFRASTRUCTURE:
                    study.stop(f"infrastructure: {result.reason}", is_final=False)
                    return f"a trial could not be run ({result.reason}); the same command goes on"
                study.finish(result)
            guarded(watching, lambda observer: observer.progress(study, runner), warn)


def admit(study: Study, proposer: Proposer, limits: Limits) -> str:
    """Ask for changes while there is room.

    Returns
    -------
    str
        Why no more are asked for; empty while more may come.
    """
    refused = 0
    while study.has_room():
        if study.state.n_changes >= limits.changes:
            return f"{limits.changes} changes were tried"
        change = proposer.propose(study.ladder, study.state)
        if change is None:
            return f"{proposer.name} has no more to propose"
        refused = refused + 1 if study.add(change) else 0
        if refused >= REFUSALS:
            return f"{refused} proposals in a row were refused"
    return ""
