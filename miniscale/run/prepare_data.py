"""Setting a source up and preparing its data, once, before any trial."""

import hashlib
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from miniscale.setting.command import render
from miniscale.setting.decode import InputError
from miniscale.setting.setting import Setting, TreeKind
from miniscale.source.interpreter import find_interpreter

MOST_LINES = 1000  # the last ones say how a command ended
_MOST_BYTES = 256_000_000
"""assumption: hashed in a second; a larger file is known by its size."""


def prepare(setting: Setting, cache: Path) -> dict[str, str]:
    """Run a setting's ``setup`` and ``prepare`` commands; return the digests of what they made.

    Both are run every time and must be idempotent. They run in the source with all of the user's
    environment, unboxed, and what they print is shown. ``prepare`` prints one JSON line with
    ``digests`` last; after a ``setup`` that does not, the files in ``cache`` are hashed.

    Raises
    ------
    InputError
        With the command's own last line, if it fails, or ``prepare`` does not report.
    """
    digests: dict[str, str] = {}
    for name, template in (("setup", setting.setup), ("prepare", setting.prepare)):
        if template:
            cache.mkdir(parents=True, exist_ok=True)
            reported = _reported(_run(setting, name, template, cache))
            if reported is None and name == "prepare":
                raise InputError(
                    f"preparing {setting.name}: printed no JSON line with 'digests' last; mend its "
                    "command, or call it 'setup'"
                )
            digests |= _hashed(cache) if reported is None else reported
    return digests


def _run(setting: Setting, name: str, template: Sequence[str], cache: Path) -> list[str]:
    """Run a command, show what it prints on standard error, and return its lines of output."""
    python = sys.executable
    if setting.python:
        python = find_interpreter(setting.python, setting.source).path
    values = {"python": python, "cache": str(cache.resolve()), "source": str(setting.source)}
    is_folder = setting.tree is TreeKind.CHECKOUT
    shown = f"{name:<8} " if is_folder else ""
    try:
        with (
            subprocess.Popen(
                render(template, values),
                cwd=setting.source if is_folder else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            ) as process,
            ThreadPoolExecutor(1) as beside,
        ):
            errors = beside.submit(_take_lines, process.stderr or (), shown)
            lines = _take_lines(process.stdout or (), shown)
    except OSError as error:
        raise InputError(f"preparing {setting.name}: {name}: {error}") from None
    if process.returncode != 0:
        words = errors.result() or lines
        last = words[-1] if words else f"exit code {process.returncode}"
        raise InputError(f"preparing {setting.name}: {last.removeprefix('error: ')}")
    return list(lines)


def _take_lines(stream: Iterable[str], shown: str) -> deque[str]:
    """Return the last lines of what a command prints; show all but its report after a word."""
    lines: deque[str] = deque(maxlen=MOST_LINES)
    for line in stream:
        if line.strip():
            lines.append(line.rstrip())
        if shown and not line.startswith('{"digests"'):
            sys.stderr.write(f"{shown}{line}")
    return lines


def _reported(lines: Sequence[str]) -> dict[str, str] | None:
    try:
        digests = json.loads(lines[-1])["digests"]
        return {str(name): str(value) for name, value in digests.items()}
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return None


def _hashed(cache: Path) -> dict[str, str]:
    """Return one digest of all files in a folder; an empty one has none."""
    whole = hashlib.sha256()
    files = sorted(path for path in cache.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MOST_BYTES else b""
        name = path.relative_to(cache).as_posix()
        whole.update(f"{name} {size} {hashlib.sha256(content).hexdigest()}\n".encode())
    return {"cache": whole.hexdigest()} if files else {}
