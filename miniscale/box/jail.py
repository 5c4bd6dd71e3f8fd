"""Lock this process in with Landlock, seccomp and limits, then become the program.

``python -I -S jail.py KEY=VALUE ... -- PROGRAM ARGUMENT ...`` needs no root, no daemon and no
package: Linux 5.13 or newer. Start-up counts (it runs once a trial), so it imports little; a wall
that cannot be put up is an error, never a warning.
"""

import _signal  # type: ignore[import-not-found]
import ctypes
import os
import resource
import stat
import struct
import sys

# _signal, not signal: that imports enum, a third of the start-up

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_CAP_AMBIENT = 38, 24, 22, 47
_CAPSET = {"x86_64": 126, "aarch64": 91}
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_RIGHTS = (1 << 16) - 1
_UNSHARE = {"x86_64": 272, "aarch64": 97}
_NEW_USER, _NAMESPACES = 0x10000000, {"net": 0x40000000, "shm": 0x00020000}
_MS_PRIVATE = 0x44000  # and all below
_AF_INET, _SOCK_DGRAM, _SIOCSIFFLAGS, _IFF_UP = 2, 2, 0x8914, 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """Return the version of Landlock in this kernel; 0 where there is none."""
    return max(0, int(_LIBC.syscall(_CREATE, None, 0, 1)))


