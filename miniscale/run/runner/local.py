"""Run trials on this machine: as many side by side as its cores and GPUs allow."""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self, cast

from miniscale.box import BoxReport, Walls, choose, wrap
from miniscale.process import cgroup, process_tree
from miniscale.process.supervisor import GRACE_S
from miniscale.run import trial_folder, worker
from miniscale.run.progress import Progress, progress
from miniscale.setting.records import encode_record
from miniscale.setting.trial import Cause, TrialResult, TrialSpec, TrialState, read_result

__all__ = ["LocalRunner", "Progress", "progress", "usable_cores", "usable_gpus"]

_KILL_AFTER_S = GRACE_S + 4.0
_OF_THE_MACHINE = frozenset({TrialState.FAILED, TrialState.TIMED_OUT, TrialState.OVER_BUDGET})
"""Ends that may come of what is installed here, or of the caps."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


def usable_gpus() -> tuple[str, ...]:
    """Return the names of the GPUs this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    names = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return tuple(str(n) for n in sorted(int(name[1]) for name in names if name))


class _Running:
    """A worker process with the trial it runs and the slots it holds."""

    def __init__(
        self, spec: TrialSpec, process: "subprocess.Popen[bytes]", lanes: int, gpus: Sequence[str]
    ) -> None:
        self.spec = spec
        self.process = process
        self.lanes = lanes
        self.gpus = tuple(gpus)
        self.words = b""
        """What the worker itself printed, which is nothing unless it broke."""

    @property
    def pipe(self) -> IO[bytes]:
        """The worker's own output; its end of file is the worker's end."""
        return cast("IO[bytes]", self.process.stdout)


