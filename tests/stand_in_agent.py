"""A coding agent of a few lines: does what its argument says, well or badly, and ends."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def edit(old: str = "lr = 0.1", new: str = "lr = 0.2") -> None:
    text = Path("train.py").read_text()
    Path("train.py").write_text(text.replace(old, new))


def propose(**fields: object) -> None:
    told = {"title": "double the rate", "hypothesis": "faster", "category": "rate", **fields}
    Path("proposal.json").write_text(json.dumps(told))


def escapes(what: str, outside: str) -> None:
    """Try to get out of the folder, and note in the hypothesis what worked."""
    worked = []
    secret = Path(outside) / "secret.txt"
    attempts = {
        "read outside": secret.read_text,
        "write outside": lambda: (Path(outside) / "written.txt").write_text("x"),
        "list processes": lambda: Path(f"/proc/{what}/environ").read_bytes(),
        "kill": lambda: os.kill(int(what), 0),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            worked.append(name)
        except (OSError, ValueError):
            pass
    keys = [name for name in os.environ if "SECRET" in name]
    edit()
    propose(hypothesis=f"worked: {worked}; sees {keys}; key {os.environ.get('MY_KEY')}")
    print(f"my key is {os.environ.get('MY_KEY')}")


def good() -> None:
    brief = Path("BRIEF.md").read_text()
    assert "# Setting" in brief
    assert "proposal.json" in brief
    edit()
    propose(expected={"small": 3})


def silent() -> None:
    edit()
    print("I doubled the learning rate")


def knobs() -> None:
    propose(knobs={"width": 64})


def idle() -> None:
    print("nothing to do")


def locked() -> None:
    edit()
    Path("data.py").write_text("cheat = True\n")


def knobs_file() -> None:
    Path("knobs.json").write_text("{}")


def deletes() -> None:
    Path("train.py").unlink()


def links() -> None:
    Path("train.py").unlink()
    Path("train.py").symlink_to("/etc/passwd")


def pipes() -> None:
    Path("train.py").unlink()
    os.mkfifo("train.py")


def huge() -> None:
    Path("train.py").write_text("x = 1\n" * 200_000)


def binary() -> None:
    Path("train.py").write_bytes(b"\xff\xfe\x00")


def broken() -> None:
    edit(new="lr = = 0.2")


def litter() -> None:
    edit()
    propose()
    Path("notes.txt").write_text("mine")
    Path("link").symlink_to("/etc/passwd")


def bad_json() -> None:
    edit()
    Path("proposal.json").write_text("{" * 1000)


def json_link() -> None:
    edit()
    Path("proposal.json").symlink_to("/etc/passwd")


def hooks(marker: str) -> None:
    edit()
    propose()
    Path(".git/config").write_text(f"[core]\n\tfsmonitor = touch {marker}\n")
    hook = Path(".git/hooks/post-checkout")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)


def fails() -> int:
    edit()
    print("Traceback: no credit left", file=sys.stderr)
    return 3


def hangs() -> None:
    edit()
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    time.sleep(600)


def daemon() -> None:
    edit()
    propose()
    subprocess.Popen(["sleep", "601"], start_new_session=True)


def leaks() -> None:
    edit(new=f"lr = 0.2  # {os.environ.get('MY_KEY')}")


def network(port: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        edit()
        propose()


def main(mode: str, *rest: str) -> int:
    """Play one agent."""
    return globals()[mode](*rest) or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
