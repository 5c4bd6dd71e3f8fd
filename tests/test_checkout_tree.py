"""A tree is the whole checkout: what git tracks, as it lies, and patches however they were made."""

import subprocess
from pathlib import Path

import pytest
from test_workspace import git

from miniscale.setting.decode import InputError
from miniscale.tree.workspace import PatchRefused, Workspace, patch_between

FIT = "import math\n\nWIDTH = 4\nRATE = 0.1\nprint(math.sqrt(WIDTH), RATE)\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    (folder / "lib").mkdir(parents=True)
    (folder / "fit.py").write_bytes(FIT.encode())
    (folder / "lib/model.py").write_text("x = 1\n")
    (folder / "data.txt").write_text("1 2 3\n")
    return folder


def commit(folder: Path, words: str = "first") -> str:
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", words)
    return git(folder, "rev-parse", "HEAD").strip()


def whole(folder: Path, source: Path, *, ignored: tuple[str, ...] = ()) -> Workspace:
    return Workspace.create(
        folder,
        source=source,
        editable=["fit.py"],
        locked=[],
        knobs={},
        is_whole=True,
        ignored=ignored,
    )


def files(tree: Path) -> set[str]:
    names = {p.relative_to(tree).as_posix() for p in tree.rglob("*") if not p.is_dir()}
    return names - {".git", "knobs.json"}


def names_in(workspace: Workspace) -> set[str]:
    return files(workspace.checkout("b0", parent=workspace.first(), patch="", knobs={}).path)


def changed(workspace: Workspace, patch: str) -> bytes:
    tree = workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})
    return (tree.path / "fit.py").read_bytes()


def test_a_repository_gives_all_that_it_tracks_as_it_lies(tmp_path: Path, source: Path) -> None:
    head = commit(source)
    (source / "data.txt").write_text("4 5 6\n")
    (source / "notes.txt").write_text("mine\n")
    workspace = whole(tmp_path / "s", source)
    assert names_in(workspace) == {"fit.py", "lib/model.py", "data.txt"}
    assert (tmp_path / "s/trees/b0/data.txt").read_text() == "4 5 6\n"
    assert workspace.origin == f"commit {head[:12]} with 1 edited: data.txt"


def test_a_plain_folder_gives_all_but_caches_and_what_is_ignored(
    tmp_path: Path, source: Path
) -> None:
    for name in (".env", "__pycache__/fit.pyc", "env/pyvenv.cfg", "env/lib/x.py", "big/model.pt"):
        (source / name).parent.mkdir(exist_ok=True, parents=True)
        (source / name).touch()
    (source / ".gitignore").write_text("*.pt\n")
    study = source / "studies/mine"
    workspace = whole(study, source, ignored=("data.*",))
    assert names_in(workspace) == {"fit.py", "lib/model.py"}
    other = whole(tmp_path / "s", source)  # the study within is not source either
    assert names_in(other) == {"fit.py", "lib/model.py", "data.txt"}
    assert workspace.origin == ""


def test_what_is_not_editable_is_locked(tmp_path: Path, source: Path) -> None:
    workspace = whole(tmp_path / "s", source)
    patch = "--- a/lib/model.py\n+++ b/lib/model.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    with pytest.raises(PatchRefused, match=r"'lib/model.py', which is not editable"):
        workspace.checkout("c1", parent=workspace.first(), patch=patch, knobs={})


def test_links_inside_stay_links_and_others_are_refused_in_a_line(
    tmp_path: Path, source: Path
) -> None:
    (source / "current").symlink_to("lib")
    commit(source)
    workspace = whole(tmp_path / "s", source)
    assert (tmp_path / "s/trees").is_dir()
    tree = workspace.checkout("b0", parent=workspace.first(), patch="", knobs={})
    assert (tree.path / "current").is_symlink()
    assert (tree.path / "current/model.py").read_text() == "x = 1\n"
    assert b"WIDTH = 5" in changed(workspace, patch_of("WIDTH = 4", "WIDTH = 5"))
    (source / "away").symlink_to("/etc")
    commit(source, "away")
    with pytest.raises(InputError, match=r"'away' is a link to '/etc', outside of the source"):
        whole(tmp_path / "t", source)


def test_submodules_are_part_of_it_once_they_are_there(tmp_path: Path, source: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "part.py").write_text("y = 1\n")
    commit(inner)
    commit(source)
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    git(source, *add)
    commit(source, "sub")
    assert "sub/part.py" in names_in(whole(tmp_path / "s", source))
    subprocess.run(["git", "clone", "-q", source, tmp_path / "bare"], check=True)
    with pytest.raises(InputError, match=r"submodule 'sub' .* is not there; fetch it"):
        whole(tmp_path / "t", tmp_path / "bare")


def test_everything_locked_is_said_not_a_traceback(tmp_path: Path, source: Path) -> None:
    (source / "gone").symlink_to("nowhere")
    with pytest.raises(InputError, match="every editable file is locked too"):
        Workspace.create(
            tmp_path / "s", source=source, editable=["fit.py"], locked=["**/*"], knobs={}
        )


