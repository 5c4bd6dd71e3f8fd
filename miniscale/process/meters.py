"""What a tree of processes uses: CPU time, memory, room on disk; all of it read from outside."""

import os
import stat
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from miniscale.process.process_tree import read_proc

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_MOST_ENTRIES = 100_000  # assumption: no honest trial leaves so many
_PERF_OPEN = {"x86_64": 298, "aarch64": 241}


def resident_bytes(pids: Sequence[int]) -> int:
    """Sum the resident memory of processes; pages they share count several times."""
    total = 0
    for pid in pids:
        fields = read_proc(f"/proc/{pid}/statm").split()
        if len(fields) > 1:
            total += int(fields[1]) * _PAGE_BYTES
    return total


def folder_bytes(folder: str, *, enough: float) -> int:
    """Return the room that a folder takes, links not followed; no further than ``enough``."""
    total, entries, queue = 0, 0, [folder]
    while queue and total <= enough:
        try:
            listing = os.scandir(queue.pop())
        except OSError:
            continue  # it went while we looked
        with listing:
            for entry in listing:
                entries += 1
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
        if entries > _MOST_ENTRIES:
            return max(total, round(enough) + 1)  # empty files fill a disk too
    return total


def nameless_bytes(pids: Sequence[int]) -> int:
    """Return the room of files that are deleted but still open, memory files among them."""
    bytes_by_file: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as handles:
            for handle in handles:
                with suppress(OSError):
                    file = handle.stat()
                    if file.st_nlink == 0 and stat.S_ISREG(file.st_mode):
                        bytes_by_file[file.st_dev, file.st_ino] = file.st_blocks * 512
    return sum(bytes_by_file.values())


class CpuMeter:
    """CPU-seconds of everything that ever descended from this process, by four ways.

    What was waited for is told exactly; children whose parent ignores their end are not waited for
    and are seen by the kernel's own counter or a control group where there is one, else only
    while they run. Every way can miss something and none counts too much, so the most counts.
    """

    def __init__(self) -> None:
        self._reaped = 0.0
        self._seen: dict[tuple[int, bytes], float] = {}
        self._counter = kernel_counter()
        self._own = time.process_time()

    def reaped(self, seconds: float) -> None:
        """Add what a process that was waited for had used, with those that it waited for."""
        self._reaped += seconds

    def look(self, pids: Sequence[int]) -> None:
        """Note what each living process has used by itself until now."""
        for pid in pids:
            text = read_proc(f"/proc/{pid}/stat")
            fields = text[text.rfind(b")") + 2 :].split()
            if len(fields) > 19:
                self._seen[pid, fields[19]] = (int(fields[11]) + int(fields[12])) / _TICKS

    def seconds(self, grouped: float = 0.0) -> float:
        """Return the total, given what a control group counted."""
        counted = 0.0
        if self._counter is not None:
            own = time.process_time() - self._own
            counted = struct.unpack("=Q", os.read(self._counter, 8))[0] / 1e9 - own
        return max(self._reaped, sum(self._seen.values()), grouped, counted)


def kernel_counter() -> int | None:
    """Open the kernel's count of CPU time of this process and all it will start, if we may."""
    machine = os.uname().machine
    if not sys.platform.startswith("linux") or machine not in _PERF_OPEN:
        return None
    import ctypes

    software, task_clock, close_on_exec = 1, 1, 8
    inherited_user_only = 1 << 1 | 1 << 5 | 1 << 6  # an ordinary user may not ask for the kernel
    attributes = struct.pack("=IIQQQQQ", software, 112, task_clock, 0, 0, 0, inherited_user_only)
    call = ctypes.CDLL(None, use_errno=True).syscall
    handle = call(_PERF_OPEN[machine], attributes.ljust(112, b"\0"), 0, -1, -1, close_on_exec)
    return None if handle < 0 else int(handle)
