"""Prints what would rename, clear and answer a person's terminal, then fails."""

from toy import build  # noqa: F401

DEFENCE = "log"
STATE = "failed"


if __name__ == "__main__":
    print("\x1b]0;owned\x07\x1b[2J\x1b[8mhidden\x1b]52;c;b3duZWQ=\x07\x9b31m")
    raise SystemExit("\x1b[31mred\x1b[0m \u202eright to left")
