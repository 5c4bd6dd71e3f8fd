"""The loop: propose, prepare, run, decide, accept, repeat, while you sleep."""

from collections.abc import Callable, Sequence
from typing import Protocol

from miniscale.run.runner.protocol import Runner
from miniscale.setting.trial import Cause
from transfer.events import Event, Refused
from transfer.study.limits import Limits, Watch
from transfer.study.proposer import Done, Failed, Paused, Proposer
from transfer.study.study import Study

REFUSALS = 30
"""Refused proposals in a row that end a study: the proposer has run dry."""
WAITED = 3
"""Refusals that changes in flight wait for before their trials run without more company."""


class Observer(Protocol):
    """Looks on: a console or a tracker. What it does changes nothing in the study."""

    def event(self, study: Study, event: Event) -> None:
        """Take note of an event."""

    def progress(self, study: Study, runner: Runner) -> None:
        """Take note of the trials that run at this moment, some times a second."""

    def close(self, study: Study) -> None:
        """End; the study has stopped."""


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
    watch = Watch(study.ladder, limits, start=clock())
    watching = list(observers)
    while True:
        if study.state.pending():
            specs = study.pending_specs()
        else:
            study.settle()
            end = admit(study, proposer, limits)
            specs = study.next_batch()
            late = watch.refusal(study.state, specs, now=clock(), slots=runner.slots)
            if late:
                study.stop(late, is_final=False)
                return f"{late}; the same command goes on"
            if not specs and not study.state.pending():
                ended = _idle(study, end)
                if ended is None:
                    continue
                return ended
        for text in watch.warnings(study.state, now=clock()):
            warn(text)
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


def _idle(study: Study, end: Done | Paused | None) -> str | None:
    """Go on without trials, or end: None while there is something left to do."""
    if study.state.in_flight() or study.state.closing or (study.has_room() and end is None):
        return None
    if isinstance(end, Paused):
        study.stop(end.reason, is_final=False)
        return f"{end.reason}; the same command goes on"
    if study.wind_up():
        return None
    reason = "the budget is spent" if end is None else end.reason
    study.stop(reason, is_final=True)
    return reason


def admit(study: Study, proposer: Proposer, limits: Limits) -> Done | Paused | None:
    """Ask for changes while there is room; return why no more are asked for, if so."""
    refused = 0
    while study.has_room():
        if study.state.in_flight() and study.state.n_refused >= WAITED:
            return None
        if study.state.n_changes >= limits.changes:
            return Done(f"{limits.changes} changes were tried")
        proposal = proposer.propose(study.ladder, study.state)
        if proposal is None:
            return Done(f"{proposer.name} has no more to propose")
        if isinstance(proposal, Done | Paused):
            return proposal
        if isinstance(proposal, Failed):
            study.record(
                Refused(proposal.title, proposal.reason, proposal.proposer, proposal.repairs)
            )
            refused += 1
        else:
            refused = refused + 1 if study.add(proposal) else 0
        if refused >= REFUSALS:
            return Done(f"{refused} proposals in a row were refused")
    return None
