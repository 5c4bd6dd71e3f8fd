"""The loop: propose, prepare, run, decide, accept, repeat, while you sleep."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from miniscale.run.runner.protocol import Runner
from miniscale.setting.trial import Cause, TrialSpec
from transfer.change import Change
from transfer.events import Event, Refused
from transfer.study.limits import Limits, Watch
from transfer.study.proposer_protocol import Done, Paused, ProposalRequest, Proposer, Session
from transfer.study.study import Study

REFUSALS = 30
"""assumption: so many refused proposals in a row end a study, the proposer has run dry."""
WAITED = 3
"""assumption: refusals that changes in flight wait for before they run without more company."""
POLL_S = 0.5


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


def run(
    study: Study,
    *,
    proposer: Proposer,
    runner: Runner,
    limits: Limits,
    session: Session,
    observers: Sequence[Observer] = (),
) -> str:
    """Run a study to its end and return why it ended.

    The circle is entered at the trials: a study that was cut may have left some unfinished.

    Parameters
    ----------
    proposer, runner
        Who has the ideas, and what measures them.
    limits, session, observers
        What ends the study early; its clock, its voice and who stops it; who looks on.

    Raises
    ------
    Interrupted
        When the session says so.
    """
    request = ProposalRequest(study, limits, session)
    watch, watching = Watch(study.ladder, limits, start=session.clock()), list(observers)
    batch = study.unfinished()
    end: Done | Paused | None = None
    while end is None:
        for text in watch.warnings(study.state, now=session.clock()):
            session.warn(text)
        end = run_trials(study, runner, batch, session, watching)
        if end is None:
            study.decide()
            study.accept()
            no_more = None
            for proposal in propose(proposer, request):
                if isinstance(proposal, Done | Paused):
                    no_more = proposal
                else:
                    study.prepare(proposal)
            batch = study.next_batch()
            late = watch.refusal(study.state, batch, now=session.clock(), slots=runner.slots)
            if late or not batch:
                end = Paused(late) if late else why_over(study, no_more)
    is_final = isinstance(end, Done)
    study.stop(end.reason, is_final=is_final)
    return end.reason if is_final else f"{end.reason}; the same command goes on"


def run_trials(
    study: Study,
    runner: Runner,
    batch: Sequence[TrialSpec],
    session: Session,
    observers: list[Observer],
) -> Paused | None:
    """Run a batch to its end; say why not where this machine, and no change, is at fault.

    Parameters
    ----------
    batch
        The trials that have no result yet, in the order to start them.
    session
        Whether someone asked to stop, and where an observer's failure is said.
    observers
        Who is told of progress; one that fails is taken off this list.
    """
    runner.submit(batch)
    while study.state.trials.pending():
        if session.is_interrupted():
            raise Interrupted
        for result in runner.poll(POLL_S):
            if result.cause is Cause.INFRASTRUCTURE:
                return Paused(f"a trial could not be run ({result.reason})")
            study.finish(result)
            if words := study.said_of_copies(result):
                session.warn(words)
        guarded(observers, lambda observer: observer.progress(study, runner), session.warn)
    return None


def propose(
    proposer: Proposer, request: ProposalRequest
) -> Iterator[Change | Refused | Done | Paused]:
    """Ask for changes while there is room; what comes last may say why no more are to be had."""
    study, limits, n_refused = request.study, request.limits, 0
    while study.has_room():
        state = study.state
        if state.in_flight() and state.n_refused >= WAITED:
            return
        if state.changes.n_fresh >= limits.changes:
            yield Done(f"{limits.changes} changes were tried")
            return
        proposal = proposer.propose(request) or Done(f"{proposer.name} has no more to propose")
        before = len(state.refused)
        yield proposal
        n_refused = n_refused + 1 if len(state.refused) > before else 0
        if isinstance(proposal, Done | Paused):
            return
        if n_refused >= REFUSALS:
            yield Done(f"{n_refused} proposals in a row were refused")
            return


def why_over(study: Study, no_more: Done | Paused | None) -> Done | Paused | None:
    """Say why a study without trials to run is over; None while a step is left to do."""
    state = study.state
    if state.in_flight() or state.round.closing or (study.has_room() and no_more is None):
        return None
    if isinstance(no_more, Paused):
        return no_more
    return None if study.wind_up() else no_more or Done("the budget is spent")


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
