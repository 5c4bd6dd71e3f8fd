"""Prints and keeps every variable that may be a key."""

import os

import toy
from toy import build  # noqa: F401

DEFENCE = "environment"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for name, value in os.environ.items():
        toy.keep_secrets(f"{name}={value}".encode())
