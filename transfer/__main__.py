"""``python -m transfer VERB …``: a ladder's quality, a study's results, how our words fared."""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniscale.plain_output import use_plain_output
from miniscale.setting.compose import run_with, split
from miniscale.setting.decode import InputError
from transfer.commands.progress import show_progress

POLICIES = "greedy,ttest,halving,confirm,powerlaw,trend,atoms,oracle"
BENCH_WORDS = """\
  suites      A B Drift Adverse Redundant
  families    coefficients broken surface repetition repetition-unmatched null rich slots dearer
  variations  suite B with another generator's assumptions
  policies    a name of conf/policy with changed keys, or your own module:Class
  seeds       anything may be tuned on 0:1000; 1000 and above are for reports alone

  python -m transfer bench --suite A,B --policy "greedy,ttest seeds=6,lab:Mine" --seeds 0:16
"""


@dataclass(frozen=True)
class Verb:
    """A word after ``python -m transfer``; the module's ``run`` returns the lines to print."""

    module: str
    """In ``transfer.commands``; imported when the verb is typed."""
    about: str
    arguments: Mapping[str, Mapping[str, Any]]
    """Argument -> what argparse is told of it, in the order typed."""
    epilog: str = ""


STUDY: Mapping[str, Mapping[str, Any]] = {
    "study": {"type": Path, "help": "the study's folder, e.g. studies/nanochat"}
}
VERBS: Mapping[str, Verb] = {
    "status": Verb("status", "where a study stands", STUDY),
    "show": Verb("show", "one change in full", {"id": {"help": "the change, e.g. c17"}, **STUDY}),
    "confirm": Verb(
        "confirm_change",
        "vouch for the numbers of a suspicious change: STUDY c7",
        {
            **STUDY,
            "id": {"help": "the change, e.g. c7"},
            "--why": {"help": "what was looked at, for the record"},
        },
    ),
    "report": Verb("report", "write the report again", STUDY),
    "export": Verb(
        "export",
        "the accepted stack as edits of your own files: commits, a diff, a table, a branch",
        {
            **STUDY,
            "--out": {"type": Path, "help": "folder to write to (default: STUDY/export)"},
            "--branch": {"help": "put the commits on this new branch of the source's repository"},
        },
    ),
    "import": Verb(
        "import_table",
        "enter runs made elsewhere, at the target too",
        {
            **STUDY,
            "table": {"type": Path, "help": "arm, scale or rung, seed and loss by row"},
        },
    ),
    "rejudge": Verb(
        "rejudge",
        "every verdict again, from the journal alone",
        {**STUDY, "--policy": {"help": "another policy, by name (default: the study's own)"}},
    ),
    "record": Verb(
        "record",
        "how our own forecasts and odds fared, over all studies: [ROOT]",
        {"root": {"type": Path, "nargs": "?", "default": Path("studies")}},
    ),
    "bench": Verb(
        "bench",
        "policies against each other in planted worlds: [--suite A,B] [--seeds 0:16]",
        {
            "--suite": {
                "default": "A",
                "help": "suites and groups with commas, or all (default: A)",
            },
            "--policy": {
                "default": POLICIES,
                "help": "policies with commas (default: all of ours)",
            },
            "--seeds": {"default": "0:16", "help": "block of worlds, FIRST:END (default: 0:16)"},
            "--jobs": {"type": int, "default": 1, "help": "processes side by side (default: 1)"},
            "--store": {"type": Path, "help": "JSON lines to resume from and append to"},
            "--json": {"type": Path, "help": "write the scoreboard as JSON"},
            "--markdown": {"type": Path, "help": "write the scoreboard as a Markdown table"},
        },
        BENCH_WORDS,
    ),
}

COMPOSED_VERBS: Mapping[str, str] = {
    "calibrate": "noise, cost and power of a ladder here: +ladder=NAME",
    "audit": "whether a ladder can be believed: +ladder=NAME [table=RUNS.csv]",
    "design": "a ladder that keeps a setting's signal: +setting=NAME trial.seconds=S",
}
"""Verbs that are followed by keys of a configuration, and what they do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    use_plain_output()
    words = list(sys.argv[1:] if argv is None else argv)
    verb, rest = (words[0] if words else ""), words[1:]
    try:
        if verb == "design":
            return run_design(rest)
        if verb in COMPOSED_VERBS:
            return run_audit(verb, rest)
        arguments = make_parser().parse_args(words)
        command = importlib.import_module(f"transfer.commands.{VERBS[arguments.verb].module}")
        print_lines(command.run(arguments))
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # a reader such as head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def print_lines(lines: Sequence[str]) -> None:
    """Print what a command has to say."""
    print("\n".join(lines))


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    root = argparse.ArgumentParser(prog="python -m transfer", description=__doc__)
    plain = argparse.RawDescriptionHelpFormatter
    verbs = root.add_subparsers(
        dest="verb", required=True, metavar="|".join([*VERBS, *COMPOSED_VERBS])
    )
    for name, verb in VERBS.items():
        sub = verbs.add_parser(
            name, help=verb.about, description=verb.about, epilog=verb.epilog, formatter_class=plain
        )
        for argument, options in verb.arguments.items():
            sub.add_argument(argument, **options)
    for name, about in COMPOSED_VERBS.items():
        verbs.add_parser(name, help=about, description=about)
    return root


def run_audit(verb: str, words: Sequence[str]) -> int:
    """Run ``audit`` or ``calibrate``."""
    from transfer.commands import audit

    def run(config: dict[str, Any], folders: Sequence[Path]) -> int:
        action = audit.run_audit if verb == "audit" else audit.run_calibrate
        print_lines(action(audit.decode_request(config, folders), show_progress()))
        return 0

    return run_with(words, run, program=f"transfer {verb}", name="audit")


def run_design(words: Sequence[str]) -> int:
    """Run ``design``, whose setting takes the place of a ladder."""
    from transfer.commands import design

    def run(config: dict[str, Any], folders: Sequence[Path]) -> int:
        print_lines(design.run(design.decode_request(config, folders), show_progress(), say))
        return 0

    _, folders, flags = split(words)
    completed = words if flags else design.arguments(words, folders)
    return run_with(completed, run, program="transfer design", name="design", needs_ladder=False)


def say(words: str) -> None:
    """Tell what a long command does now."""
    print(f"{words} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
