"""Watch the programs of one trial: time, memory, output, and that nothing outlives them."""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from miniscale import processes
from miniscale.logs import CappedLog

TICK_S = 0.25
GRACE_S = 1.0
GIVE_UP_S = 10.0
PARENT_DIED = signal.SIGUSR1
_RECENT_BYTES = 16_384


class Ending(StrEnum):
    """What ended a program."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"


class Outcome:
    """How one program ended, with the end of what it printed."""

    def __init__(self, ending: Ending, code: int, tail: bytes, seconds: float) -> None:
        self.ending = ending
        self.code = code
        """Exit code; the negative signal number if a signal ended it."""
        self.tail = tail
        self.seconds = seconds


class Supervisor:
    """Runs programs one after another under one deadline and one cap on the tree's memory.

    Signals become bytes in a pipe, so that one poll waits for output, exits, cancellation, the
    parent's death and the next look at the memory, and nothing is polled in between.
    """

    def __init__(
        self, *, log: CappedLog, timeout_s: float, memory_bytes: float, parent: int
    ) -> None:
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._log = log
        self._deadline = time.monotonic() + timeout_s
        self._memory_bytes = memory_bytes
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
    ) -> Outcome:
        """Run a program to its end and end whatever it left; ``seen`` gets its standard output."""
        start = time.monotonic()
        self._code, self._tree_gone, self._recent, self._next_look = None, False, b"", start
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        self._main = processes.spawn(argv, cwd=cwd, env=env, stdout=out_write, stderr=error_write)
        os.close(out_write)
        os.close(error_write)
        sinks: dict[int, Callable[[bytes], None] | None] = {out_read: seen, error_read: None}
        for handle in sinks:
            os.set_blocking(handle, False)
        self._watch(sinks)
        if not processes.SEES_TREE:
            processes.send_group(self._main, signal.SIGKILL)
        for handle, sink in sinks.items():
            while self._pump(handle, sink):
                pass
            os.close(handle)
        ending = self._ending or Ending.EXIT
        if ending is Ending.EXIT and self.peak_bytes > self._memory_bytes:
            ending = Ending.MEMORY  # between two looks: the outcome must not depend on luck
        code = 127 if self._code is None else self._code
        return Outcome(ending, code, self._recent, time.monotonic() - start)

    def _watch(self, sinks: Mapping[int, Callable[[bytes], None] | None]) -> None:
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
        resident = processes.resident_bytes(self._me)
        self.peak_bytes = max(self.peak_bytes, resident)
        if self._ending is None and resident > self._memory_bytes:
            self._ending = Ending.MEMORY

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
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.peak_bytes = max(self.peak_bytes, processes.peak_bytes(usage.ru_maxrss))
            if pid == self._main:
                self._code = os.waitstatus_to_exitcode(status)

    def _signal_tree(self, number: int) -> None:
        if self._code is None:
            processes.send_group(self._main, number)  # at once, also where there is no /proc
        processes.send(processes.descendants(self._me), number)

    def _pump(self, handle: int, sink: Callable[[bytes], None] | None) -> bool:
        """Move one piece of output on; False when there is no more to come, or none yet."""
        try:
            chunk = os.read(handle, 65_536)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return False
        self._log.write(chunk)
        self._recent = (self._recent + chunk)[-_RECENT_BYTES:]
        if sink is not None and chunk:
            sink(chunk)
        return bool(chunk)


def _note(number: int, frame: object) -> None:
    """Do nothing: the byte in the pipe is what counts."""
