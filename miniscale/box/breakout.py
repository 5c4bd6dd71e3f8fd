"""Attempts to break out of a box, run by :func:`miniscale.box.selftest.try_out`.

``main`` is a supervisor outside the box, in a process of its own; ``ATTEMPTS`` is what runs inside.
Everything that succeeded is judged from outside.
"""

import json
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress

from miniscale.process import process_tree
from miniscale.process.logs import CappedLog, last_words
from miniscale.process.supervisor import Caps, ProgramEnd, Supervisor

SECRET = "secret-4f1d"
ATTEMPTS = """
import fcntl, os, signal, socket, sys, time
out, outside, pid, port, datagrams = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
def attempt(call):
    try:
        return call()
    except OSError:
        return None
def read(path):
    with open(path) as file:
        return file.read()
open(out + '/ran', 'w').close()
for path in (outside + '/secret', f'/proc/{pid}/environ', f'/proc/{pid}/root{outside}/secret',
             outside + '/shown/hidden/secret'):
    text = attempt(lambda: read(path))
    if text and 'secret-4f1d' in text:
        print('leak', flush=True)
attempt(lambda: open(outside + '/written', 'w').close())
attempt(lambda: os.chmod(outside + '/secret', 0o604))
attempt(lambda: os.utime(outside + '/secret', (1, 1)))
attempt(lambda: os.setxattr(outside + '/secret', 'user.note', b'x'))
attempt(lambda: os.truncate(outside + '/secret', 0))
attempt(lambda: os.rename(outside + '/secret', out + '/mine'))
attempt(lambda: socket.create_connection(('127.0.0.1', port), 1).send(b'x'))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        .sendto(b'x', ('127.0.0.1', datagrams)))
attempt(lambda: socket.socket(socket.AF_UNIX).connect(outside + '/door'))
attempt(lambda: socket.socket(socket.AF_UNIX).connect(f'\\0door-{pid}'))
attempt(lambda: os.kill(pid, signal.SIGUSR2))
def fill():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(out + '/large', 'wb') as file:
        file.write(bytes(3_000_000))
attempt(fill)
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    lock = open(out + '/lock', 'w')
    fcntl.flock(lock, fcntl.LOCK_EX)
    open(out + '/locked', 'w').close()
    time.sleep(60)
until = time.monotonic() + 5
while not os.path.exists(out + '/locked') and time.monotonic() < until:
    time.sleep(0.005)
"""


class _Bait:
    """What lies outside the box for the program inside to reach for."""

    def __init__(self, outside: str, stack: ExitStack) -> None:
        self.outside = outside
        self.signals: list[int] = []
        for name in ("secret", "shown/hidden/secret"):
            with open(os.path.join(outside, name), "w") as file:
                file.write(SECRET)
        os.environ["SECRET"] = SECRET
        kinds = [(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
                 (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
                 (socket.AF_UNIX, socket.SOCK_STREAM, os.path.join(outside, "door")),
                 (socket.AF_UNIX, socket.SOCK_STREAM, f"\0door-{os.getpid()}")]  # fmt: skip
        self.sockets = [stack.enter_context(_open(*kind)) for kind in kinds]
        signal.signal(signal.SIGUSR2, lambda number, frame: self.signals.append(number))

    def reached(self) -> list[str]:
        """Say which of the sockets something arrived at."""
        names = ("tcp", "udp", "a socket file", "an abstract socket")
        return [n for n, s in zip(names, self.sockets, strict=True) if _has_arrived(s)]


def _open(family: int, kind: int, address: object) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)  # type: ignore[arg-type]  # its form depends on the family
    made.setblocking(False)
    if kind == socket.SOCK_STREAM:
        made.listen(1)
    return made


def _has_arrived(listening: socket.socket) -> bool:
    try:
        if listening.type == socket.SOCK_STREAM:
            listening.accept()[0].close()
        else:
            listening.recv(16)
    except BlockingIOError:
        return False
    return True


def main(argv: list[str]) -> int:
    """Try one box: ``OUT PREFIX...``; print as JSON what broke, or why nothing ran."""
    out, prefix = argv[0], argv[1:]
    outside = os.path.dirname(out)
    process_tree.inherit_orphans()
    with ExitStack() as stack:
        bait = _Bait(outside, stack)
        log = CappedLog(os.path.join(outside, "log"))
        supervisor = Supervisor(log=log, caps=Caps(timeout_s=20), parent=os.getppid())
        ports = [str(s.getsockname()[1]) for s in bait.sockets[:2]]
        arguments = [out, outside, str(os.getpid()), *ports]
        ended = supervisor.run(
            [*prefix, sys.executable, "-I", "-S", "-c", ATTEMPTS, *arguments],
            cwd=out,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        log.close()
        supervisor.close()
        sys.stdout.write(json.dumps(_judge(bait, out, ended)))
    return 0


def _judge(bait: _Bait, out: str, ended: ProgramEnd) -> dict[str, object]:
    """Look from outside at what the program managed to do."""
    if not os.path.exists(os.path.join(out, "locked")):
        words = last_words(ended.tail).splitlines() or [f"exit code {ended.code}"]
        return {"refused": words[-1], "broken": {}}
    files = ["reading"] if b"leak" in ended.tail else []
    if os.path.exists(os.path.join(bait.outside, "written")):
        files.append("writing")
    with suppress(OSError), open(os.path.join(bait.outside, "secret")) as file:
        files += [] if file.read() == SECRET else ["truncating"]
    with suppress(OSError):
        secret_stat = os.stat(os.path.join(bait.outside, "secret"))
        files += (
            ["marking"] if secret_stat.st_mode & 0o777 == 0o604 or secret_stat.st_mtime == 1 else []
        )
        files += ["attributes"] if os.listxattr(os.path.join(bait.outside, "secret")) else []
    if not os.path.exists(os.path.join(bait.outside, "secret")):
        files.append("moving")
    running = ["a signal"] if bait.signals else []
    if _is_locked(os.path.join(out, "lock")):
        running.append("a daemon")
    is_large = os.path.getsize(os.path.join(out, "large")) > 1_000_000
    broken = {
        "files": files,
        "net": bait.reached(),
        "processes": running,
        "disk": ["a large file"] if is_large else [],
    }
    return {"refused": "", "broken": broken}


def _is_locked(path: str) -> bool:
    import fcntl

    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
