"""Export: accepted changes reach a look-alike of the user's repository and run there."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from miniscale.setting.decode import InputError
from miniscale.tree.knob_places import edit_place, find_place
from miniscale.tree.workspace import Workspace
from transfer.commands.export_commits import ExportedStack, put_on_branch, rewrite

CONFIG_STYLE = """\
import sys

# defaults, which a config file and --name=value override
learning_rate = 6e-4  # peak
compile = True
block_size = 64
bias = -1.5
for argument in sys.argv[1:]:
    name, _, value = argument.partition("=")
    globals()[name.lstrip("-")] = type(globals()[name.lstrip("-")])(value)
print(learning_rate, compile, block_size, bias)
"""
OPTIONS_STYLE = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, default=0.02, help="peak")
parser.add_argument("--compile", default=True, type=bool)
parser.add_argument("--block-size", default=64, type=int)
parser.add_argument("--bias", default=-1.5, type=float)
learning_rate = 7
a = parser.parse_args()
print(a.learning_rate, a.compile, a.block_size, a.bias)
"""
FIELDS_STYLE = """\
from dataclasses import dataclass


@dataclass
class Config:
    learning_rate: float = 0.02
    compile: bool = True
    block_size: int = 64
    bias: float = -1.5


c = Config()
print(c.learning_rate, c.compile, c.block_size, c.bias)
"""
STYLES = {"constants": CONFIG_STYLE, "options": OPTIONS_STYLE, "fields": FIELDS_STYLE}
KNOBS = {"learning_rate": 6e-4, "compile": True, "block_size": 64, "bias": -1.5, "unheard": 1}
PATCH = "--- a/lib/model.py\n+++ b/lib/model.py\n@@ -1 +1 @@\n-ACT = 'relu'\n+ACT = 'gelu'\n"


def run(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
    argv = ["git", *identity, *words[1:]] if words[0] == "git" else list(words)
    done = subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path, script: str) -> Path:
    """Return a look-alike of somebody's repository."""
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text(script)
    (folder / "lib" / "model.py").write_text("ACT = 'relu'\n")
    run(folder, "git", "init", "-qb", "main")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "-qm", "first")
    return folder


def accepted(source: Path, study: Path) -> tuple[Workspace, str]:
    """Return a study's workspace after three accepts: a knob, a patch with knobs, one unheard."""
    workspace = Workspace.create(study, source=source, editable=["lib/*.py"], locked=[],
                                 knobs=KNOBS, is_whole=True)  # fmt: skip
    head = workspace.first()
    for arm, patch, knobs in (
        ("c1", "", {"learning_rate": 1.2e-3}),
        ("c2", PATCH, {"compile": False, "block_size": 128, "bias": 2.0}),
        ("c3", "", {"unheard": 7}),
    ):
        head = workspace.accept(arm, parent=head, patch=patch, knobs=knobs,
                                message=f"Change {arm}\n\nWhy.\n\nChange: {arm}\n")  # fmt: skip
    return workspace, head


