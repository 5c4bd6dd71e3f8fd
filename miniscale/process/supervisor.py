"""Watch the programs of one trial: time, memory, disk, output, and that nothing outlives them."""

import errno
import math
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from miniscale.process import cgroup, process_tree
from miniscale.process.logs import CappedLog
from miniscale.process.meters import CpuMeter, folder_bytes, nameless_bytes, resident_bytes

TICK_S = 0.25  # assumption: memory seldom outgrows a machine within it
GRACE_S = 1.0  # assumption: enough to flush what is written
GIVE_UP_S = 10.0  # assumption: what outlives it hangs in the kernel
PARENT_DIED = signal.SIGUSR1
_RECENT_BYTES = 16_384
_THREADS_A_PROCESS = 16  # assumption: a cap on threads is only the kernel's second net


class Ending(StrEnum):
    """What ended a program."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DISK = "disk"
    PROCESSES = "processes"
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"


class ProgramEnd:
    """How one program ended, with the end of what it printed.

    Parameters
    ----------
    code
        Exit code; the negative number of the signal that ended it, if one did.
    seconds
        Wall-clock time.
    tail
        End of all its output.
    printed, errors
        End of its standard output and of its standard error alone, which the other cuts off in
        ``tail``.
    """

    def __init__(
        self,
        ending: Ending,
        code: int,
        seconds: float,
        *,
        tail: bytes,
        printed: bytes,
        errors: bytes,
    ) -> None:
        self.ending = ending
        self.code = code
        self.seconds = seconds
        self.tail = tail
        self.printed = printed
        self.errors = errors


class Caps:
    """What the programs of a trial may use together; what goes over a cap is ended.

    Parameters
    ----------
    timeout_s
        Wall-clock time of all programs.
    memory_bytes
        Resident, of all processes together.
    folder
        Where they write, and what ``disk_bytes`` caps; deleted files still open count too.
    processes
        Alive at the same time.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        memory_bytes: float = math.inf,
        folder: str = "",
        disk_bytes: float = math.inf,
        processes: float = math.inf,
    ) -> None:
        self.timeout_s = timeout_s
        self.memory_bytes = memory_bytes
        self.folder = folder
        self.disk_bytes = disk_bytes
        self.processes = processes


