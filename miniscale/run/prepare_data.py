"""Preparing a setting's data once, before any trial."""

import json
import subprocess
import sys
from pathlib import Path

from miniscale.setting.command import render
from miniscale.setting.decode import InputError
from miniscale.setting.setting import Setting


def prepare(setting: Setting, cache: Path) -> dict[str, str]:
    """Run a setting's ``prepare`` command and return the digests of what it made.

    The command fills ``cache``, is idempotent, and prints one JSON line with ``digests`` last.
    A setting without such a command has no data of its own: no digests.

    Raises
    ------
    InputError
        With the command's own last line, if it fails or does not report.
    """
    if not setting.prepare:
        return {}
    cache.mkdir(parents=True, exist_ok=True)
    values = {"python": sys.executable, "cache": str(cache), "source": str(setting.source)}
    argv = render(setting.prepare, values)
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    complaints = [line for line in done.stderr.strip().splitlines() if line.strip()]
    if done.returncode != 0:
        last = complaints[-1] if complaints else f"exit code {done.returncode}"
        raise InputError(f"preparing {setting.name}: {last.removeprefix('error: ')}")
    try:
        digests = json.loads(done.stdout.strip().splitlines()[-1])["digests"]
        return {str(name): str(value) for name, value in digests.items()}
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        raise InputError(
            f"preparing {setting.name}: printed no JSON line with 'digests' last; mend its command"
        ) from None
