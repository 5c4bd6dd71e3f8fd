"""Spoils the results of other trials."""

from contextlib import suppress

import toy
from toy import build  # noqa: F401

DEFENCE = "write"
STATE = "complete"


if __name__ == "__main__":
    toy.honest()
    for path in toy.out().parent.glob("*/result.json"):
        if path.parent != toy.out():
            with suppress(OSError):
                path.write_text("worse")
    with suppress(OSError):
        (toy.out().parent / "other" / "result.json").write_text("worse")
