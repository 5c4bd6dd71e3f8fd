"""From walls to the argv that puts them up, by bubblewrap or by Landlock alone."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from glob import glob
from pathlib import Path

from miniscale.box import system_calls
from miniscale.box.hidden_files import resolved, seen_at


class BoxKind(StrEnum):
    """What the walls are made of, the strongest first."""

    BWRAP = "bwrap"
    """Namespaces by bubblewrap, with Landlock and seccomp inside."""
    LANDLOCK = "landlock"
    """Landlock and seccomp alone."""
    PROCESS = "process"
    """No walls: the supervisor's clean environment, limits and kill of descendants."""


SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/timezone", "/etc/passwd",
    "/etc/group", "/etc/nsswitch.conf", "/sys/devices/system/cpu", "/sys/devices/system/node",
    "/sys/bus/pci/devices", "/sys/class/net",  # where gloo looks for the card nearest to a network
)  # fmt: skip
"""What any program needs to start; no home, no study, no secret of the machine."""
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
           "/etc/protocols", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")  # fmt: skip
PROC = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version",
        "/proc/filesystems", "/proc/loadavg", "/proc/sys/vm", "/proc/sys/kernel/osrelease",
        "/proc/sys/kernel/random", "/proc/sys/kernel/cap_last_cap",
        "/proc/driver/nvidia")  # fmt: skip
"""Where /proc is the machine's own, a program sees itself and no other process."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
WALLS = ("read", "hidden", "write", "net", "processes", "disk", "calls")
"""Names of what ``Walls.down`` may take away."""


@dataclass(frozen=True)
class Walls:
    """What a program in the box may do.

    ``write`` is the one folder that it may write to, kept after it ends; its working folder is
    ``cwd``, or else that. Paths in ``read`` that are not there are no error.
    """

    read: tuple[str, ...]
    write: str
    size_mb: int = 8_000
    """Size of any one file; the supervisor watches the folder's total."""
    is_networked: bool = False
    memory_gb: float = 4.0
    """Of scratch space in memory (/tmp, /dev/shm), at most; the supervisor watches the rest."""
    open_files: int = 4096
    gpus: int = 0
    cwd: str = ""
    listed: tuple[str, ...] = ()
    """Folders whose names may be listed, where an import looks for a package in ``read``."""
    shared: str = ""
    """A second folder to write to, kept for the next program that has it; empty for none."""
    hidden: tuple[str, ...] = ()
    """Files and folders kept from sight within what may be read; absent ones are no error.

    What ``read`` names inside a hidden folder is shown."""
    down: frozenset[str] = frozenset()
    """Walls left out, so that a test can show what each is for; empty in earnest."""

    def __post_init__(self) -> None:
        unknown = sorted(self.down - set(WALLS))
        if unknown:
            raise ValueError(f"walls: no wall {unknown[0]!r}; known: {', '.join(WALLS)}")
        if self.size_mb < 1 or not os.path.isabs(self.write):
            raise ValueError(
                f"walls: size_mb={self.size_mb}, write={self.write!r}; give at least 1 MB and an "
                "absolute folder"
            )


@cache
def python_reads() -> tuple[str, ...]:
    """Return the folders that this interpreter and its packages need, ours among them."""
    paths = sysconfig.get_paths()
    packages = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    ours = [str(Path(folder, "miniscale")) for folder in _homes()]
    named = [sys.prefix, sys.base_prefix, paths["stdlib"], paths["platstdlib"], *packages, *ours]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    real = [os.path.realpath(path) for path in named if path]
    return tuple(dict.fromkeys([*named, *real, *(p for p in libraries if os.path.isabs(p))]))


@cache
def _homes() -> tuple[str, ...]:
    """Return the folders that our package can be imported from, here and by a program without us.

    Of an installation for development this is a checkout, and studies may lie in it: its names can
    be listed, or no import would find us, but only the package itself can be read.
    """
    candidates = [str(Path(__file__).resolve().parents[2]), *sys.path]
    return tuple(
        dict.fromkeys(p for p in candidates if p and os.path.isdir(os.path.join(p, "miniscale")))
    )


