"""Trains in a thread beside the one that keeps the time."""

import threading

import toy
from toy import build  # noqa: F401

DEFENCE = "cpu"
STATE = "over_budget"


if __name__ == "__main__":
    thread = threading.Thread(target=toy.burn)
    thread.start()
    toy.honest()
    thread.join()
