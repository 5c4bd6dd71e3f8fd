"""``python -m transfer bench``: policies against each other in worlds with planted truth."""

import json
import shutil
from argparse import Namespace

from miniscale.setting.decode import InputError
from transfer.bench.board import as_json
from transfer.bench.board_text import markdown, terminal
from transfer.bench.play import ORACLE, parsed
from transfer.bench.play_many import run as play
from transfer.bench.play_many import tasks
from transfer.bench.worlds.catalogue import chosen
from transfer.commands.progress import show_progress


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


def run(arguments: Namespace) -> list[str]:
    """Play, write what was asked for and return the scoreboard.

    Raises
    ------
    InputError
        On the first argument that is wrong.
    """
    wanted = tasks(
        chosen(arguments.suite), policies_of(arguments.policy), seeds_of(arguments.seeds)
    )
    scores = play(wanted, jobs=arguments.jobs, store=arguments.store, tell=show_progress())
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(scores), indent=1) + "\n")
    if arguments.markdown is not None:
        arguments.markdown.write_text(markdown(scores))
    return terminal(scores, width=shutil.get_terminal_size((1000, 24)).columns)
