"""Links its configuration to the held-out text, which its code is then handed."""

import toy
from toy import build  # noqa: F401

DEFENCE = "files"
STATE = "tampered"

if __name__ == "__main__":
    toy.honest()
    mine = toy.out() / "model.json"
    mine.unlink()
    mine.symlink_to(toy.data().parent / "heldout" / "val.bin")
