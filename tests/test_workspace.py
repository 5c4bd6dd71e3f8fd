"""A study's repository: patches apply in whole or are refused, and a kill leaves no damage."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from miniscale.tree.workspace import PatchRefused, Workspace, patch_between

TRAIN = "".join(f"line {n}\n" for n in range(1, 21))
KNOBS = {"lr": 0.02, "qk_norm": True}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=me", "-c", "user.email=me@localhost"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def patch_of(number: int, text: str, *, file: str = "train.py") -> str:
    """Write a patch that replaces one line of twenty, with a line of context on each side."""
    lines = [f" line {number - 1}", f"-line {number}", f"+{text}", f" line {number + 1}"]
    head = f"--- a/{file}\n+++ b/{file}\n@@ -{number - 1},3 +{number - 1},3 @@\n"
    return head + "\n".join(lines) + "\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "lib/model.py").write_text(TRAIN)
    (folder / "tokens.py").write_text("locked\n")
    (folder / "private.txt").write_text("not copied\n")
    return folder


def make(folder: Path, source: Path) -> Workspace:
    return Workspace.create(
        folder,
        source=source,
        editable=["train.py", "lib/*.py"],
        locked=["tokens.py"],
        knobs=KNOBS,
    )


@pytest.fixture
def workspace(tmp_path: Path, source: Path) -> Workspace:
    return make(tmp_path / "mine", source)


def test_only_editable_and_locked_files_are_copied(workspace: Workspace) -> None:
    tree = workspace.checkout("b0", parent=workspace.first(), patch="", knobs={})
    names = {p.relative_to(tree.path).as_posix() for p in tree.path.rglob("*") if p.is_file()}
    assert names == {".git", "train.py", "lib/model.py", "tokens.py", "knobs.json"}
    assert tree.knobs == KNOBS


def test_hashes_depend_on_content_alone(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[commit]\n\tgpgSign = true\n[core]\n\tautocrlf = true\n\thooksPath = /x\n")
    first = make(tmp_path / "one/mine", source)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    second = make(tmp_path / "two/mine", source)
    assert first.first() == second.first() == first.head()
    trees = [w.checkout("b0", parent=w.first(), patch="", knobs={}) for w in (first, second)]
    assert trees[0].digest == trees[1].digest


def test_a_patch_and_knobs_land_in_the_tree(workspace: Workspace) -> None:
    base = workspace.checkout("b0", parent=workspace.first(), patch="", knobs={})
    tree = workspace.checkout(
        "c1", parent=workspace.first(), patch=patch_of(5, "gelu"), knobs={"lr": 0.01}
    )
    assert "gelu" in (tree.path / "train.py").read_text()
    assert json.loads((tree.path / "knobs.json").read_text()) == {"lr": 0.01, "qk_norm": True}
    assert tree.knobs["lr"] == 0.01
    assert tree.digest != base.digest
    assert "gelu" not in (base.path / "train.py").read_text()


@pytest.mark.parametrize("crlf", [False, True])
def test_line_ends_prefixes_and_the_last_newline_do_not_matter(
    workspace: Workspace, crlf: bool
) -> None:
    patch = patch_of(5, "gelu").replace("a/", "").replace("b/", "").rstrip("\n")
    patch = patch.replace("\n", "\r\n") if crlf else patch
    tree = workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})
    assert (tree.path / "train.py").read_text() == TRAIN.replace("line 5\n", "gelu\n")


def test_a_new_file_within_an_editable_pattern_is_welcome(workspace: Workspace) -> None:
    patch = "--- /dev/null\n+++ b/lib/muon.py\n@@ -0,0 +1 @@\n+new\n"
    tree = workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})
    assert (tree.path / "lib/muon.py").read_text() == "new\n"


NEW = "--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+new\n"
REFUSED = {
    "locked": (patch_of(5, "x", file="tokens.py"), "'tokens.py', which is locked"),
    "new": (NEW.format(name="extra.py"), "'extra.py', which is not editable"),
    "knobs": (NEW.format(name="knobs.json"), "'knobs.json', which is not editable"),
    "up": (patch_of(5, "x", file="../../train.py"), "leads out of the tree"),
    "absolute": ("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", "leads out"),
    "git": (NEW.format(name=".git/hooks/x"), "leads out of the tree"),
    "link": (
        "diff --git a/lib/x.py b/lib/x.py\nnew file mode 120000\n" + NEW.format(name="lib/x.py"),
        "makes a link or program",
    ),
    "mode": (
        "diff --git a/train.py b/train.py\nold mode 100644\nnew mode 100755\n",
        "changes a file's mode",
    ),
    "binary": (
        "diff --git a/train.py b/train.py\nindex 1..2 100644\nGIT binary patch\nliteral 0\n",
        "is binary",
    ),
    "rename": (
        "diff --git a/train.py b/lib/x.py\nsimilarity index 100%\n"
        "rename from train.py\nrename to lib/x.py\n",
        "renames a file",
    ),
    "delete": (
        "--- a/train.py\n+++ /dev/null\n@@ -1,20 +0,0 @@\n"
        + "".join(f"-line {n}\n" for n in range(1, 21)),
        "deletes a file",
    ),
    "empty delete": (
        "diff --git a/train.py b/train.py\ndeleted file mode 100644\nindex 1..0\n",
        "deletes a file",
    ),
    "git in capitals": (NEW.format(name="lib/.GIT/x.py"), "leads out of the tree"),
    "attributes": (NEW.format(name="lib/.gitattributes"), "leads out of the tree"),
    "a dot at the end": (NEW.format(name="lib/x.py."), "read as another file"),
    "quoted up": (
        '--- /dev/null\n+++ "b/\\056\\056/x.py"\n@@ -0,0 +1 @@\n+new\n',
        "leads out of the tree",
    ),
    "capitals": (NEW.format(name="lib/Model.py"), "beside 'lib/model.py'"),
    "link changed": (
        "diff --git a/train.py b/train.py\nindex 1111111..2222222 120000\n" + patch_of(5, "x"),
        "changes a link",
    ),
    "submodule": (
        "diff --git a/lib/x.py b/lib/x.py\nnew file mode 160000\n" + NEW.format(name="lib/x.py"),
        "makes a link or program",
    ),
    "program": (
        "diff --git a/lib/x.py b/lib/x.py\nnew file mode 100755\n" + NEW.format(name="lib/x.py"),
        "makes a link or program",
    ),
    "enormous": (patch_of(5, "x" * 1_000_001), "more than 1000000"),
    "zero byte": (patch_of(5, "x\0y"), "holds '\\x00'"),
    "byte order mark": (patch_of(5, "x\ufeff"), "holds '\\ufeff'"),
    "escape": (patch_of(5, "\x1b[2Jx"), "holds '\\x1b'"),
    "right to left": (patch_of(5, "x = 1 \u202e # "), "holds '\\u202e'"),
    "not utf-8": (patch_of(5, "\udcff"), "is not UTF-8"),
    "many files": (
        "".join(NEW.format(name=f"lib/x{n}.py") for n in range(101)),
        "touches 101 files, more than 100",
    ),
    "elsewhere": (patch_of(5, "x").replace("line 4", "line 99"), "does not apply"),
    "half": (patch_of(5, "x") + patch_of(9, "y").replace("line 8", "no"), "does not apply"),
    "prose": ("I would use GELU here.", "no '--- FILE'"),
    "torn": ("--- a/train.py\n+++ b/train.py\n@@ -4,3 +4,3 @@\n line 4\n", "does not apply"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_patch_is_refused_with_its_reason_and_leaves_no_tree(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    patch, reason = REFUSED[name]
    with pytest.raises(PatchRefused) as caught:
        workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})
    assert reason in str(caught.value)
    assert not (tmp_path / "mine/trees/c1").exists()


def test_what_hides_from_our_reading_is_found_in_the_tree(workspace: Workspace) -> None:
    """An empty new file has a header that names it in one place only."""
    patch = "diff --git a/sly.py b/sly.py\nnew file mode 100644\nindex 0000000..e69de29\n"
    with pytest.raises(PatchRefused, match=r"makes 'sly.py'"):
        workspace.checkout("c1", parent=workspace.first(), patch=patch_of(5, "x") + patch, knobs={})


def test_an_unknown_knob_is_refused(workspace: Workspace) -> None:
    with pytest.raises(PatchRefused, match="'rl': none of lr, qk_norm"):
        workspace.checkout("c1", parent=workspace.first(), patch="", knobs={"rl": 1})


def test_an_existing_tree_is_used_again_until_it_is_altered(workspace: Workspace) -> None:
    first = workspace.first()
    tree = workspace.checkout("c1", parent=first, patch=patch_of(5, "x"), knobs={})
    inode = os.stat(tree.path).st_ino
    assert workspace.checkout("c1", parent=first, patch=patch_of(5, "x"), knobs={}) == tree
    assert os.stat(tree.path).st_ino == inode
    (tree.path / "train.py").write_text("altered")
    assert workspace.checkout("c1", parent=first, patch=patch_of(5, "x"), knobs={}) == tree
    assert "line 1\n" in (tree.path / "train.py").read_text()
    other = workspace.checkout("c1", parent=first, patch=patch_of(6, "x"), knobs={})
    assert other.digest != tree.digest


def accepted(workspace: Workspace) -> str:
    return workspace.accept(
        "c1",
        parent=workspace.first(),
        patch=patch_of(5, "gelu"),
        knobs={"lr": 0.01},
        message="Use GELU\n\nIt helps.\n\nChange: c1\n",
    )


def test_accept_commits_on_the_studys_branch(workspace: Workspace, tmp_path: Path) -> None:
    commit = accepted(workspace)
    assert commit == workspace.head() != workspace.first()
    trees = (
        workspace.checkout(c, parent=c, patch="", knobs={}) for c in (commit, workspace.first())
    )
    assert [tree.knobs for tree in trees] == [{"lr": 0.01, "qk_norm": True}, KNOBS]
    assert "+gelu" in workspace.diff(workspace.first(), commit)
    assert git(workspace.repository, "log", "-1", "--format=%s", commit) == "Use GELU\n"
    assert git(tmp_path / "mine/repo", "log", "-1", "--format=%(trailers:key=Change)") != "\n"
    tree = workspace.checkout("b1", parent=commit, patch="", knobs={})
    assert "gelu" in (tree.path / "train.py").read_text()


def test_accepting_again_after_a_kill_gives_the_same_commit(
    workspace: Workspace, tmp_path: Path
) -> None:
    commit = accepted(workspace)
    repo = tmp_path / "mine/repo"
    (repo / "train.py").write_text("half written")
    (repo / "lib/new.py").write_text("left over")
    (repo / ".git/index.lock").touch()
    again = Workspace(tmp_path / "mine")
    assert accepted(again) == commit
    assert git(repo, "status", "--porcelain") == ""


def test_a_second_acceptance_builds_on_the_first(workspace: Workspace) -> None:
    head = accepted(workspace)
    second = workspace.accept(
        "c2", parent=head, patch=patch_of(15, "swiglu"), knobs={}, message="Second"
    )
    diff = workspace.diff(workspace.first(), second)
    assert "+gelu" in diff
    assert "+swiglu" in diff


def test_what_conflicts_or_changes_nothing_is_not_accepted(workspace: Workspace) -> None:
    head = accepted(workspace)
    with pytest.raises(PatchRefused, match="does not apply"):
        workspace.accept("c2", parent=head, patch=patch_of(5, "relu"), knobs={}, message="No")
    with pytest.raises(PatchRefused, match="changes nothing"):
        workspace.accept("c3", parent=head, patch="", knobs={"lr": 0.01}, message="No")
    assert workspace.head() == head


def test_a_patch_whose_context_moved_is_merged(workspace: Workspace, source: Path) -> None:
    head = accepted(workspace)
    git(source, "init", "-q")
    git(source, "add", "train.py")
    (source / "train.py").write_text(TRAIN.replace("line 7\n", "near\n"))
    patch = git(source, "diff", "--full-index")
    tree = workspace.checkout("c2", parent=head, patch=patch, knobs={})
    text = (tree.path / "train.py").read_text()
    assert "gelu" in text
    assert "near" in text


def test_stale_locks_and_half_made_trees_are_mended(workspace: Workspace, tmp_path: Path) -> None:
    tree = workspace.checkout("c1", parent=workspace.first(), patch="", knobs={})
    inside = tmp_path / "mine/repo/.git"
    (inside / "index.lock").touch()
    (inside / "refs/heads/study/mine.lock").touch()
    (inside / "worktrees/c1/index.lock").touch()
    (inside / "worktrees/c1/locked").write_text("initializing")
    (tree.path / "train.py").unlink()
    again = Workspace(tmp_path / "mine")
    assert again.checkout("c1", parent=again.first(), patch="", knobs={}) == tree
    accepted(again)


def test_a_repository_half_made_is_made_again(tmp_path: Path, source: Path) -> None:
    (tmp_path / "mine/repo.new/.git").mkdir(parents=True)
    (tmp_path / "mine/repo.new/.git/index.lock").touch()
    workspace = make(tmp_path / "mine", source)
    assert make(tmp_path / "mine", source).first() == workspace.first()


def test_kill_nine_at_any_moment_is_survived(tmp_path: Path, source: Path) -> None:
    code = dedent(f"""
        from pathlib import Path
        from miniscale.tree.workspace import Workspace
        w = Workspace.create(Path({str(tmp_path / "mine")!r}), source=Path({str(source)!r}),
            editable=["train.py", "lib/*.py"], locked=["tokens.py"], knobs={KNOBS!r})
        for n in range(100):
            w.checkout(f"c{{n % 3}}", parent=w.first(), patch="", knobs={{"lr": float(n)}})
            w.accept("c", parent=w.first(), patch="", knobs={{"lr": float(n)}}, message="m")
    """)
    expected = make(tmp_path / "other/mine", source)
    for wait_s in (0.12, 0.17, 0.21, 0.26):
        process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        workspace = make(tmp_path / "mine", source)
        assert workspace.first() == expected.first()
        for arm in ("c0", "c1"):
            tree = workspace.checkout(arm, parent=workspace.first(), patch="", knobs={})
            assert tree.knobs == KNOBS
        assert accepted(workspace) == accepted(expected)


@pytest.mark.parametrize(
    ("editable", "said"), [(["trian.py"], "no file 'trian.py'"), (["link.py"], "is a link")]
)
def test_files_that_cannot_be_copied_are_said(
    tmp_path: Path, source: Path, editable: list[str], said: str
) -> None:
    (source / "link.py").symlink_to("train.py")
    with pytest.raises(ValueError, match=said):
        Workspace.create(tmp_path / "x", source=source, editable=editable, locked=[], knobs={})
    assert not (tmp_path / "x").exists()


def test_a_users_branch_becomes_a_patch_for_the_settings_folder(
    workspace: Workspace, tmp_path: Path
) -> None:
    repo = tmp_path / "theirs"
    (repo / "nested").mkdir(parents=True)
    (repo / "nested/train.py").write_text(TRAIN)
    git(repo, "init", "-q", "--initial-branch=main")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "one")
    git(repo, "checkout", "-q", "-b", "idea")
    (repo / "nested/train.py").write_text(TRAIN.replace("line 5\n", "gelu\n"))
    (repo / "outside.txt").write_text("not in the folder")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "two")
    patch = patch_between(repo, "main", "idea", "nested")
    assert "outside" not in patch
    tree = workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})
    assert "gelu" in (tree.path / "train.py").read_text()
    with pytest.raises(ValueError, match="name a branch that is in it"):
        patch_between(repo, "main", "no-such", "nested")
