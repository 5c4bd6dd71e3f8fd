"""Takes away or goes round what may be mounted over sources, no call refused."""

import ctypes
import os

import toy
from toy import build  # noqa: F401

DEFENCE = "hidden"
STATE = "complete"
DOWN = ("calls",)
NEW_USER_AND_MOUNTS, DETACH, BIND = 0x10020000, 2, 4096 | 16384


def uncover() -> None:
    """Unmount, then show the folders above under another name."""
    libc = ctypes.CDLL(None)
    elsewhere = toy.out() / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    for path in toy.sources():
        for covered in (path, path.parent):
            libc.umount2(os.fsencode(covered), DETACH)
        toy.take(path)
        for up in (path.parent, path.parent.parent):
            libc.mount(os.fsencode(up), os.fsencode(elsewhere), None, BIND, None)
            toy.take(elsewhere / path.relative_to(up))
            libc.umount2(os.fsencode(elsewhere), DETACH)
    elsewhere.rmdir()


if __name__ == "__main__":
    toy.honest()
    uncover()
    if os.fork() == 0:
        ctypes.CDLL(None).unshare(NEW_USER_AND_MOUNTS)
        uncover()
        os._exit(0)
    os.wait()