@cache
def landlock_abi() -> int:
    """Return the version of Landlock in this kernel; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    from miniscale.box import jail

    return jail.landlock_abi()


@cache
def own_namespaces() -> tuple[str, ...]:
    """Return what a program without bubblewrap can have for itself here: ``net``, ``shm``.

    Tried once a process: whether a kernel allows it cannot be read anywhere.
    """
    if not landlock_abi() or os.uname().machine not in system_calls.MACHINES:
        return ()
    script = str(Path(__file__).resolve().with_name("jail.py"))
    allowed = []
    for kind in ("net", "shm"):
        argv = [sys.executable, "-I", "-S", script, f"own={kind}", "scratch_bytes=1000000"]
        tried = subprocess.run(
            [*argv, "read=/", "--", sys.executable, "-I", "-S", "-c", ""],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        allowed += [kind] * (tried.returncode == 0)
    return tuple(allowed)


def has_loopback(kind: BoxKind) -> bool:
    """Whether programs in such a box reach each other over 127.0.0.1, and nothing else does."""
    return kind is BoxKind.BWRAP or (kind is BoxKind.LANDLOCK and "net" in own_namespaces())


def label(kind: BoxKind) -> str:
    """Name a kind with what it is made of here, as records have it: ``landlock(7)+seccomp``."""
    if kind is BoxKind.PROCESS:
        return str(kind)
    parts = ["bwrap"] if kind is BoxKind.BWRAP else []
    parts += [f"landlock({landlock_abi()})"] if landlock_abi() else []
    parts += ["seccomp"] if os.uname().machine in system_calls.MACHINES else []
    return "+".join(parts)


def wrap(argv: Sequence[str], walls: Walls, kind: BoxKind) -> list[str]:
    """Return the argv that runs a program in a box.

    The environment and standard files are the caller's business; what the program leaves running
    is ended with the box (bwrap), or by a :class:`miniscale.process.supervisor.Supervisor`. Exit
    codes pass through; a signal that ended the program is 128 + its number under bwrap.
    """
    if kind is BoxKind.PROCESS:
        return list(argv)
    inner = _jail(walls, is_inner=kind is BoxKind.BWRAP)
    outer = _bwrap(walls) if kind is BoxKind.BWRAP else []
    return [*outer, *inner, *argv]


def _reads(walls: Walls) -> list[str]:
    network = NETWORK if walls.is_networked else ()
    readable = [
        *SYSTEM,
        *glob("/sys/devices/pci*"),  # what the links of /sys/bus/pci lead to
        *network,
        *python_reads(),
        *walls.read,
        *([walls.cwd] if walls.cwd else []),
    ]
    there = (path for path in dict.fromkeys(readable) if os.path.exists(path) or path == walls.cwd)
    return list(there)  # a trial's own copy of a tree is made after its walls are laid out


def _hidden(walls: Walls) -> tuple[str, ...]:
    return () if "hidden" in walls.down else resolved(walls.hidden)


def _gpu_devices(walls: Walls) -> list[str]:
    devices = glob("/dev/nvidia*") + glob("/dev/dri/*") + glob("/dev/kfd") if walls.gpus else []
    return sorted(devices)


def _jail(walls: Walls, *, is_inner: bool) -> list[str]:
    """Return the argv of :mod:`miniscale.box.jail` for these walls."""
    down, abi = walls.down, landlock_abi()
    rules = [f"read={path}" for path in _reads(walls)]
    rules += [f"list={path}" for path in (*_homes(), *walls.listed)]
    rules += [f"device={path}" for path in (*DEVICES, *_gpu_devices(walls))]
    rules += [f"write={path}" for path in (walls.write, walls.shared) if path]
    if is_inner:
        rules += ["read=/proc", "write=/tmp", "write=/dev/shm", "device=/dev/pts"]
    else:
        rules += [f"read={path}" for path in PROC]
        rules += [f"hide={path}" for path in _hidden(walls)]
    rules += ["read=/"] if "read" in down else []
    rules += ["write=/"] if "write" in down else []
    is_open = walls.is_networked or "net" in down
    own = () if is_inner else tuple(k for k in own_namespaces() if k != "net" or not is_open)
    families = (
        (system_calls.AF_INET, system_calls.AF_INET6, system_calls.AF_NETLINK)
        if is_open or is_inner or "net" in own  # or there is nothing but loopback to reach
        else ()
    )
    rules += ["write=/dev/shm"] if "shm" in own else []
    keeps_signals = is_inner or abi >= 6 or "processes" in down
    code = system_calls.program(
        os.uname().machine,
        # a socket file outside can lead to a daemon; namespaces hide those, Landlock does not
        families=(*families, system_calls.AF_UNIX)
        if is_inner and (abi >= 6 or not is_open)
        else families,
        may_signal=keeps_signals,
        is_filtered="calls" not in down,
    )
    scoped = (0 if "net" in down else 1) | (0 if "processes" in down else 2)
    options = [
        f"file_bytes={0 if 'disk' in down else walls.size_mb * 1_000_000}",
        f"open_files={walls.open_files}",
        f"abi={abi}",
        f"scoped={scoped}",
        f"calls={code.hex()}",
        f"own={','.join(own)}",
        f"scratch_bytes={int(min(walls.memory_gb, 64) * 1e9)}",
        *(["inner=1"] if is_inner else []),
    ]
    if not is_inner and "write" not in down:  # namespaces show what is outside read-only
        options.append(f"marks={system_calls.attributes(os.uname().machine).hex()}")
    script = str(Path(__file__).resolve().with_name("jail.py"))
    return [sys.executable, "-I", "-S", script, *options, *rules, "--"]


def _bwrap(walls: Walls) -> list[str]:
    """Return the argv of bubblewrap for these walls."""
    down = walls.down
    shared = ["--share-net"] if walls.is_networked or "net" in down else []
    argv = [shutil.which("bwrap") or "bwrap", "--unshare-all", *shared]
    if "processes" in down:
        argv = [argv[0], "--unshare-user-try", "--unshare-ipc", "--unshare-uts"]
        argv += [] if shared else ["--unshare-net"]
    else:
        argv += ["--die-with-parent", "--new-session"]
    scratch = str(int(min(walls.memory_gb, 64) * 1e9))
    if "write" in down:
        argv += ["--bind", "/", "/"]
    elif "read" in down:
        argv += ["--ro-bind", "/", "/"]
    whole = bool({"read", "write"} & down)
    argv += ["--ro-bind" if "processes" in down else "--proc", "/proc"]
    argv += ["/proc"] if "processes" in down else []
    argv += ["--dev", "/dev", "--size", scratch, "--tmpfs", "/dev/shm"]
    argv += [] if whole else ["--perms", "1777", "--size", scratch, "--tmpfs", "/tmp"]
    roots = [] if whole else _reads(walls)
    masks = seen_at(_hidden(walls), ["/"] if whole else roots)
    mounts = {path: ["--ro-bind", path, path] for path in roots} | {p: _mask(p) for p in masks}
    for path in sorted(mounts):  # what lies deeper later: a mask over what shows it
        argv += mounts[path]
    for path in _gpu_devices(walls):
        argv += ["--dev-bind", path, path]
    for path in filter(None, (walls.write, walls.shared)):
        argv += ["--bind", path, path]
    argv += [part for path in masks if os.path.isdir(path) for part in ("--remount-ro", path)]
    return [*argv, "--chdir", walls.cwd or walls.write, "--"]


def _mask(path: str) -> list[str]:
    """Return what mounts an empty folder over a folder, and what cannot be read over a file."""
    return ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]
