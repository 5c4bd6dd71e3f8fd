"""What passes between the trusted parent and a model's process: frames of one size, shared memory.

Tokens and logits lie in memory that neither side can resize. A frame says only what is asked,
how many rows of what length, and what came of it. Nothing is ever unpickled or evaluated.
"""

import mmap
import os
import select
import struct
import time

REQUEST = struct.Struct("<4sIII")
"""What, number of the request, rows, time."""
ANSWER = struct.Struct("<4sIIIIQ")
"""What, number of the request, rows, time, vocabulary, FLOPs."""
ENDED = struct.Struct("<id")
"""How an instance ended: exit code, and CPU-seconds of all its processes."""

ASK, COST = b"ask.", b"cost"
READY, MISFIT, SHAPE = b"redy", b"misf", b"shap"
START, STOP = b"+", b"-"
_SEALS = hasattr(os, "memfd_create")  # Linux


class SharedMemory:
    """A block of shared memory: (rows, time) int64 tokens, then float32 logits.

    Parameters
    ----------
    handle
        File of the memory; it is closed, the mapping stays.
    """

    def __init__(self, handle: int, *, tokens: int, logits: int) -> None:
        self.capacity = logits
        """Logits that fit."""
        self._split = 8 * tokens
        self.memory = mmap.mmap(handle, self._split + 4 * logits)
        os.close(handle)

    @property
    def tokens(self) -> memoryview:
        """Bytes of the tokens."""
        return memoryview(self.memory)[: self._split]

    @property
    def logits(self) -> memoryview:
        """Bytes of the logits."""
        return memoryview(self.memory)[self._split :]


def blank_memory(size: int) -> int:
    """File of shared memory whose size is fixed where the system can."""
    if _SEALS:
        import fcntl

        handle = os.memfd_create("logits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(handle, size)  # sparse: costs what is touched
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
        return handle
    return _unlinked(size)


def filled_memory(content: bytes) -> int:
    """File of memory with this content, which nobody can change where the system can say so."""
    if _SEALS:
        import fcntl

        handle = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        _write(handle, content)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
        return handle
    handle = _unlinked(0)
    _write(handle, content)
    return handle


def _unlinked(size: int) -> int:
    import tempfile

    handle, path = tempfile.mkstemp()
    os.unlink(path)
    os.ftruncate(handle, size)
    return handle


def _write(handle: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def whole_file(handle: int) -> bytes:
    """Read all of a file by position, as others may hold the same handle."""
    size, parts, at = os.fstat(handle).st_size, [], 0
    while at < size and (part := os.pread(handle, size - at, at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def read_frame(handle: int, size: int, *, until: float | None = None) -> bytes:
    """Read ``size`` bytes; fewer when the other side is gone, or (monotonic) time is up.

    Raises
    ------
    TimeoutError
        If time is up first.
    """
    frame = b""
    while len(frame) < size:
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([handle], [], [], left)[0]:
            raise TimeoutError
        part = os.read(handle, size - len(frame))
        if not part:
            break
        frame += part
    return frame
