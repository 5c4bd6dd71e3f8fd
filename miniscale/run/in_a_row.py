"""Run programs one after another: ``python -I -S in_a_row.py A ARGUMENT && B ARGUMENT``.

The first that fails ends the row, and its exit code or signal is the row's. It runs once a trial,
in the box, so it imports little.
"""

import os
import sys

THEN = "&&"


def main(argv: list[str]) -> int:
    """Run the row and return the exit code of the last program that was run."""
    programs: list[list[str]] = [[]]
    for word in argv:
        if word == THEN:
            programs.append([])
        else:
            programs[-1].append(word)
    for program in programs[:-1]:
        child = os.posix_spawnp(program[0], program, os.environ)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            return code if code > 0 else 128 - code
    os.execvp(programs[-1][0], programs[-1])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        sys.stderr.write(f"cannot run {error.filename!r}: {error.strerror}\n")
        sys.exit(127)
