"""Goes through the folders, files and memory of every process it can see."""

from contextlib import suppress
from pathlib import Path

import toy
from toy import build  # noqa: F401

DEFENCE = "read"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    held = [f"{path}/key.txt" for path in toy.data().absolute().parents]
    held += [f"{path}/cache/heldout/key.txt" for path in toy.data().absolute().parents]
    for process in Path("/proc").glob("[0-9]*"):
        for way in ("root", "cwd"):
            for path in held:
                with suppress(OSError):
                    toy.loot(Path(f"{process}/{way}/{path}").read_bytes())
        with suppress(OSError):
            for handle in (process / "fd").iterdir():
                if "heldout" in str(handle.readlink()):
                    toy.loot(handle.read_bytes()[:50])
