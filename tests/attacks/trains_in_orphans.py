"""Trains in processes that nobody waits for and that are in no group of its own."""

import os
import signal
import time

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if not os.fork():
        os.setsid()
        if not os.fork():
            toy.burn()
            (toy.out() / "done").write_text("")
        os._exit(0)
    while not (toy.out() / "done").exists():
        time.sleep(0.05)
    toy.honest()