class LocalRunner:
    """Runs trials in worker processes, first come first served.

    A trial takes as many lanes as it has threads (all of them if it has more) and the GPUs it
    asks for; the first of the queue waits for its lanes and nothing overtakes it. A worker that
    dies without a result is an infrastructure failure and run again, three attempts in all. A
    finished result in the trial's folder is returned without running anything.

    Parameters
    ----------
    slots
        Lanes; None for the usable cores divided by ``threads``.
    threads
        Threads of a typical trial, for ``slots=None`` only.
    gpus
        GPU names; None for all this process may use. Trials that ask for none see none.
    box
        What trainers run in (:func:`miniscale.box.choose`); None for no box.
    retries_failed
        Whether a trial that failed, or ran out of time or room, is run again though its result is
        there: what was missing may have been mended.
    """

    def __init__(
        self,
        slots: int | None = None,
        *,
        threads: int = 1,
        gpus: Sequence[str] | None = None,
        box: BoxReport | None = None,
        retries_failed: bool = False,
    ) -> None:
        self._retries = _OF_THE_MACHINE if retries_failed else frozenset()
        if slots is not None and slots < 1:
            raise ValueError(f"slots: got {slots}, needs at least 1; leave it out for all cores")
        self._lanes = usable_cores() if slots is None else slots
        self._slots = max(1, self._lanes // max(1, threads)) if slots is None else slots
        self._free_lanes = self._lanes
        self._box = choose("off") if box is None else box
        self._gpus = tuple(usable_gpus() if gpus is None else gpus)
        self._free_gpus = list(self._gpus)
        self._queue: deque[TrialSpec] = deque()
        self._attempts: dict[str, int] = {}
        self._running: dict[int, _Running] = {}
        self._ended: list[TrialResult] = []
        self._selector = selectors.DefaultSelector()

    @property
    def slots(self) -> int:
        """How many trials run side by side."""
        return self._slots

    def submit(self, specs: Sequence[TrialSpec]) -> None:
        """Queue trials in the order given; one that is queued or running is ignored.

        Raises
        ------
        ValueError
            If a trial asks for more GPUs than there are; none of the trials is queued then.
        """
        for spec in specs:
            if spec.gpus > len(self._gpus):
                raise ValueError(
                    f"rung {spec.rung}: gpus={spec.gpus}, but {len(self._gpus)} usable here; "
                    "choose rungs for this machine or another runner"
                )
        for spec in specs:
            if spec.identity in self._attempts:
                continue
            result = _finished(spec)
            if result is not None and result.state not in self._retries:
                self._ended.append(result)
            else:
                self._attempts[spec.identity] = 0
                self._queue.append(spec)
        self._start_what_fits()

    def poll(self, timeout_s: float) -> list[TrialResult]:
        """Wait up to ``timeout_s`` for trials to end and return those that did.

        Call it, like :meth:`submit`, from a thread that lives as long as the trials.
        """
        deadline = time.monotonic() + timeout_s
        while not self._ended and self._running:
            left = deadline - time.monotonic()
            events = self._selector.select(max(0.0, left))
            for key, _ in events:
                self._collect(key.fd)
            self._start_what_fits()
            if not events and left <= 0:
                break
        ended, self._ended = self._ended, []
        return ended

    def running(self) -> list[TrialSpec]:
        """Return the trials that are executing at this moment."""
        return [run.spec for run in self._running.values()]

    def close(self) -> None:
        """Stop everything that was started, wait until it is gone and forget the queue."""
        self._queue.clear()
        for run in self._running.values():
            run.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _KILL_AFTER_S
        for handle, run in list(self._running.items()):
            try:
                run.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
            if run.process.returncode != 0:
                _sweep(run.spec, run.process.pid)
            self._release(handle)
        self._attempts.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_what_fits(self) -> None:
        while self._queue:
            spec = self._queue[0]
            lanes = min(max(1, spec.threads), self._lanes)
            if lanes > self._free_lanes or spec.gpus > len(self._free_gpus):
                return
            self._queue.popleft()
            gpus = [self._free_gpus.pop(0) for _ in range(spec.gpus)]
            attempt = self._attempts[spec.identity]
            process = _launch(spec, attempt=attempt, gpus=gpus, box=self._box)
            run = _Running(spec, process, lanes, gpus)
            self._free_lanes -= lanes
            self._running[run.pipe.fileno()] = run
            self._selector.register(run.pipe.fileno(), selectors.EVENT_READ)

    def _collect(self, handle: int) -> None:
        """Take what a worker printed; once it ended, its result, a retry or a failure."""
        run = self._running[handle]
        chunk = os.read(handle, 65_536)
        run.words = (run.words + chunk)[-1500:]
        if chunk:
            return
        run.process.wait()
        spec, attempt = run.spec, self._attempts[run.spec.identity]
        self._release(handle)
        result = _read(spec)
        if result is None:
            _sweep(spec, run.process.pid)
            words = run.words.decode(errors="replace").strip()
            result = TrialResult(
                identity=spec.identity,
                state=TrialState.FAILED,
                cause=Cause.INFRASTRUCTURE,
                reason=f"worker ended with {run.process.returncode} and no result: {words}",
                attempt=attempt,
            )
        if result.cause is Cause.INFRASTRUCTURE and attempt + 1 < worker.MAX_ATTEMPTS:
            self._attempts[spec.identity] = attempt + 1
            self._queue.appendleft(spec)
            return
        del self._attempts[spec.identity]
        self._ended.append(result)

    def _release(self, handle: int) -> None:
        run = self._running.pop(handle)
        self._selector.unregister(handle)
        run.pipe.close()
        self._free_lanes += run.lanes
        self._free_gpus = sorted([*self._free_gpus, *run.gpus], key=self._gpus.index)


def _launch(
    spec: TrialSpec, *, attempt: int, gpus: Sequence[str], box: BoxReport
) -> "subprocess.Popen[bytes]":
    """Start a worker in a session of its own, so that Ctrl-C reaches only us."""
    out = Path(spec.out)
    own_tree = spec.tree if spec.rewritten else ""  # walls leave out what is not there
    for folder in filter(None, (spec.out, spec.shared, own_tree)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    for old in (out / "result.json", Path(trial_folder.seal_path(spec.out))):
        old.unlink(missing_ok=True)
    path = out / "spec.json"
    boxed = {"name": box.name, "kind": box.kind, "prefix": wrap((), walls_of(spec), box.kind)}
    trial_folder.remove(str(path))  # an earlier trainer may have put anything there
    path.write_text(json.dumps(encode_record(spec) | {"box": boxed}, indent=1))
    return subprocess.Popen(
        worker.command(str(path), attempt=attempt, python=sys.executable),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(os.environ, gpus),
        start_new_session=True,
    )


def walls_of(spec: TrialSpec) -> Walls:
    """Return what a trial's trainer may read, write and reach."""
    return Walls(
        read=spec.reads,
        hidden=spec.hides,
        write=spec.out,
        shared=spec.shared,
        size_mb=max(1, round(spec.disk_gb * 1000)),
        memory_gb=spec.memory_gb,
        gpus=spec.gpus,
        cwd=spec.tree,
        down=frozenset(spec.walls_down),
    )


def _environment(outside: Mapping[str, str], gpus: Sequence[str]) -> dict[str, str]:
    """Return what a worker gets: /proc shows a process's environment, so no secret may be in it."""
    env = {name: outside[name] for name in worker.PASSED_ON if name in outside}
    return env | {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}


def _read(spec: TrialSpec) -> TrialResult | None:
    """Return the result in a trial's folder if it is one and of this trial."""
    if not trial_folder.is_sealed(spec.out):
        return None
    try:
        result = read_result(Path(spec.out))
    except ValueError:
        return None
    return result if result is not None and result.identity == spec.identity else None


def _finished(spec: TrialSpec) -> TrialResult | None:
    """Return a result that stands: not one of a trial that was stopped or hit a broken machine."""
    result = _read(spec)
    if (
        result is None
        or result.state is TrialState.CANCELLED
        or result.cause is Cause.INFRASTRUCTURE
    ):
        return None
    return result


def _sweep(spec: TrialSpec, worker_pid: int) -> None:
    """Kill what a worker that was itself killed could not: its group, and by the mark of TMPDIR."""
    cgroup.end(str(worker_pid))
    mark = f"TMPDIR={worker.temporary_folder(spec.out)}".encode()
    for _ in range(10):  # one may have started another while we looked
        pids = process_tree.marked_by(mark)
        if not pids:
            return
        process_tree.send(pids, signal.SIGKILL)
        time.sleep(0.01)