def _call(what: str, *arguments: object) -> int:
    result = int(_LIBC.syscall(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(what: str, *arguments: int) -> None:
    if _LIBC.prctl(*(ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0)[:5])):
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def around(path: str, hidden: list[str]) -> list[tuple[str, bool]]:
    """Split a folder so that nothing hidden is in a part: the part, whether all of it is meant.

    A rule of Landlock holds for all that lies below, and none takes back what another gives. Of a
    folder on the way to something hidden only the names are meant. Links are left out: what they
    lead to needs a rule of its own. All paths are real ones.
    """
    inside = [h for h in hidden if h == path or h.startswith(path.rstrip("/") + "/")]
    if not inside or path in inside:
        return [] if inside else [(path, True)]
    with os.scandir(path) as entries:
        parts = [entry.path for entry in entries if not entry.is_symlink()]
    return [(path, False), *(piece for part in parts for piece in around(part, inside))]


def _spread(rules: list[tuple[str, str]], hidden: list[str]) -> list[tuple[str, str, bool]]:
    """Split the path of each rule around what is hidden; no rule comes twice."""
    pieces: dict[tuple[str, str, bool], None] = {}
    for kind, path in rules:
        splits = bool(hidden) and kind != "list"
        parts = around(os.path.realpath(path), hidden) if splits else [(path, True)]
        pieces |= {(kind, *part): None for part in parts}
    return list(pieces)


def restrict_files(
    rules: list[tuple[str, str]], *, scoped: int, abi: int, hidden: list[str] | None = None
) -> None:
    """Allow only what the rules name: ``("read" | "write" | "list" | "device", path)``.

    Nothing below ``hidden`` can be read unless a rule names something in it. Its names can be
    listed, as can all in a folder that is split on the way to it.

    Parameters
    ----------
    rules
        What is allowed below a path, by kind; paths that are not there are passed over.
    scoped
        Bits of what may not be reached outside: 1 abstract sockets, 2 signals (from ABI 6 on).
    abi
        Version of Landlock to speak, at most :func:`landlock_abi`.
    hidden
        Real paths.

    Raises
    ------
    OSError
        If the kernel has no Landlock, or refuses.
    """
    rights = _RIGHTS_BY_ABI.get(abi, _ALL_RIGHTS)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("=QQQ", rights, 0, scoped if abi >= 6 else 0)[:size]
    ruleset = _call("Landlock", _CREATE, attributes, ctypes.c_size_t(size), 0)
    granted = {
        "read": _EXECUTE | _READ_FILE | _READ_DIR,
        "list": _READ_DIR,
        "device": _READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEV,
        "write": _ALL_RIGHTS & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    }
    for kind, path, is_whole in _spread(rules, hidden or []):
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # a place this machine does not have needs no permission
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        allowed = granted[kind] & rights & (_ALL_RIGHTS if is_folder else _OF_FILES)
        allowed &= _ALL_RIGHTS if is_whole else ~(_READ_FILE | _EXECUTE)
        if allowed:
            rule = struct.pack("=Qi", allowed, handle)
            _call(f"Landlock rule for {path}", _ADD, ruleset, 1, rule, 0)
        os.close(handle)
    _call("Landlock", _RESTRICT, ruleset, 0)
    os.close(ruleset)


def unshare(kinds: list[str], scratch_bytes: int) -> None:
    """Enter namespaces of our own: ``net`` with nothing but loopback, ``shm`` with a /dev/shm.

    Root does it as such; another user in a user namespace where it stays itself.

    Raises
    ------
    OSError
        If the kernel, or who runs this machine, does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    flags = sum(_NAMESPACES[kind] for kind in kinds)
    _call("namespaces", _UNSHARE[os.uname().machine], flags | (_NEW_USER if user else 0))
    if user:
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    if "net" in kinds:
        _raise_loopback()
    if "shm" in kinds:
        _mount(b"none", b"/", b"", _MS_PRIVATE, b"")
        _mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"mode=1777,size=%d" % scratch_bytes)


def _mount(*arguments: object) -> None:
    if _LIBC.mount(*arguments):
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")


def _raise_loopback() -> None:
    """Set the loopback interface up, as ``ip link set lo up`` does."""
    import fcntl

    handle = _LIBC.socket(_AF_INET, _SOCK_DGRAM, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), f"loopback: {os.strerror(ctypes.get_errno())}")
    fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    os.close(handle)


def filter_calls(code: bytes) -> None:
    """Install a seccomp program for this process and all it becomes or starts."""
    lines = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_void_p)]

    wrapped = Program(len(code) // 8, ctypes.addressof(lines))
    _prctl("seccomp", _PR_SET_SECCOMP, 2, ctypes.addressof(wrapped))


def drop_capabilities(machine: str) -> None:
    """Give up what root may do beyond owning files; nothing to do for an ordinary user."""
    if os.geteuid() == 0 and machine in _CAPSET:
        for number in range(64):
            _LIBC.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)
        _LIBC.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(4), 0, 0, 0)
        header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
        _call("capabilities", _CAPSET[machine], header, none)


def limit(*, file_bytes: int, open_files: int) -> None:
    """Limit the size of a file and the number of open ones; nothing may raise it again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    if open_files:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = open_files if hard == resource.RLIM_INFINITY else min(open_files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main(argv: list[str]) -> int:
    """Put up the walls of the command line and become its program; 127 if it cannot run."""
    split = argv.index("--")
    rules: list[tuple[str, str]] = []
    hidden: list[str] = []
    options: dict[str, str] = {}
    for part in argv[:split]:
        name, _, value = part.partition("=")
        if name in ("read", "write", "list", "device"):
            rules.append((name, value))
        elif name == "hide":
            hidden.append(value)
        else:
            options[name] = value
    command = argv[split + 1 :]
    try:
        _lock_in(rules, hidden, options)
    except OSError as error:
        os.write(2, f"box: {error.strerror}; nothing was run\n".encode())
        return 126
    try:
        os.execvp(command[0], command)
    except OSError as error:
        where = os.getcwd()
        os.write(2, f"cannot run {command[0]!r} in {where!r}: {error.strerror}\n".encode())
    return 127


def _lock_in(rules: list[tuple[str, str]], hidden: list[str], options: dict[str, str]) -> None:
    abi = min(landlock_abi(), int(options.get("abi", "99")))
    limit(
        file_bytes=int(options.get("file_bytes", "0")),
        open_files=int(options.get("open_files", "0")),
    )
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)  # Python ignores these, and exec would keep that
    if options.get("own"):
        unshare(options["own"].split(","), int(options.get("scratch_bytes", "0")))
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)
    drop_capabilities(os.uname().machine)
    if abi or "inner" not in options:  # inside namespaces it is a second lock, not the only one
        restrict_files(rules, scoped=int(options.get("scoped", "0")), abi=abi, hidden=hidden)
    for name in ("marks", "calls"):
        if options.get(name):
            filter_calls(bytes.fromhex(options[name]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