def patch_of(old: str, new: str, text: str = FIT) -> str:
    lines = text.splitlines()
    n = lines.index(old)
    body = [f" {lines[n - 1]}", f"-{old}", f"+{new}", f" {lines[n + 1]}"]
    return f"--- a/fit.py\n+++ b/fit.py\n@@ -{n},3 +{n},3 @@\n" + "\n".join(body) + "\n"


@pytest.mark.parametrize("way", ["git diff", "branch", "edit", "mailed"])
def test_line_ends_of_a_file_are_kept(tmp_path: Path, source: Path, way: str) -> None:
    crlf = FIT.replace("\n", "\r\n").encode()
    (source / "fit.py").write_bytes(crlf)
    commit(source)
    workspace = whole(tmp_path / "s", source)
    after = crlf.replace(b"WIDTH = 4", b"WIDTH = 8")
    git(source, "checkout", "-q", "-b", "idea")
    (source / "fit.py").write_bytes(after)
    diff = subprocess.run(["git", "diff"], cwd=source, capture_output=True, check=True).stdout
    commit(source, "idea")
    patches = {
        "git diff": diff.decode(),
        "branch": patch_between(source, "main", "idea"),
        "edit": patch_of("WIDTH = 4", "WIDTH = 8"),
        "mailed": diff.decode().replace("\r\n", "\n"),
    }
    assert changed(workspace, patches[way]) == after


@pytest.mark.parametrize("line", ["import math", "WIDTH = 4"])
def test_a_byte_order_mark_stays_where_it_is(tmp_path: Path, source: Path, line: str) -> None:
    (source / "fit.py").write_bytes(b"\xef\xbb\xbf" + FIT.encode())
    workspace = whole(tmp_path / "s", source)
    n = FIT.splitlines().index(line) + 1
    context = "".join(f" {text}\n" for text in FIT.splitlines()[n - 1 : n + 1])
    patch = f"--- a/fit.py\n+++ b/fit.py\n@@ -{n},2 +{n},3 @@\n+import os\n{context}"
    added = FIT.replace(line, f"import os\n{line}")
    assert changed(workspace, patch) == b"\xef\xbb\xbf" + added.encode()


def test_latin_1_stays_latin_1(tmp_path: Path, source: Path) -> None:
    text = "# coding: latin-1\nNAME = 'é'\nWIDTH = 4\nprint(NAME)\n"
    (source / "fit.py").write_bytes(text.encode("latin-1"))
    commit(source)
    workspace = whole(tmp_path / "s", source)
    patch = patch_of("WIDTH = 4", "WIDTH = 'ü'", text)
    assert changed(workspace, patch) == text.replace("4", "'ü'").encode("latin-1")
    with pytest.raises(PatchRefused, match="'€' into a file in iso-8859-1, which lacks it"):
        changed(workspace, patch_of("WIDTH = 4", "WIDTH = '€'", text))


@pytest.mark.parametrize("letters", [("i", "w"), ("c", "w"), ("c", "i"), ("o", "w"), ("1", "2")])
def test_letters_of_git_before_names_do_not_matter(
    tmp_path: Path, source: Path, letters: tuple[str, str]
) -> None:
    old, new = letters
    patch = patch_of("WIDTH = 4", "WIDTH = 8").replace("a/", f"{old}/").replace("b/", f"{new}/")
    assert b"WIDTH = 8" in changed(whole(tmp_path / "s", source), patch)


def test_a_patch_from_the_root_fits_a_source_in_a_subfolder(tmp_path: Path, source: Path) -> None:
    commit(tmp_path)
    workspace = whole(tmp_path / "s", source)
    patch = patch_of("WIDTH = 4", "WIDTH = 8").replace("/fit.py", "/lab/fit.py")
    assert b"WIDTH = 8" in changed(workspace, patch)
    other = patch.replace("lab/fit.py", "other/x.py")
    with pytest.raises(PatchRefused, match=r"'other/x.py', outside of 'lab/'.*--relative"):
        changed(workspace, patch + other)


def test_a_mailed_commit_applies_by_merging_with_the_base_that_the_user_has(
    tmp_path: Path, source: Path
) -> None:
    old = "".join(f"line {n}\n" for n in range(30))
    (source / "fit.py").write_text(old)
    commit(source)
    git(source, "checkout", "-q", "-b", "idea")
    (source / "fit.py").write_text(old.replace("line 10\n", "better\n"))
    commit(source, "an idea\n\n--- not a file\nrename from nowhere")
    mail = git(source, "format-patch", "--stdout", "-1")
    git(source, "checkout", "-q", "main")
    (source / "fit.py").write_text(old.replace("line 8\n", "moved on\n").replace("line 0\n", ""))
    commit(source, "moved on")
    workspace = whole(tmp_path / "s", source)
    tree = workspace.checkout("c1", parent=workspace.first(), patch=mail, knobs={})
    lines = (tree.path / "fit.py").read_text().splitlines()
    assert "better" in lines
    assert "moved on" in lines
    accepted = workspace.accept("c1", parent=workspace.first(), patch=mail, knobs={}, message="m")
    (source / ".git").rename(source / "away")  # the study needs the repository no more
    assert "better" in git(tmp_path / "s/repo", "show", f"{accepted}:fit.py")
