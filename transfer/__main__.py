"""``python -m transfer status|show|report|export STUDY``: look at a study, take its results."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from miniscale.decode import InputError, nearest
from transfer.load import Loaded, load


def show_status(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Print where the study stands."""
    from transfer.words import status

    print("\n".join(status(loaded)))


def show_change(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Print one change in full."""
    from transfer.words import show

    if arguments.id not in loaded.state.changes:
        raise InputError(
            f"change '{arguments.id}': not in study {loaded.name}; "
            f"{nearest(arguments.id, loaded.state.changes)}"
        )
    print("\n".join(show(loaded, arguments.id)))


def make_report(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Write the report again from the journal."""
    from transfer.report import write_report
    from transfer.tables import write_results_tsv

    write_results_tsv(loaded.ladder, loaded.state, loaded.folder.path / "results.tsv")
    write_report(loaded.ladder, loaded.state, loaded.folder.report)
    print(loaded.folder.report / "index.html")


def export(loaded: Loaded, arguments: argparse.Namespace) -> None:
    """Write the accepted stack as one diff and as commits."""
    from miniscale.workspace import Workspace

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


VERBS: dict[str, tuple[Callable[[Loaded, argparse.Namespace], None], str]] = {
    "status": (show_status, "where a study stands"),
    "show": (show_change, "one change in full"),
    "report": (make_report, "write the report again"),
    "export": (export, "the accepted stack as one diff and as commits"),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(prog="python -m transfer", description=__doc__)
    verbs = found.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))
    for verb, (_, words) in VERBS.items():
        sub = verbs.add_parser(verb, help=words, description=words)
        if verb == "show":
            sub.add_argument("id", help="the change, e.g. c17")
        sub.add_argument("study", type=Path, help="the study's folder, e.g. studies/nanochat")
        if verb == "export":
            sub.add_argument("--out", type=Path, help="folder to write to (default: STUDY/export)")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        VERBS[arguments.verb][0](load(arguments.study), arguments)
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # a reader such as head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
