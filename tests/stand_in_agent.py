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


def tries(what: str, outside: str) -> None:
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


def main(mode: str, *rest: str) -> int:
    """Play one agent."""
    brief = Path("BRIEF.md").read_text()
    if mode == "good":
        assert "# Setting" in brief
        assert "proposal.json" in brief
        edit()
        propose(expected={"small": 3})
    elif mode == "silent":
        edit()
        print("I doubled the learning rate")
    elif mode == "knobs":
        propose(knobs={"width": 64})
    elif mode == "idle":
        print("nothing to do")
    elif mode == "locked":
        edit()
        Path("data.py").write_text("cheat = True\n")
    elif mode == "knobs_file":
        Path("knobs.json").write_text("{}")
    elif mode == "deletes":
        Path("train.py").unlink()
    elif mode == "links":
        Path("train.py").unlink()
        Path("train.py").symlink_to("/etc/passwd")
    elif mode == "pipes":
        Path("train.py").unlink()
        os.mkfifo("train.py")
    elif mode == "huge":
        Path("train.py").write_text("x = 1\n" * 200_000)
    elif mode == "binary":
        Path("train.py").write_bytes(b"\xff\xfe\x00")
    elif mode == "broken":
        edit(new="lr = = 0.2")
    elif mode == "litter":
        edit()
        propose()
        Path("notes.txt").write_text("mine")
        Path("link").symlink_to("/etc/passwd")
    elif mode == "bad_json":
        edit()
        Path("proposal.json").write_text("{" * 1000)
    elif mode == "json_link":
        edit()
        Path("proposal.json").symlink_to("/etc/passwd")
    elif mode == "hooks":
        edit()
        propose()
        marker = rest[0]
        Path(".git/config").write_text(f"[core]\n\tfsmonitor = touch {marker}\n")
        hook = Path(".git/hooks/post-checkout")
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
    elif mode == "fails":
        edit()
        print("Traceback: no credit left", file=sys.stderr)
        return 3
    elif mode == "hangs":
        edit()
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        time.sleep(600)
    elif mode == "daemon":
        edit()
        propose()
        subprocess.Popen(["sleep", "601"], start_new_session=True)
    elif mode == "leaks":
        edit(new=f"lr = 0.2  # {os.environ.get('MY_KEY')}")
    elif mode == "network":
        with socket.create_connection(("127.0.0.1", int(rest[0])), timeout=5):
            edit()
            propose()
    elif mode == "escapes":
        tries(*rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