def exported(
    source: Path, study: Path, constants: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> tuple[Workspace, ExportedStack]:
    workspace, head = accepted(source, study)
    stack = rewrite(
        workspace.repository,
        workspace.first(),
        head,
        command=["{python}", "train.py", "{knobs}"],
        prefix=workspace.prefix,
        constants=constants,
    )
    return workspace, stack


@pytest.mark.parametrize("style", STYLES)
def test_git_am_takes_the_stack_and_the_program_runs_with_its_values(
    style: str, tmp_path: Path
) -> None:
    source = repository(tmp_path / "theirs", STYLES[style])
    _, stack = exported(source, tmp_path / "study")
    (tmp_path / "stack.mbox").write_text(stack.mails)
    run(source, "git", "am", "-q", str(tmp_path / "stack.mbox"))
    assert run(source, sys.executable, "train.py") == "0.0012 False 128 2.0"
    assert (source / "lib" / "model.py").read_text() == "ACT = 'gelu'\n"
    assert not (source / "knobs.json").exists()
    assert run(source, "git", "log", "--format=%s") == "Change c2\nChange c1\nfirst"
    assert "# peak" in (source / "train.py").read_text() or style != "constants"


def test_the_diff_applies_too_and_what_no_file_holds_is_a_flag(tmp_path: Path) -> None:
    source = repository(tmp_path / "theirs", CONFIG_STYLE)
    _, stack = exported(source, tmp_path / "study")
    (tmp_path / "stack.diff").write_text(stack.diff)
    run(source, "git", "apply", str(tmp_path / "stack.diff"))
    assert run(source, sys.executable, "train.py") == "0.0012 False 128 2.0"
    assert stack.flags == {"unheard": 7}
    assert stack.changes[0].edits == ("train.py: learning_rate 6e-4 → 0.0012 (a constant)",)
    assert stack.changes[1].edits[0] == "lib/model.py: as its patch"


def test_a_knob_set_as_a_constant_is_exported_there(tmp_path: Path) -> None:
    source = repository(
        tmp_path / "theirs", "class C:\n    peak = 3 * 2  # of all\nprint(C.peak)\n"
    )
    _, stack = exported(source, tmp_path / "study", {"train.py": {"C.peak": "{block_size}"}})
    assert "train.py: C.peak 3 * 2 → 128 (a constant)" in stack.changes[1].edits
    assert "+    peak = 128  # of all" in stack.diff
    assert stack.flags.keys() == {"learning_rate", "compile", "bias", "unheard"}


@pytest.mark.parametrize("is_constant", [True, False])
def test_a_knob_beside_a_later_patch_is_exported_too(is_constant: bool, tmp_path: Path) -> None:
    source = repository(tmp_path / "theirs", "lr = 0.1\nact = 'relu'\nprint(lr, act)\n")
    workspace = Workspace.create(tmp_path / "study", source=source, editable=["*.py"],
                                 locked=[], knobs={"lr": 0.1}, is_whole=True)  # fmt: skip
    patch = (
        "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n lr = 0.1\n"
        "-act = 'relu'\n+act = 'gelu'\n print(lr, act)\n"
    )
    head = workspace.first()
    for arm, text, knobs in (("c1", "", {"lr": 0.2}), ("c2", patch, {})):
        head = workspace.accept(arm, parent=head, patch=text, knobs=knobs,
                                message=f"Change {arm}\n\nWhy.\n")  # fmt: skip
    constants = {"train.py": {"lr": "{lr}"}} if is_constant else {}
    stack = rewrite(workspace.repository, workspace.first(), head, command=["{python}", "train.py"],
                    prefix=workspace.prefix, constants=constants)  # fmt: skip
    (tmp_path / "stack.mbox").write_text(stack.mails)
    run(source, "git", "am", "-q", str(tmp_path / "stack.mbox"))
    assert run(source, sys.executable, "train.py") == "0.2 gelu"
    assert [change.subject for change in stack.changes] == ["Change c1", "Change c2"]
    assert "train.py: lr 0.1 → 0.2" in stack.changes[0].edits[0]
    assert "Set the knobs" in run(source, "git", "log", "-1", "--format=%s")


def test_a_branch_leaves_the_checkout_as_it_was(tmp_path: Path) -> None:
    source = repository(tmp_path / "theirs", CONFIG_STYLE)
    workspace, stack = exported(source, tmp_path / "study")
    (source / "train.py").write_text("being edited")
    before = run(source, "git", "status", "--porcelain"), run(source, "git", "rev-parse", "HEAD")
    put_on_branch(source, workspace.commit, "better", stack.mails)
    assert before == (run(source, "git", "status", "--porcelain"),
                      run(source, "git", "rev-parse", "HEAD"))  # fmt: skip
    assert "learning_rate = 0.0012  # peak" in run(source, "git", "show", "better:train.py")
    assert run(source, "git", "worktree", "list").count("\n") == 0
    with pytest.raises(InputError, match="has that branch; name another"):
        put_on_branch(source, workspace.commit, "better", stack.mails)


def test_a_source_within_a_repository_is_exported_from_its_root(tmp_path: Path) -> None:
    source = repository(tmp_path / "mono" / "app", CONFIG_STYLE)
    root = tmp_path / "mono"
    (source / ".git").rename(root / ".git")
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "-qm", "move")
    workspace, stack = exported(source, tmp_path / "study")
    put_on_branch(source, workspace.commit, "better", stack.mails)
    run(root, "git", "checkout", "-q", "better")
    assert run(source, sys.executable, "train.py") == "0.0012 False 128 2.0"


def test_a_folder_that_is_no_repository_gets_mails_but_no_branch(tmp_path: Path) -> None:
    source = repository(tmp_path / "theirs", CONFIG_STYLE)
    run(source, "rm", "-rf", ".git")
    workspace, stack = exported(source, tmp_path / "study")
    assert "learning_rate = 0.0012" in stack.mails
    with pytest.raises(InputError, match="in no git repository"):
        put_on_branch(source, workspace.commit, "better", stack.mails)


def place_of(folder: Path, files: dict[str, str], command: list[str], knob: str) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    place = find_place(folder, command, knob)
    if place is None:
        return "nowhere"
    edit_place(folder, place, 0.5)
    return f"{place.file}: {(folder / place.file).read_text()}"


def test_a_config_file_named_after_the_script_is_what_counts(tmp_path: Path) -> None:
    files = {"train.py": "lr = 1.0\n", "config/small.py": "lr = 2.0\n"}
    assert place_of(tmp_path, files, ["python", "train.py", "config/small.py"], "lr") == (
        "config/small.py: lr = 0.5\n"
    )


@pytest.mark.parametrize(
    "command", [["python", "train.py"], ["python", "train.py", "--config=conf/config.yaml"]]
)
def test_a_yaml_key_is_edited_with_its_comment_kept(command: list[str], tmp_path: Path) -> None:
    script = "import hydra\n\n\n@hydra.main(config_path='conf', config_name='config')\n"
    files = {"train.py": f"{script}def main(c):\n    pass\n",
             "conf/config.yaml": "optim:\n  lr: 0.1  # peak\nlr: 9\n"}  # fmt: skip
    assert place_of(tmp_path, files, command, "optim.lr") == (
        "conf/config.yaml: optim:\n  lr: 0.5  # peak\nlr: 9\n"
    )


def test_a_module_of_the_command_is_searched(tmp_path: Path) -> None:
    files = {"scripts/base_train.py": "p.add_argument('--matrix-lr', type=float, default=0.02)\n"}
    said = place_of(tmp_path, files, ["python", "-m", "scripts.base_train"], "matrix_lr")
    assert "default=0.5)" in said


@pytest.mark.parametrize(
    "script",
    ["lr = 0.1\nlr = 0.2\n", "lr = 4 * 3\n", "# -*- coding: latin-1 -*-\nlr = f(0.1)\n", "lr ==\n"],
)
def test_what_is_no_one_literal_is_left_to_a_flag(script: str, tmp_path: Path) -> None:
    assert place_of(tmp_path, {"train.py": script}, ["python", "train.py"], "lr") == "nowhere"


def test_places_are_found_behind_letters_of_two_bytes_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffé = 'ä'; lr = 0.1  # ü\n"
    assert place_of(tmp_path, {"train.py": text}, ["train.py"], "lr").endswith(
        "é = 'ä'; lr = 0.5  # ü\n"
    )
