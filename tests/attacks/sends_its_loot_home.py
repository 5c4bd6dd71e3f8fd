"""Connects to a machine outside and sends what it has."""

import socket
from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "net"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    with suppress(OSError):
        home = socket.create_connection(("127.0.0.1", int(toy.told("port"))), timeout=2)
        home.sendall(b"loot")
        home.close()
