"""``python -m transfer VERB …``: a ladder's quality, a study's results, how our words fared."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miniscale.setting.compose import run_with
from miniscale.setting.decode import InputError, nearest
from transfer.journal.load import Loaded, load


def show_status(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Print where the study stands."""
    from transfer.report.text import status

    print("\n".join(status(loaded)))


def show_change(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Print one change in full."""
    from transfer.report.text import show

    if arguments.id not in loaded.state.changes:
        raise InputError(
            f"change '{arguments.id}': not in study {loaded.name}; "
            f"{nearest(arguments.id, loaded.state.changes)}"
        )
    print("\n".join(show(loaded, arguments.id)))


def make_report(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Write the report again from the journal."""
    from transfer.report.tables import write_results_tsv
    from transfer.report.write import write_report

    write_results_tsv(loaded.ladder, loaded.state, loaded.folder.path / "results.tsv")
    root = loaded.folder.path.parent
    write_report(loaded.ladder, loaded.state, loaded.folder.report, audits=root)
    print(loaded.folder.report / "index.html")


def export(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Write the accepted stack as one diff and as commits."""
    from miniscale.tree.workspace import Workspace

    if not loaded.state.accepted:
        raise InputError(f"study {loaded.name}: nothing was accepted yet; look with 'status'")
    workspace = Workspace(loaded.folder.path)
    first, head = workspace.first(), loaded.state.head
    out = (arguments.out or loaded.folder.path / "export").resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "stack.diff").write_text(workspace.diff(first, head))
    (out / "stack.mbox").write_text(workspace.commits(first, head))
    n = len(loaded.state.accepted)
    print(f"{out / 'stack.diff'}   {n} accepted change(s) as one diff: git apply stack.diff")
    print(f"{out / 'stack.mbox'}   the same as commits with their evidence: git am stack.mbox")


def take_in(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Enter runs made elsewhere into a study."""
    from transfer.study.import_runs import take

    print("\n".join(take(loaded, arguments.table, clock=time.time)))


STUDY_VERBS: dict[str, tuple[Callable[[Loaded, argparse.Namespace], None], str]] = {
    "status": (show_status, "where a study stands"),
    "show": (show_change, "one change in full"),
    "report": (make_report, "write the report again"),
    "export": (export, "the accepted stack as one diff and as commits"),
    "import": (take_in, "enter runs made elsewhere, at the target too"),
}
"""Verbs that look at one study's folder."""


def audit(config: dict[str, Any], folders: Sequence[Path]) -> int:
    """Audit a ladder by known changes."""
    from transfer.commands.audit import decode_request, run_audit

    print("\n".join(run_audit(decode_request(config, folders), _progress())))
    return 0


def calibrate(config: dict[str, Any], folders: Sequence[Path]) -> int:
    """Measure what a ladder resolves on this machine."""
    from transfer.commands.audit import decode_request, run_calibrate

    print("\n".join(run_calibrate(decode_request(config, folders), _progress())))
    return 0


def _progress() -> Callable[[int, int, str], None]:
    """Return what shows how far trials have come: a bar at a terminal, else a line now and then."""
    from transfer.commands.audit import bar

    is_terminal = sys.stderr.isatty()
    begun = last = time.monotonic()
    shown = 0

    def tell(done: int, n: int, words: str) -> None:
        nonlocal begun, last, shown
        if done <= shown:
            begun = last  # another batch, which began where the last one ended
        last, shown = time.monotonic(), done
        text = bar(done, n, words, spent=last - begun)
        if is_terminal:
            end = "\n" if done == n else ""
            print(f"\r\x1b[K{text[:110]}", end=end, file=sys.stderr, flush=True)
        elif done == n or done % max(1, n // 10) == 0:
            print(text, file=sys.stderr, flush=True)

    return tell


COMPOSED_VERBS: dict[str, tuple[Callable[[dict[str, Any], Sequence[Path]], int], str]] = {
    "calibrate": (calibrate, "noise, cost and power of a ladder here: +ladder=NAME"),
    "audit": (audit, "whether a ladder can be believed: +ladder=NAME [table=RUNS.csv]"),
}
"""Verbs that compose a configuration, named as the file in conf/ that they begin with (audit)."""


def record(argv: Sequence[str]) -> int:
    """Print how this framework's own words fared over all studies under a folder."""
    from transfer.report.track_record import lines, survey_root

    root = argparse.ArgumentParser(prog="python -m transfer record", description=record.__doc__)
    root.add_argument("root", type=Path, nargs="?", default=Path("studies"))
    print("\n".join(lines(survey_root(root.parse_args(argv).root))))
    return 0


def bench(argv: Sequence[str]) -> int:
    """Play policies against each other in worlds with planted truth."""
    from transfer.commands.bench import bench as played

    print("\n".join(played(argv, _progress())))
    return 0


def design(argv: Sequence[str]) -> int:
    """Find the ladder of small sizes that decides as an expensive setting does."""
    from miniscale.setting.compose import split
    from transfer.commands.design import arguments, decode_request, run

    def main_(config: dict[str, Any], folders: Sequence[Path]) -> int:
        def say(words: str) -> None:
            print(f"{words} …", file=sys.stderr, flush=True)

        print("\n".join(run(decode_request(config, folders), _progress(), say)))
        return 0

    _, folders, flags = split(argv)
    whole = argv if flags else arguments(argv, folders)
    return run_with(whole, main_, program="transfer design", name="design", needs_ladder=False)


PLAIN_VERBS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "record": (record, "how our own forecasts and odds fared, over all studies: [ROOT]"),
    "design": (design, "a ladder that keeps a setting's signal: +setting=NAME trial.seconds=S"),
    "bench": (bench, "policies against each other in planted worlds: [--suite A,B] [--seeds 0:16]"),
}
"""Verbs that read their own arguments."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(prog="python -m transfer", description=__doc__)
    everything = {**STUDY_VERBS, **COMPOSED_VERBS, **PLAIN_VERBS}
    verbs = found.add_subparsers(dest="verb", required=True, metavar="|".join(everything))
    for verb, (_, words) in everything.items():
        sub = verbs.add_parser(verb, help=words, description=words)
        if verb not in STUDY_VERBS:
            continue
        if verb == "show":
            sub.add_argument("id", help="the change, e.g. c17")
        sub.add_argument("study", type=Path, help="the study's folder, e.g. studies/nanochat")
        if verb == "export":
            sub.add_argument("--out", type=Path, help="folder to write to (default: STUDY/export)")
        if verb == "import":
            sub.add_argument("table", type=Path, help="arm, scale or rung, seed and loss by row")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb, rest = (words[0] if words else ""), words[1:]
    try:
        if verb in COMPOSED_VERBS:
            program = f"transfer {verb}"
            return run_with(rest, COMPOSED_VERBS[verb][0], program=program, name="audit")
        if verb in PLAIN_VERBS:
            return PLAIN_VERBS[verb][0](rest)
        arguments = parser().parse_args(words)
        STUDY_VERBS[arguments.verb][0](load(arguments.study), arguments)
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # a reader such as head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
