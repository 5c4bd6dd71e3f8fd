"""One session of a study: opens everything, runs the loop, leaves everything closed."""

import platform
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from importlib import metadata
from types import FrameType
from typing import Any

from autoresearch.build_study import StudyJob
from autoresearch.console import Console, budget_words, header
from autoresearch.model_bill import bill_lines
from autoresearch.preflight import fly_first_runs, opening_lines
from autoresearch.tracking.tracker import make_tracker
from miniscale.box import BoxReport, choose
from miniscale.run import prepare_data
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.rung import Folders
from miniscale.tree.workspace import workspace_of
from transfer.audit.resolution import resolve_study, sight_lines
from transfer.journal.folder import StudyFolder, check_writable, open_folder
from transfer.journal.store import Journal
from transfer.report.write import write_results
from transfer.study.loop import Interrupted, Observer, guarded, run
from transfer.study.proposer_protocol import Session
from transfer.study.study import Study


def environment() -> dict[str, str]:
    """Return what a study ran on, for its record."""
    versions = {}
    for name in ("torch", "numpy", "scale-transfer"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"python": platform.python_version(), "machine": platform.machine(), **versions}


class StopSignal:
    """The first interrupt asks for a stop, the second one insists."""

    def __init__(self) -> None:
        self.is_asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


def run_study(job: StudyJob, config: Mapping[str, Any], *, command: str) -> int:
    """Run or resume a study, print its end, and return the exit code.

    Raises
    ------
    InputError
        If the study cannot begin: nothing is written then.
    """
    folder, setting, box = StudyFolder(job.folder), job.ladder.setting, choose(job.box)
    cache = job.folder.parent / ".cache" / setting.name
    check_writable(folder.path)
    digests = prepare_data.prepare(setting, cache)
    stored = {**config, "roots": [str(root) for root in job.roots]}
    is_resumed = open_folder(folder, content={**job.content(), "data": digests}, config=stored)
    console = Console(limits=job.limits)
    observers: list[Observer] = [console]
    with closing(Journal(folder.journal, clock=time.time)) as journal:
        for repair in journal.repairs:
            console.warn(f"journal repaired: {repair}")
        trees = workspace_of(setting, folder.path)
        study = Study(
            job.ladder,
            policy=job.policy,
            plan=job.plan,
            ledger=journal,
            trees=trees,
            folders=Folders(folder.trials, cache),
            data=digests,
            on_event=lambda event: guarded(
                observers, lambda observer: observer.event(study, event), console.warn
            ),
        )
        study.start(job.name, {**environment(), "box": box.name, "source": trees.origin})
        console.lines(header(study, job.folder, is_resumed=is_resumed))
        bill = bill_lines(job.proposer, job.ladder, job.limits, in_flight=job.plan.in_flight)
        console.lines([f"audit    {job.audit}", f"box      {box.line}", *bill])
        console.lines(opening_lines(job, study, is_resumed=is_resumed))
        tracker = make_tracker(job.tracker, study, folder.path, warn=console.warn)
        observers += [tracker] if tracker is not None else []
        reason, code = loop(job, study, observers, console, box)
    write_results(study.ladder, study.state, folder)
    console.lines(
        [
            *sight_lines(resolve_study(study.ladder, study.state)),
            f"ended    {reason} · {budget_words(study, job.limits)}",
            f"report   {folder.report / 'index.html'}",
            f"again    {command}" if code else f"next     python -m transfer status {folder.path}",
        ]
    )
    return code


def loop(
    job: StudyJob, study: Study, observers: list[Observer], console: Console, box: BoxReport
) -> tuple[str, int]:
    """Run the loop until it ends or is interrupted; return why, and the exit code."""
    runner, stop = LocalRunner(job.slots, box=box), StopSignal()
    try:
        session = session_of(job, stop, console)
        fly_first_runs(job, study, runner, session=session, observers=observers, console=console)
        reason = run(
            study,
            proposer=job.proposer,
            runner=runner,
            limits=job.limits,
            session=session,
            observers=observers,
        )
        return reason, 0
    except (Interrupted, KeyboardInterrupt):
        return "interrupted; nothing finished is lost", 130
    finally:
        runner.close()
        guarded(observers, lambda observer: observer.close(study), console.warn)


def session_of(job: StudyJob, stop: StopSignal, console: Console) -> Session:
    """Return what surrounds the study; whoever waits in it is woken when a stop is asked."""

    def sleep(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if stop.is_asked:
                raise Interrupted
            time.sleep(min(0.5, max(until - time.monotonic(), 0.0)))

    return Session(
        job.folder,
        sleep=sleep,
        say=console.note,
        warn=console.warn,
        is_interrupted=lambda: stop.is_asked,
    )


def typed_command() -> str:
    """Return the command as a person would type it again."""
    return " ".join(["python -m autoresearch", *sys.argv[1:]])
