"""The box holds, each wall for itself; taking one down lets its attack through."""

import os
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from miniscale.box import (
    BoxKind,
    Walls,
    choose,
    jail,
    label,
    strongest,
    system_calls,
    try_out,
    walls,
    wrap,
)
from miniscale.box.hidden_files import resolved, seen_at
from miniscale.setting.decode import InputError
from miniscale.setting.hides import hidden_paths

ROOT = Path(__file__).parent.parent
KINDS = (BoxKind.BWRAP, BoxKind.LANDLOCK)
PYTHON = (sys.executable, "-I", "-S", "-c")
UNSHARE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), ctypes.get_errno())
"""


@cache
def missing(kind: BoxKind) -> str:
    """Say why a kind of box cannot be had here; empty if it can."""
    if kind is BoxKind.BWRAP and shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    if kind is BoxKind.LANDLOCK and not walls.landlock_abi():
        return "this kernel has no Landlock"
    found = try_out(kind)
    return "" if found.held else found.why[0]


def needs(kind: BoxKind) -> None:
    if missing(kind):
        pytest.skip(missing(kind))


def run(
    folder: Path, kind: BoxKind, code: str, *arguments: str, **walls: object
) -> "subprocess.CompletedProcess[str]":
    out = folder / "out"
    out.mkdir(exist_ok=True)
    made = Walls(read=(), write=str(out), **walls)  # type: ignore[arg-type]
    argv = wrap([*PYTHON, code, *arguments], made, kind)
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(argv, env=env, cwd=out, capture_output=True, text=True, check=False)


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_a_box_holds_against_its_own_self_test(kind: BoxKind) -> None:
    needs(kind)
    found = try_out(kind)
    assert found.is_sound, found.why
    assert found.line.startswith(label(kind))
    assert all(f"{name} ✓" in found.line for name in ("files", "net", "processes", "disk"))


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wall", "claim"),
    [
        ("read", "files"),
        ("hidden", "files"),
        ("write", "files"),
        ("net", "net"),
        ("processes", "processes"),
        ("disk", "disk"),
    ],
)
def test_a_wall_taken_down_is_missed(kind: BoxKind, wall: str, claim: str) -> None:
    needs(kind)
    assert not try_out(kind, down=frozenset([wall])).held[claim]


@pytest.mark.level2
def test_signals_stay_in_where_landlock_does_not_scope_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs(BoxKind.LANDLOCK)
    monkeypatch.setattr(walls, "landlock_abi", lambda: 1)
    found = try_out(BoxKind.LANDLOCK)
    assert found.held["processes"], found.why
    assert found.held["net"]


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_no_namespace_is_opened_inside_unless_the_filter_is_down(
    kind: BoxKind, tmp_path: Path
) -> None:
    needs(kind)
    assert run(tmp_path, kind, UNSHARE).stdout.split() == ["-1", "1"]
    down = run(tmp_path, kind, UNSHARE, down=frozenset(["calls"]))
    assert down.stdout.split() != ["-1", "1"]


@pytest.mark.skipif(
    os.uname().machine not in system_calls.MACHINES, reason="no filter is known here"
)
@pytest.mark.parametrize("is_filtered", [True, False])
def test_a_filtered_process_marks_no_file(is_filtered: bool, tmp_path: Path) -> None:
    marked = tmp_path / "file"
    marked.touch(mode=0o644)
    program = """if True:
        import os, sys
        from miniscale.box import jail, system_calls
        if sys.argv[2]:
            jail._prctl("no new privileges", 38, 1)
            jail.filter_calls(system_calls.attributes(os.uname().machine))
        os.chmod(sys.argv[1], 0o600)
        os.utime(sys.argv[1], (1, 1))
        try:
            os.setxattr(sys.argv[1], "user.note", b"x")
        except OSError as error:
            print(error.errno)
    """
    argv = [sys.executable, "-c", program, str(marked), "yes" if is_filtered else ""]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found = marked.stat()
    assert (found.st_mode & 0o777, found.st_mtime == 1) == (
        (0o644, False) if is_filtered else (0o600, True)
    )
    assert told == "1\n" or not is_filtered


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_touching_makes_a_file_and_copying_with_times_works(kind: BoxKind, tmp_path: Path) -> None:
    needs(kind)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    os.utime(outside, (1, 1))
    code = """if True:
        import contextlib, os, pathlib, shutil, subprocess, sys
        new = pathlib.Path("new")
        new.touch()
        new.touch()
        shutil.copy2(new, "copy")
        subprocess.run(["touch", "by_program", "new"], check=True)
        handle = os.open("new", os.O_RDONLY)
        os.utime(handle)
        for times in (None, (2, 2)):
            with contextlib.suppress(OSError):
                os.utime(sys.argv[1], times)
    """
    done = run(tmp_path, kind, code, str(outside))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"new", "copy", "by_program"}
    assert outside.stat().st_mtime == 1


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_cannot_hide_what_it_holds_open(kind: BoxKind, tmp_path: Path) -> None:
    needs(kind)
    code = "import ctypes; call = ctypes.CDLL(None).prctl; print(call(4, 0), call(15, b'name'))"
    assert run(tmp_path, kind, code).stdout.split() == ["-1", "0"]


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_exit_codes_and_errors_pass_through(kind: BoxKind, tmp_path: Path) -> None:
    needs(kind)
    assert run(tmp_path, kind, "import sys; sys.exit(3)").returncode == 3
    walls = Walls(read=(), write=str(tmp_path))
    argv = wrap(["no-such-program-here"], walls, kind)
    missing = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert missing.returncode == 127
    assert "cannot run 'no-such-program-here'" in missing.stderr


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_named_can_be_read_and_the_folder_written(kind: BoxKind, tmp_path: Path) -> None:
    needs(kind)
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a").write_text("data")
    (tmp_path / "heldout").write_text("no")
    code = "import os, sys; f = sys.argv[1]; print(open(f + '/train/a').read())\n"
    code += "open('kept', 'w').write('x'); os.mkdir('d'); os.symlink('kept', 'l')\n"
    code += "try: print(open(f + '/heldout').read())\nexcept OSError: print('refused')"
    done = run(tmp_path, kind, code, str(tmp_path))
    assert "train" not in done.stdout
    read = Walls(read=(str(tmp_path / "train"),), write=str(tmp_path / "out"))
    argv = wrap([*PYTHON, code, str(tmp_path)], read, kind)
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path / "out", check=False)
    assert done.stdout.split() == ["data", "refused"], done.stderr
    assert (tmp_path / "out/kept").read_text() == "x"


def packages(folder: Path) -> Path:
    """Packages with data to hide, a link to them, a link in the data to yet another file."""
    for name in ("packages/speeches/data", "packages/other", "elsewhere"):
        (folder / name).mkdir(parents=True)
    held = folder / "packages/speeches"
    for name in ("data/text", "data/kept", "code", "../other/code", "../top"):
        (held / name).write_text(name)
    (folder / "elsewhere/far").write_text("far")
    (held / "data/link").symlink_to(folder / "elsewhere/far")
    (held / "near").symlink_to("data/text")
    (folder / "alias").symlink_to("packages")
    return folder / "packages"


SAYS = """
import os, sys
for path in sys.argv[1:]:
    try:
        print(open(path).read() or 'nothing')
    except OSError:
        print('refused')