class Supervisor:
    """Runs programs one after another under one deadline and one set of caps on their tree.

    Signals become bytes in a pipe, so that one poll waits for output, exits, cancellation, the
    parent's death and the next look at the memory, and nothing is polled in between.
    """

    def __init__(self, *, log: CappedLog, caps: Caps, parent: int) -> None:
        self.peak_bytes = 0
        self.disk_bytes = 0
        self.most_processes = 0
        self._cpu = CpuMeter()
        self._group = cgroup.make(str(os.getpid()))
        if self._group is not None and math.isfinite(caps.memory_bytes + caps.processes):
            threads = _THREADS_A_PROCESS * int(caps.processes)
            self._group.cap(memory_bytes=caps.memory_bytes, threads=threads)
        self._log = log
        self._deadline = time.monotonic() + caps.timeout_s
        self._caps = caps
        self._parent = parent
        self._me = os.getpid()
        self._main = 0
        self._code: int | None = None
        self._ending: Ending | None = None
        self._tree_gone = True
        self._next_look = 0.0
        self._recent = b""
        self._wake, self._signals = os.pipe()
        for handle in (self._wake, self._signals):
            os.set_blocking(handle, False)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, PARENT_DIED):
            signal.signal(number, _note)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        seen: Callable[[bytes], None] | None = None,
        seen_errors: Callable[[bytes], None] | None = None,
    ) -> ProgramEnd:
        """Run a program to its end and end whatever it left.

        Parameters
        ----------
        cwd
            Folder that it starts in.
        env
            All of its environment.
        seen, seen_errors
            Get its standard output and its standard error, piece by piece.
        """
        start = time.monotonic()
        self._code, self._tree_gone, self._next_look = None, False, start
        self._recent = b""
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        door = "" if self._group is None else self._group.door
        self._main = process_tree.spawn(
            argv, cwd=cwd, env=env, stdout=out_write, stderr=error_write, door=door
        )
        os.close(out_write)
        os.close(error_write)
        sinks = {out_read: _Stream(seen), error_read: _Stream(seen_errors)}
        for handle in sinks:
            os.set_blocking(handle, False)
        self._watch(sinks)
        if not process_tree.SEES_TREE:
            process_tree.send_group(self._main, signal.SIGKILL)
        for handle, sink in sinks.items():
            while self._pump(handle, sink):
                pass
            os.close(handle)
        ending = self._ending or Ending.EXIT
        if ending is Ending.EXIT and self._is_over_memory():
            ending = Ending.MEMORY  # between two looks: the outcome must not depend on luck
        code = 127 if self._code is None else self._code
        seconds = time.monotonic() - start
        printed, errors = (sink.end for sink in sinks.values())
        return ProgramEnd(ending, code, seconds, tail=self._recent, printed=printed, errors=errors)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of everything that was ever started, orphans and the unwaited-for included."""
        return self._cpu.seconds(0.0 if self._group is None else self._group.cpu_seconds())

    def close(self) -> None:
        """Give the control group back, if there is one."""
        if self._group is not None:
            self._group.close()

    def _is_over_memory(self) -> bool:
        ran_out = self._group is not None and self._group.ran_out_of_memory()
        return ran_out or self.peak_bytes > self._caps.memory_bytes

    def _watch(self, sinks: Mapping[int, "_Stream"]) -> None:
        """Wait until no process of the tree is left, ending it when its time has come."""
        poller = select.poll()
        for handle in (self._wake, *sinks):
            poller.register(handle, select.POLLIN)
        term_sent, kill_at = False, float("inf")
        while not self._tree_gone:
            now = time.monotonic()
            self._look(now)
            if self._code is not None or self._ending is Ending.ORPHANED:
                kill_at = min(kill_at, now)
            elif self._ending is not None and not term_sent:
                term_sent, kill_at = True, now + GRACE_S
                self._signal_tree(signal.SIGTERM)
            if now >= kill_at:
                self._signal_tree(signal.SIGKILL)
                self._reap()
                if self._tree_gone or now > kill_at + GIVE_UP_S:
                    return
            until = min(self._next_look, self._deadline if self._ending is None else kill_at)
            wait_s = 0.005 if now >= kill_at else max(0.0, min(until, kill_at) - now)
            for handle, _ in poller.poll(wait_s * 1000 + 1):
                if handle == self._wake:
                    self._heed(os.read(self._wake, 512))
                elif not self._pump(handle, sinks[handle]):
                    poller.unregister(handle)

    def _look(self, now: float) -> None:
        """Check time, memory and parent; the costly part only once a tick."""
        if self._ending is None and now >= self._deadline:
            self._ending = Ending.TIMEOUT
        if now < self._next_look:
            return
        self._next_look = now + TICK_S
        self._check_parent()
        pids = process_tree.descendants(self._me)
        self._cpu.look(pids)
        over = self._over(pids)
        if self._ending is None:
            self._ending = over

    def _over(self, pids: Sequence[int]) -> Ending | None:
        """Measure what the tree holds and say which cap it is over, if any."""
        caps, resident = self._caps, resident_bytes(pids)
        self.peak_bytes = max(self.peak_bytes, resident)
        self.most_processes = max(self.most_processes, len(pids))
        if caps.folder:
            room = folder_bytes(caps.folder, enough=caps.disk_bytes) + nameless_bytes(pids)
            self.disk_bytes = max(self.disk_bytes, room)
            if room > caps.disk_bytes:
                return Ending.DISK
        if resident > caps.memory_bytes:
            return Ending.MEMORY
        return Ending.PROCESSES if len(pids) > caps.processes else None

    def _check_parent(self) -> None:
        # the death signal also comes when only the thread that started us ends
        if os.getppid() != self._parent:
            self._ending = Ending.ORPHANED

    def _heed(self, numbers: bytes) -> None:
        """Act on the signals that arrived."""
        if signal.SIGCHLD in numbers:
            self._reap()
        if PARENT_DIED in numbers:
            self._check_parent()
        if {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} & set(numbers) and self._ending is None:
            self._ending = Ending.CANCELLED

    def _reap(self) -> None:
        """Collect every child that ended, orphans of the tree among them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._tree_gone = True
                return
            if pid == 0:
                return
            self._cpu.reaped(usage.ru_utime + usage.ru_stime)
            self.peak_bytes = max(self.peak_bytes, process_tree.peak_bytes(usage.ru_maxrss))
            if pid == self._main:
                self._code = os.waitstatus_to_exitcode(status)

    def _signal_tree(self, number: int) -> None:
        if self._code is None:
            process_tree.send_group(self._main, number)  # at once, also where there is no /proc
        if number == signal.SIGKILL and self._group is not None:
            self._group.kill()
        pids = process_tree.descendants(self._me)
        process_tree.send_groups(pids, number)
        process_tree.send(pids, number)

    def _pump(self, handle: int, sink: "_Stream") -> bool:
        """Move one piece of output on; False when there is no more to come, or none yet."""
        try:
            chunk = os.read(handle, 65_536)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return False
        self._log.write(chunk)
        self._recent = (self._recent + chunk)[-_RECENT_BYTES:]
        sink.take(chunk)
        return bool(chunk)


class _Stream:
    """One of a program's outputs: its end is kept, and who listens gets it piece by piece."""

    def __init__(self, seen: Callable[[bytes], None] | None) -> None:
        self.end = b""
        self._seen = seen

    def take(self, chunk: bytes) -> None:
        """Pass the next piece on."""
        self.end = (self.end + chunk)[-_RECENT_BYTES:]
        if self._seen is not None and chunk:
            self._seen(chunk)


def _note(number: int, frame: object) -> None:
    """Do nothing: the byte in the pipe is what counts."""
