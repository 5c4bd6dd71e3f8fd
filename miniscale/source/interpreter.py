"""The Python of a trial where it is the user's own: where it lies, what a box must show of it."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ASK = (
    "import json, sys, sysconfig; p = sysconfig.get_paths(); print(json.dumps([sys.executable, "
    "sys.prefix, sys.base_prefix, p['stdlib'], p['platstdlib'], p['purelib'], p['platlib']]))"
)
_PATIENCE_S = 300.0
"""assumption: a runner that makes its environment first, such as uv, may have to download it."""


@dataclass(frozen=True)
class Interpreter:
    """A Python, and the folders that it and its packages are in."""

    path: str
    reads: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where its own programs lie beside it, such as torchrun."""
        return os.path.dirname(self.path)


@cache
def find_interpreter(words: str, source: Path) -> Interpreter:
    """Find a Python by its path, seen from the source, or by a program that runs one.

    Parameters
    ----------
    words
        ``.venv/bin/python``, ``python3.12``, or ``uv run``: then that is asked which one it is.
    source
        Where a relative path starts, and the working folder of what is asked.

    Raises
    ------
    ValueError
        If there is none, in a line.
    """
    parts = shlex.split(words)
    if len(parts) == 1:
        own = source / Path(parts[0]).expanduser()
        program = str(own) if own.is_file() else ""
        if not program and "/" not in parts[0]:
            program = shutil.which(parts[0]) or ""
        if not program:
            raise ValueError(f"python: no {parts[0]!r} in {source}; make it or name another")
        parts = [program]
    else:
        parts = [*parts, "python"]
    try:
        done = subprocess.run(
            [*parts, "-c", _ASK],
            cwd=source,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
        path, *folders = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines() or ["no word"]
        raise ValueError(
            f"python: {words!r} in {source} runs no Python ({said[-1][:200]})"
        ) from None
    real = [os.path.realpath(folder) for folder in (path, *folders)]
    reads = [p for p in dict.fromkeys([*folders, *real]) if os.path.exists(p)]
    return Interpreter(path, tuple(reads))
