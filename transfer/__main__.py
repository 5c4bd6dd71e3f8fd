"""``python -m transfer VERB …``: a ladder's quality, a study's results, how our words fared."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniscale.setting.compose import run_with, split
from miniscale.setting.decode import InputError
from transfer.commands.progress import show_progress
from transfer.journal.load import load

STUDY_VERBS = {
    "status": ("status", "where a study stands"),
    "show": ("show", "one change in full"),
    "report": ("report", "write the report again"),
    "export": ("export", "the accepted stack as one diff and as commits"),
    "import": ("import_table", "enter runs made elsewhere, at the target too"),
    "rejudge": ("rejudge", "every verdict again, from the journal alone"),
}
"""Verb -> its module in ``transfer.commands``, and what it does; all look at one study's folder."""

OTHER_VERBS = {
    "calibrate": "noise, cost and power of a ladder here: +ladder=NAME",
    "audit": "whether a ladder can be believed: +ladder=NAME [table=RUNS.csv]",
    "record": "how our own forecasts and odds fared, over all studies: [ROOT]",
    "design": "a ladder that keeps a setting's signal: +setting=NAME trial.seconds=S",
    "bench": "policies against each other in planted worlds: [--suite A,B] [--seeds 0:16]",
}
"""Verbs that read what follows them themselves: a configuration's keys, or options."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb, rest = (words[0] if words else ""), words[1:]
    try:
        if verb in ("audit", "calibrate", "design"):
            return run_composed(verb, rest)
        if verb == "record":
            print_lines(command("record").run(rest))
        elif verb == "bench":
            print_lines(command("bench").bench(rest, show_progress()))
        else:
            arguments = parser(verb).parse_args(words)
            module = command(STUDY_VERBS[arguments.verb][0])
            print_lines(module.run(load(arguments.study), arguments))
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # a reader such as head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def command(name: str) -> Any:
    """Import a verb's module, and with it what that verb alone needs."""
    return importlib.import_module(f"transfer.commands.{name}")


def print_lines(lines: Sequence[str]) -> None:
    """Print what a command found."""
    print("\n".join(lines))


def parser(verb: str) -> argparse.ArgumentParser:
    """Return the command line's parser; the arguments of one verb are imported, no other's."""
    root = argparse.ArgumentParser(prog="python -m transfer", description=__doc__)
    everything = {**{name: words for name, (_, words) in STUDY_VERBS.items()}, **OTHER_VERBS}
    verbs = root.add_subparsers(dest="verb", required=True, metavar="|".join(everything))
    for name, words in everything.items():
        sub = verbs.add_parser(name, help=words, description=words)
        if name != verb or name not in STUDY_VERBS:
            continue
        module = command(STUDY_VERBS[name][0])
        if hasattr(module, "add_leading_arguments"):
            module.add_leading_arguments(sub)
        sub.add_argument("study", type=Path, help="the study's folder, e.g. studies/nanochat")
        if hasattr(module, "add_arguments"):
            module.add_arguments(sub)
    return root


def run_composed(verb: str, words: Sequence[str]) -> int:
    """Run a verb whose words are keys of a configuration."""
    module = command("audit" if verb == "calibrate" else verb)

    def main_(config: dict[str, Any], folders: Sequence[Path]) -> int:
        request = module.decode_request(config, folders)
        if verb == "design":
            print_lines(module.run(request, show_progress(), say))
        else:
            print_lines(getattr(module, f"run_{verb}")(request, show_progress()))
        return 0

    if verb != "design":
        return run_with(words, main_, program=f"transfer {verb}", name="audit")
    _, folders, flags = split(words)
    whole = words if flags else module.arguments(words, folders)
    return run_with(whole, main_, program="transfer design", name="design", needs_ladder=False)


def say(words: str) -> None:
    """Tell what a long command does now."""
    print(f"{words} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
