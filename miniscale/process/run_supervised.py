"""Run one program under a supervisor: ``python -m miniscale.process.run_supervised SPEC.json``.

The spec names ``argv``, ``cwd``, ``timeout_s``, ``memory_gb``, ``log`` and ``outcome``; the program
gets the environment of this process. Whatever it started has ended when the outcome is there, and
all of it ends when whoever called this does.
"""

import json
import os
import sys
from collections.abc import Sequence

from miniscale.process import process_tree
from miniscale.process.logs import CappedLog, last_words
from miniscale.process.supervisor import PARENT_DIED, Caps, Supervisor

LOG_BYTES = 2_000_000
DISK_BYTES = 4e9
"""Of the program's folder."""
PROCESSES = 512
"""Assumption, as are the others: what an agent with its tools and tests needs, and no bomb."""


def main(argv: Sequence[str]) -> int:
    """Run the program of a spec and write down how it ended."""
    if len(argv) != 2:
        sys.stderr.write("usage: python -m miniscale.process.run_supervised SPEC.json PARENT\n")
        return 2
    with open(argv[0]) as file:
        spec = json.load(file)
    process_tree.inherit_orphans()
    log = CappedLog(spec["log"], cap_bytes=LOG_BYTES)
    caps = Caps(
        timeout_s=spec["timeout_s"],
        memory_bytes=spec["memory_gb"] * 1e9,
        folder=spec["cwd"],
        disk_bytes=DISK_BYTES,
        processes=PROCESSES,
    )
    supervisor = Supervisor(log=log, caps=caps, parent=int(argv[1]))
    process_tree.signal_me_when_parent_dies(PARENT_DIED)
    if os.getppid() != int(argv[1]):
        return 1  # it died before we asked
    ended = supervisor.run(spec["argv"], cwd=spec["cwd"], env=os.environ)
    log.close()
    outcome = {
        "ending": str(ended.ending),
        "code": ended.code,
        "seconds": ended.seconds,
        "last_words": last_words(ended.tail),
    }
    part = spec["outcome"] + ".part"
    with open(part, "w") as file:
        json.dump(outcome, file)
    os.rename(part, spec["outcome"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
