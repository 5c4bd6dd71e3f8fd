"""Ignores every signal that can be ignored and waits for ever."""

import signal
import time
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "time"
STATE = "timed_out"


if __name__ == "__main__":
    toy.honest()
    for number in range(1, signal.NSIG):
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)
