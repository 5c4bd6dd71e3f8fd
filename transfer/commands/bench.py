"""``python -m transfer bench``: policies against each other in worlds with planted truth."""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from miniscale.setting.decode import InputError
from transfer.bench.board import as_json
from transfer.bench.board_text import markdown, terminal
from transfer.bench.play import ORACLE, parsed
from transfer.bench.play_many import Tell, run, tasks
from transfer.bench.worlds.catalogue import chosen

POLICIES = "greedy,ttest,halving,confirm,powerlaw,trend,atoms,oracle"
EXAMPLES = """\
  suites      A B Drift Adverse Redundant
  families    coefficients broken surface repetition repetition-unmatched null rich slots dearer
  variations  suite B with another generator's assumptions
  policies    a name of conf/policy with changed keys, or your own module:Class
  seeds       anything may be tuned on 0:1000; 1000 and above are for reports alone

  python -m transfer bench --suite A,B --policy "greedy,ttest seeds=6,lab:Mine" --seeds 0:16
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    options = argparse.ArgumentParser(
        prog="python -m transfer bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--suite", default="A", help="suites and groups with commas, or all (default: A)")
    add("--policy", default=POLICIES, help="policies with commas (default: all of ours)")
    add("--seeds", default="0:16", help="block of worlds, FIRST:END (default: 0:16)")
    add("--jobs", type=int, default=1, help="processes side by side (default: 1)")
    add("--store", type=Path, help="JSON lines to resume from and append to")
    add("--json", type=Path, help="write the scoreboard as JSON")
    add("--markdown", type=Path, help="write the scoreboard as a Markdown table")
    return options


def seeds_of(text: str) -> range:
    """Read a block of seeds, ``FIRST:END`` without its end, or one seed.

    >>> seeds_of("4:6")
    range(4, 6)

    Raises
    ------
    InputError
        If it is no such block.
    """
    first, _, end = text.partition(":")
    if not (first.isdigit() and (not end or end.isdigit())):
        raise InputError(f"--seeds: got '{text}', must be FIRST:END, e.g. 0:16")
    block = range(int(first), int(end) if end else int(first) + 1)
    if not block:
        raise InputError(f"--seeds: '{text}' is empty; END must be above FIRST")
    return block


def policies_of(text: str) -> list[str]:
    """Read policies, and refuse one that cannot be built before anything is played."""
    policies = [word.strip() for word in _split(text) if word.strip()]
    for policy in policies:
        if policy != ORACLE:
            parsed(policy)
    if not policies:
        raise InputError("--policy: empty; name at least one, e.g. greedy")
    return list(dict.fromkeys(policies))


def _split(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def bench(argv: Sequence[str], tell: Tell) -> list[str]:
    """Run the command and return what to print.

    Raises
    ------
    InputError
        On the first argument that is wrong.
    """
    arguments = parser().parse_args(argv)
    wanted = tasks(
        chosen(arguments.suite), policies_of(arguments.policy), seeds_of(arguments.seeds)
    )
    scores = run(wanted, jobs=arguments.jobs, store=arguments.store, tell=tell)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(scores), indent=1) + "\n")
    if arguments.markdown is not None:
        arguments.markdown.write_text(markdown(scores))
    return terminal(scores, width=shutil.get_terminal_size((1000, 24)).columns)
