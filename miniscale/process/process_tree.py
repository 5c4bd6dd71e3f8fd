"""Start, measure and end a tree of processes so that nothing of it is left over.

Linux has what this needs: the death signal of a parent, a subreaper that inherits double forks,
``/proc``. Elsewhere (macOS) these are skipped: the process group is still ended and the time
still capped, but memory is not watched and a daemon that left the group escapes.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
SEES_TREE = os.path.exists("/proc/self/stat")
"""Whether all descendants can be found here, not just the process group."""
_KILOBYTES = 1 if sys.platform == "darwin" else 1024


def _prctl(option: int, value: int) -> bool:
    """Call prctl where there is one and return whether it took effect."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # 3 ms: not for those who only want to kill

    call = ctypes.CDLL(None, use_errno=True).prctl
    return bool(call(option, ctypes.c_ulong(value), 0, 0, 0) == 0)


def signal_me_when_parent_dies(number: int) -> bool:
    """Ask for a signal at the death of the parent; survives exec, not fork."""
    return _prctl(_PR_SET_PDEATHSIG, number)


def inherit_orphans() -> bool:
    """Make this process the parent of descendants whose own parent ends (double forks)."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def read_proc(path: str) -> bytes:
    """Read a small file of /proc; empty when it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(handle, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(handle)


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _parents() -> dict[int, int]:
    """Map every process to its parent; the slow way, for kernels without ``children`` files."""
    parents = {}
    for name in _listing("/proc"):
        if name.isdigit():
            stat = read_proc(f"/proc/{name}/stat")
            after_name = stat[stat.rfind(b")") + 2 :].split()
            if len(after_name) > 1:
                parents[int(name)] = int(after_name[1])
    return parents


def descendants(root: int) -> list[int]:
    """Return all living descendants of a process, whatever session or group they moved to."""
    fast = os.path.exists(f"/proc/{root}/task/{root}/children")
    parents = {} if fast else _parents()
    pids: list[int] = []
    queue = [root]
    while queue:
        pid = queue.pop()
        if fast:
            tasks = _listing(f"/proc/{pid}/task")
            text = b" ".join(read_proc(f"/proc/{pid}/task/{task}/children") for task in tasks)
            children = [int(child) for child in text.split()]
        else:
            children = [child for child, parent in parents.items() if parent == pid]
        pids += children
        queue += children
    return pids


def peak_bytes(usage_maxrss: int) -> int:
    """Convert ``ru_maxrss``, kilobytes on Linux and bytes on macOS."""
    return usage_maxrss * _KILOBYTES


def send(pids: Sequence[int], number: int) -> None:
    """Signal processes; those already gone are no error."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def send_groups(pids: Sequence[int], number: int) -> None:
    """Signal the groups of processes: at once for each, so that none of it forks away."""
    own = os.getpgrp()
    groups = set()
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            groups.add(os.getpgid(pid))
    for group in groups - {own, 0, 1}:
        send_group(group, number)


def send_group(group: int, number: int) -> None:
    """Signal a process group at once; an empty one is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def marked_by(entry: bytes) -> list[int]:
    """Return processes whose environment holds this ``NAME=value``, however far they moved."""
    me = os.getpid()
    pids = [int(name) for name in _listing("/proc") if name.isdigit()]
    return [
        pid for pid in pids if pid != me and entry in read_proc(f"/proc/{pid}/environ").split(b"\0")
    ]


def spawn(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    door: str = "",
) -> int:
    """Start a program in a session of its own that dies with us; return its process id.

    A program that cannot be started says why on its standard error and exits with 127.

    Parameters
    ----------
    env
        All of its environment.
    stdout, stderr
        Open files that become its own.
    door
        File of a control group to enter; empty for none.
    """
    me = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        if door:
            with open(door, "w") as group:
                group.write("0")
        _become(argv, cwd=cwd, env=env, stdout=stdout, stderr=stderr, parent=me)
    except OSError as error:
        os.write(2, f"cannot run {argv[0]!r} in {cwd!r}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _become(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int, parent: int
) -> None:
    """Turn this fresh child into the program; returns only by raising."""
    import resource

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores these, and exec would keep that
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.setsid()
    signal_me_when_parent_dies(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)  # it died before we asked
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(cwd)
    os.execvpe(argv[0], list(argv), dict(env))
