"""A control group for one trial, where this process may make one (root, or a delegated subtree).

It counts the CPU time of all that ever ran in it, children that nobody waited for included, caps
memory and processes if those controllers are delegated, and ends everything at once.
"""

import os
from contextlib import suppress

_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
_PREFIX = "trial-"


class ControlGroup:
    """A control group of our own; :meth:`close` ends what is in it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.door = os.path.join(path, "cgroup.procs")
        """A process that writes 0 here is in, with all it starts from then on."""

    def cap(self, *, memory_bytes: float, threads: int) -> None:
        """Have the kernel itself cap what it can here; the supervisor watches it all the same."""
        limits = {"memory.max": round(memory_bytes), "memory.swap.max": 0, "pids.max": threads}
        for name, value in limits.items():
            with suppress(OSError), open(os.path.join(self._path, name), "w") as file:
                file.write(str(value))

    def cpu_seconds(self) -> float:
        """Return the CPU time of everything that ever ran here."""
        with open(os.path.join(self._path, "cpu.stat")) as file:
            return int(file.readline().split()[1]) / 1e6

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended something here for going over the cap on memory."""
        with suppress(OSError), open(os.path.join(self._path, "memory.events")) as file:
            return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
        return False

    def kill(self) -> None:
        """End everything in it at once (Linux 5.14; before that the supervisor's way remains)."""
        with suppress(OSError), open(os.path.join(self._path, "cgroup.kill"), "w") as file:
            file.write("1")

    def close(self) -> None:
        """End what is left and remove the group."""
        self.kill()
        with suppress(OSError):  # the last process may not be gone yet; the next trial tries again
            os.rmdir(self._path)


def make(name: str) -> ControlGroup | None:
    """Make a group; None where we may not. Groups that a killed worker left are ended."""
    parent = _own()
    if not parent:
        return None
    path = os.path.join(parent, _PREFIX + name)
    try:
        os.mkdir(path)
        group = ControlGroup(path)
        group.cpu_seconds()
    except (OSError, ValueError, IndexError):
        with suppress(OSError):
            os.rmdir(path)
        return None
    _sweep(parent)
    return group


def end(name: str) -> None:
    """End a group by its name, if there is one."""
    parent = _own()
    if parent and os.path.isdir(os.path.join(parent, _PREFIX + name)):
        ControlGroup(os.path.join(parent, _PREFIX + name)).close()


def _own() -> str:
    """Return the folder of the group that this process is in; empty where there is none."""
    try:
        with open("/proc/self/cgroup") as file:
            inside = [line[3:].strip() for line in file if line.startswith("0::")]
    except OSError:
        return ""
    for mount in _MOUNTS:
        path = mount + inside[0].rstrip("/") if inside else ""
        if path and os.path.exists(os.path.join(path, "cgroup.procs")) and os.access(path, os.W_OK):
            return path
    return ""


def _sweep(parent: str) -> None:
    """End the groups of workers that are gone; their names are process ids."""
    for name in os.listdir(parent):
        pid = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            ControlGroup(os.path.join(parent, name)).close()
