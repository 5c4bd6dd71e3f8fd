"""Looks for keys in its environment, in homes, and in what other processes were given."""

from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "read"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    homes = [Path.home(), *toy.out().absolute().parents]
    files = [home / tail for home in homes for tail in (".ssh/id_ed25519", "home/.ssh/id_ed25519")]
    for path in [*files, *Path("/proc").glob("[0-9]*/environ")]:
        with suppress(OSError):
            toy.keep_secrets(path.read_bytes())
