"""Attaches itself to another process, to read and write its memory."""

import ctypes
import os
import time

import toy
from toy import build  # noqa: F401

DEFENCE = "calls"
STATE = "complete"
PTRACE_ATTACH = 16


if __name__ == "__main__":
    toy.honest()
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if not child:
        time.sleep(20)
    if libc.ptrace(PTRACE_ATTACH, child, 0, 0) == 0:
        toy.loot("attached")
    os.kill(child, 9)
    os.waitpid(child, 0)
