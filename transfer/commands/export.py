"""``python -m transfer export STUDY``: the accepted stack as one diff and as commits."""

from argparse import Namespace

from miniscale.setting.decode import InputError
from miniscale.tree.workspace import Workspace
from transfer.journal.load import load


def run(arguments: Namespace) -> list[str]:
    """Write both forms and say how each is applied.

    Raises
    ------
    InputError
        If nothing was accepted.
    """
    loaded = load(arguments.study)
    if not loaded.state.changes.accepted:
        raise InputError(f"study {loaded.name}: nothing was accepted yet; look with 'status'")
    workspace = Workspace(loaded.folder.path)
    first, head = workspace.first(), loaded.state.head
    out = (arguments.out or loaded.folder.path / "export").resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "stack.diff").write_text(workspace.diff(first, head))
    (out / "stack.mbox").write_text(workspace.commits(first, head))
    n = len(loaded.state.changes.accepted)
    return [
        f"{out / 'stack.diff'}   {n} accepted change(s) as one diff: git apply stack.diff",
        f"{out / 'stack.mbox'}   the same as commits with their evidence: git am stack.mbox",
    ]