print(*sorted(os.listdir(os.path.dirname(sys.argv[1]))))
"""


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("down", [(), ("hidden",)])
def test_what_is_hidden_is_not_read_under_any_name_and_what_lies_beside_it_is(
    kind: BoxKind, down: tuple[str, ...], tmp_path: Path
) -> None:
    needs(kind)
    top, out = packages(tmp_path), tmp_path / "out"
    out.mkdir()
    walls = Walls(
        read=(str(top), str(tmp_path / "alias"), str(tmp_path / "elsewhere")),
        write=str(out),
        hidden=(f"{tmp_path}/alias/speeches/data", str(tmp_path / "absent"), f"{top}/top"),
        down=frozenset(down),
    )
    shown = ["speeches/code", "other/code"]
    kept = ["speeches/data/text", "speeches/data/link", "speeches/near", "top"]
    names = [f"{home}/{name}" for name in (*shown, *kept) for home in (top, tmp_path / "alias")]
    argv = wrap([*PYTHON, SAYS, *names, f"{tmp_path}/elsewhere/far"], walls, kind)
    told = subprocess.run(argv, cwd=out, capture_output=True, text=True, check=True).stdout
    *said, listed = told.splitlines()
    assert said[:4] == ["code", "code", "../other/code", "../other/code"]
    assert (set(said[4:]) == {"refused"}) == (not down)
    assert listed == "code data near"


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_by_name_inside_a_hidden_folder_is_shown(
    kind: BoxKind, tmp_path: Path
) -> None:
    needs(kind)
    top, out = packages(tmp_path), tmp_path / "out"
    out.mkdir()
    data = f"{top}/speeches/data"
    walls = Walls(read=(str(top), f"{data}/kept"), write=str(out), hidden=(data,))
    argv = wrap([*PYTHON, SAYS, f"{data}/kept", f"{data}/text"], walls, kind)
    told = subprocess.run(argv, cwd=out, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[:2] == ["data/kept", "refused"]


def test_a_rule_is_split_only_on_the_way_to_what_is_hidden(tmp_path: Path) -> None:
    top = packages(tmp_path)
    data = f"{top}/speeches/data"
    assert jail.around(data, [data]) == []
    assert jail.around(f"{top}/other", [data]) == [(f"{top}/other", True)]
    assert jail.around(f"{data}/kept", [data]) == [(f"{data}/kept", True)]
    assert set(jail.around(str(top), [data])) == {
        (str(top), False),
        (f"{top}/top", True),
        (f"{top}/other", True),
        (f"{top}/speeches", False),
        (f"{top}/speeches/code", True),
    }


def test_hidden_paths_are_found_under_every_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = packages(tmp_path)
    monkeypatch.syspath_prepend(str(top))
    data = f"{top}/speeches/data"
    assert data in hidden_paths("package:speeches/data")
    assert f"{ROOT}/miniscale/settings/nanochat/data" in hidden_paths(
        "package:miniscale.settings.nanochat/data"
    )
    assert "speeches" not in sys.modules
    assert not resolved(hidden_paths("package:no_such_package_here/data"))
    assert hidden_paths("/a/../b") == ("/b",)
    assert hidden_paths("~/b") == (str(Path("~/b").expanduser()),)
    found = resolved([f"{tmp_path}/alias/speeches/data", f"{data}/text"])
    assert found == (data, f"{tmp_path}/elsewhere/far")
    roots = [str(top), f"{tmp_path}/alias"]
    assert seen_at(found, roots) == [data, f"{tmp_path}/alias/speeches/data"]


@pytest.mark.level2
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_networked", [False, True])
def test_an_agents_box_has_a_network_and_the_other_walls(
    kind: BoxKind, is_networked: bool, tmp_path: Path
) -> None:
    needs(kind)
    code = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)\n"
    code += "print(s.recv(3).decode())"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0 if not is_networked else 10.0)
        port = str(server.getsockname()[1])
        out = tmp_path / "out"
        out.mkdir()
        walls = Walls(read=(), write=str(out), is_networked=is_networked)
        argv = wrap([*PYTHON, code, port], walls, kind)
        process = subprocess.Popen(argv, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if is_networked:
            with server.accept()[0] as caller:
                caller.send(b"hey")
        said, _ = process.communicate(timeout=30)
    assert said.decode().strip() == ("hey" if is_networked else "")
    assert (process.returncode == 0) == is_networked


@pytest.mark.level2
def test_processes_and_shared_memory_work_under_bubblewrap(tmp_path: Path) -> None:
    needs(BoxKind.BWRAP)
    code = "import multiprocessing as m\nwith m.Pool(2) as p: print(sum(p.map(abs, [-1, 2])))"
    assert run(tmp_path, BoxKind.BWRAP, code).stdout.strip() == "3"


@pytest.mark.level2
def test_the_box_holds_for_an_ordinary_user_too() -> None:
    python = shutil.which("python3", path="/usr/bin")
    if os.geteuid() != 0 or shutil.which("setpriv") is None or python is None:
        pytest.skip("needs root, to become somebody else with setpriv, and a system Python")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    code = "from miniscale.box import BoxKind, try_out\n"
    code += "for kind in (BoxKind.BWRAP, BoxKind.LANDLOCK): print(try_out(kind).line)"
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run(
        [*become, python, "-c", "import sys, miniscale.box; assert sys.version_info >= (3, 11)"],
        env=env, capture_output=True, check=False, cwd="/",
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("an ordinary user cannot read this checkout, or has an old Python")
    done = subprocess.run([*become, python, "-c", code], env=env, capture_output=True, cwd="/")
    lines = done.stdout.decode().splitlines()
    expected = [kind for kind in KINDS if try_out(kind).is_sound]
    assert len([line for line in lines if "disk ✓" in line and "✗" not in line]) == len(expected), (
        done.stderr
    )


def test_a_box_can_be_demanded_and_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    off = choose("off")
    assert (off.kind, off.name) == (BoxKind.PROCESS, "off")
    with pytest.raises(InputError, match="must be one of require, prefer, off"):
        choose("maybe")
    monkeypatch.setattr(sys, "platform", "darwin")
    strongest.cache_clear()
    try:
        assert choose("prefer").line.startswith("NONE holds here (darwin has no namespaces")
        with pytest.raises(InputError, match="required, and none holds here"):
            choose("require")
    finally:
        strongest.cache_clear()


def test_walls_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no wall 'gravity'; known: read"):
        Walls(read=(), write=str(tmp_path), down=frozenset(["gravity"]))
    with pytest.raises(ValueError, match="absolute folder"):
        Walls(read=(), write="here")
    assert wrap(["a", "b"], Walls(read=(), write="/x"), BoxKind.PROCESS) == ["a", "b"]
