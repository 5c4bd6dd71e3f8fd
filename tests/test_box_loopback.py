"""What real trainers need of a box: each other over 127.0.0.1, shared memory, a shared folder."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from miniscale.box import BoxKind, Walls, strongest, wrap
from miniscale.box.walls import has_loopback, own_namespaces

KIND = strongest().kind
TALK = """
import socket, threading
listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: listening.accept()[0].sendall(b"heard")).start()
with socket.create_connection(listening.getsockname(), 5) as talking:
    print(talking.recv(5).decode())
"""
OUTSIDE = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
    print("reached")
except OSError as error:
    print("not reached")
"""
LOCKS = """
import multiprocessing as mp
def work(lock, box):
    with lock:
        box.value += 1
if __name__ == "__main__":
    context = mp.get_context("fork")
    lock, box = context.Lock(), context.Value("i", 0, lock=False)
    children = [context.Process(target=work, args=(lock, box)) for _ in range(2)]
    [child.start() for child in children]
    [child.join() for child in children]
    print(box.value)
"""


def said(code: str, out: Path, *arguments: str, shared: str = "") -> str:
    out.mkdir(exist_ok=True)
    walls = Walls(read=(), write=str(out), shared=shared, memory_gb=0.1)
    (out / "program.py").write_text(dedent(code))
    argv = [sys.executable, str(out / "program.py"), *arguments]
    done = subprocess.run(
        wrap(argv, walls, KIND), cwd=out, capture_output=True, text=True, timeout=60, env={}
    )
    return done.stdout.strip() or done.stderr.strip()


needs_box = pytest.mark.skipif(KIND is BoxKind.PROCESS, reason="no box holds here")
needs_loopback = pytest.mark.skipif(not has_loopback(KIND), reason="no namespace of its own here")


@needs_loopback
def test_programs_in_a_box_reach_each_other_and_nothing_outside(tmp_path: Path) -> None:
    import socket

    assert said(TALK, tmp_path / "a") == "heard"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        assert said(OUTSIDE, tmp_path / "b", port) == "not reached"
    assert "loopback ✓" in strongest().line


def test_a_box_without_loopback_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if KIND is not BoxKind.LANDLOCK:
        pytest.skip("only Landlock may lack it")
    monkeypatch.setattr("miniscale.box.walls.own_namespaces", lambda: ())
    assert "loopback ✗: not allowed here, torchrun cannot start" in strongest().line


@pytest.mark.skipif(
    KIND is BoxKind.LANDLOCK and "shm" not in own_namespaces(), reason="no /dev/shm of its own"
)
@needs_box
def test_worker_processes_can_lock(tmp_path: Path) -> None:
    assert said(LOCKS, tmp_path / "a") == "2"


@needs_box
def test_a_shared_folder_can_be_written_and_others_not(tmp_path: Path) -> None:
    shared, other = tmp_path / "shared", tmp_path / "other"
    shared.mkdir()
    other.mkdir()
    write = "import sys; open(sys.argv[1] + '/x', 'w').write('1'); print('written')"
    assert said(write, tmp_path / "a", str(shared), shared=str(shared)) == "written"
    assert "Error" in said(write, tmp_path / "b", str(other), shared=str(shared))


@needs_box
def test_a_box_shows_the_cards_that_gloo_looks_for(tmp_path: Path) -> None:
    """``torch.distributed`` starts by reading the class of every PCI device."""
    cards = Path("/sys/bus/pci/devices")
    if not cards.is_dir():
        pytest.skip("no PCI here")
    look = "import pathlib, sys; print(len([(p / 'class').read_text() for p in "
    look += "pathlib.Path(sys.argv[1]).iterdir()]))"
    assert said(look, tmp_path / "a", str(cards)) == str(len(list(cards.iterdir())))
