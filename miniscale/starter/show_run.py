"""One run of a command that its owner typed, in his own folder, and what it printed."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.process.logs import last_words

TAIL_BYTES = 2_000_000
"""Of what is printed, the end that is read."""


@dataclass(frozen=True)
class ShownRun:
    """What a run printed, both streams together, and how it ended."""

    output: str
    code: int | None
    """None if it ran past its time."""
    seconds: float

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return last_words(self.output.encode())


def show_run(
    words: Sequence[str], source: Path, *, env: Mapping[str, str], timeout_s: float
) -> ShownRun:
    """Run a command to its end, in no box: it is the user's own.

    Parameters
    ----------
    words, env
        The argv, and variables on top of this process's own.
    source
        Where it is run.
    timeout_s
        When it and all that it started are ended.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                list(words),
                cwd=source,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return ShownRun(f"{words[0]}: {error.strerror}", 127, 0.0)
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        size = printed.seek(0, os.SEEK_END)
        printed.seek(max(size - TAIL_BYTES, 0))
        output = printed.read().decode(errors="replace")
    return ShownRun(output, code, time.monotonic() - started)
