"""``python -m transfer export STUDY``: the accepted stack as the user's own files take it."""

from argparse import Namespace

import polars as pl

from miniscale.setting.decode import InputError
from miniscale.tree.workspace import Workspace
from transfer.commands.export_commits import ExportedStack, put_on_branch, rewrite, say_flags
from transfer.journal.load import Loaded, load


def run(arguments: Namespace) -> list[str]:
    """Write the stack as a diff, as mails and as a table, on a branch if asked, and say how to use.

    Raises
    ------
    InputError
        If nothing was accepted, or the branch cannot be made.
    """
    loaded = load(arguments.study)
    if not loaded.state.changes.accepted:
        raise InputError(f"study {loaded.name}: nothing was accepted yet; look with 'status'")
    workspace, setting = Workspace(loaded.folder.path), loaded.ladder.setting
    stack = rewrite(
        workspace.repository,
        workspace.first(),
        loaded.state.head,
        command=setting.command,
        prefix=workspace.prefix,
        constants=setting.constants,
    )
    out = (arguments.out or loaded.folder.path / "export").resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "stack.diff").write_text(stack.diff, errors="surrogateescape")
    (out / "stack.mbox").write_text(stack.mails, errors="surrogateescape")
    _table(loaded, stack).write_csv(out / "changes.csv")
    said = _lines(stack, str(out))
    if arguments.branch and stack.mails.strip():
        put_on_branch(setting.source, workspace.commit, arguments.branch, stack.mails)
        said.append(
            f"branch {arguments.branch} of {setting.source} has them; its checkout is as it was"
        )
    return said


def _lines(stack: ExportedStack, out: str) -> list[str]:
    said = []
    for change in stack.changes:
        became = "; ".join((*change.edits, *([say_flags(change.flags)] if change.flags else [])))
        said.append(f"{change.subject:<44} {became or 'nothing that lies in a file'}")
    if stack.mails.strip():
        said += [
            f"{out}/stack.mbox   commits with their evidence; in your repository: git am FILE",
            f"{out}/stack.diff   the same as one diff: git apply FILE",
        ]
    said.append(f"{out}/changes.csv  what each accepted change was and is worth")
    if stack.flags:
        said.append(f"flags    no file of yours holds these: {say_flags(stack.flags)}")
    return said


def _table(loaded: Loaded, stack: ExportedStack) -> pl.DataFrame:
    """Return a row for each accepted change: what it was, and what it is worth at the target."""
    by_commit = {record.commit: arm for arm, record in loaded.state.changes.accepted.items()}
    rows = []
    for change in stack.changes:
        arm = by_commit.get(change.commit, "")
        verdict = loaded.state.verdict(arm) if arm else None
        gain = verdict.gain_forecast if verdict else None
        rows.append(
            {
                "change": arm,
                "title": change.subject,
                "edits": "; ".join(change.edits),
                "flags": say_flags(change.flags),
                "verdict": str(verdict.outcome) if verdict else "",
                "gain_nats": gain.mean if gain else None,
                "low": gain.low if gain else None,
                "high": gain.high if gain else None,
                "odds": gain.odds if gain else None,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
