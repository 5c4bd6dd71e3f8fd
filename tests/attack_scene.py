"""Where attacks are run: a study with bait, the real worker, and a look at what came of it."""

import ast
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from oracle import ROOT
from safetensors.numpy import save_file
from tiny_trials import processes_with

from miniscale.box import BoxReport
from miniscale.run.runner.local import LocalRunner
from miniscale.run.worker import BOX_VARIABLE, TRAINER_CPU
from miniscale.setting.hides import hidden_paths
from miniscale.setting.trial import MetricSource, TrialResult, TrialSpec, TrialState

ATTACKS = ROOT / "tests" / "attacks"
NOT_ATTACKS = ("toy", "weakened")
VOCABULARY, CONTEXT = 32, 32
SECRET = "secret-5f3a"
BYSTANDER = "bystander-of-the-attacks"
TIMEOUT_S = 6.0
_SPLITS = {"train": 4000, "val": 6401, "sealed": 6401}


@dataclass(frozen=True)
class Attack:
    """What an attack file declares, read without running it."""

    name: str
    tries: str
    defence: str
    state: TrialState
    down: tuple[str, ...]
    """Walls that are open for it, where it shows the next line of defence."""

    @staticmethod
    def read(path: Path) -> "Attack":
        tree = ast.parse(path.read_text())
        said = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in ("DEFENCE", "STATE", "DOWN")
        }
        doc = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        state = TrialState(said["STATE"])
        return Attack(path.stem, doc, said["DEFENCE"], state, said.get("DOWN", ()))


def attacks() -> list[Attack]:
    """Every attack, by name."""
    return [Attack.read(p) for p in sorted(ATTACKS.glob("*.py")) if p.stem not in NOT_ATTACKS]


@dataclass(frozen=True)
class Outcome:
    """How an attack ended, and what it did that it should not have been able to do."""

    state: TrialState
    value: float | None
    reason: str
    harm: tuple[str, ...] = ()
    result: TrialResult | None = None

    def is_let_through(self, attack: Attack, honest: float) -> bool:
        """Whether this is not what the attack declares: another state, harm, a better score."""
        is_better = self.value is not None and self.value < honest - 1e-6
        return self.state is not attack.state or bool(self.harm) or is_better


@dataclass
class Scene:
    """A study's folder, with what attacks are after."""

    top: Path
    port: int = 0
    calls: list[bytes] = field(default_factory=list)
    bystander: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        digests = {}
        for folder in ("cache/train", "cache/heldout", "trials/other", "trees/b0", "home/.ssh"):
            (self.top / folder).mkdir(parents=True)
        for name, size in _SPLITS.items():
            steps = np.where(rng.random(size) < 0.6, 7, rng.integers(0, VOCABULARY, size))
            blob = (np.cumsum(steps) % VOCABULARY).astype("<u2").tobytes()
            folder = "train" if name == "train" else "heldout"
            (self.top / "cache" / folder / f"{name}.bin").write_bytes(blob)
            digests[name] = hashlib.sha256(blob).hexdigest()
        held = self.top / "cache" / "heldout"
        (held / "token_bytes.bin").write_bytes(np.full(VOCABULARY, 2, "<u2").tobytes())
        (held / "meta.json").write_text(json.dumps({"vocabulary": VOCABULARY, "digests": digests}))
        (held / "key.txt").write_text(SECRET)
        better = np.log(np.eye(VOCABULARY, dtype=np.float32) * 20 + 0.4)
        save_file({"table": np.roll(better, 7, 1)}, self.top / "trials/other/model.safetensors")
        for name in ("journal.jsonl", "trials/other/result.json", "trees/b0/train.py"):
            (self.top / name).write_text("as it was\n")
        (self.top / "home/.ssh/id_ed25519").write_text(SECRET)

    def tree(self, name: str) -> Path:
        """The checkout of an attack: itself as ``train.py``, beside the locked companion."""
        tree = self.top / "trees" / name
        if not tree.exists():
            tree.mkdir()
            shutil.copy(ATTACKS / f"{name}.py", tree / "train.py")
            shutil.copy(ATTACKS / "toy.py", tree)
            (tree / "data").mkdir()
            shutil.copy(self.top / "cache/heldout/val.bin", tree / "data" / "source.bin")
        return tree

    def spec(self, attack: Attack) -> TrialSpec:
        """The trial of an attack."""
        tree, out = self.tree(attack.name), self.top / "trials" / attack.name
        toy = hashlib.sha256((ATTACKS / "toy.py").read_bytes()).hexdigest()
        return TrialSpec(
            identity=attack.name,
            arm="c1",
            rung="tiny",
            seed=0,
            trainer=(sys.executable, "train.py", f"--data={self.top}/cache/train", f"--out={out}",
                     f"--port={self.port}"),
            evaluator=(sys.executable, "-m", "miniscale.evaluate", *self.asked(tree, out)),
            tree=str(tree),
            out=str(out),
            reading=MetricSource(file="evaluation.json", key="val_bpb"),
            locked={"toy.py": toy},
            env={"PYTHONPATH": str(ROOT), "HOME": str(self.top / "home")},
            timeout_s=TIMEOUT_S if attack.state is TrialState.TIMED_OUT else 300.0,
            memory_gb=0.5,
            disk_gb=0.03,
            processes=40,
            reads=(f"{self.top}/cache/train",),
            hides=(*hidden_paths("package:miniscale.settings.nanochat/data"), f"{tree}/data"),
            walls_down=attack.down,
        )  # fmt: skip

    def asked(self, tree: Path, out: Path) -> tuple[str, ...]:
        """Arguments of the evaluator."""
        data = self.top / "cache" / "heldout"
        where = (f"--code={tree}", f"--data={data}", f"--out={out}")
        return (*where, "--framework=numpy", f"--context={CONTEXT}", "--patience_s=200")

    def run(self, attack: Attack, *, box: BoxReport, **other: Any) -> Outcome:
        """Run an attack as a study would, fields of its spec replaced, and see what it did."""
        spec = replace(self.spec(attack), **other)
        shutil.rmtree(spec.out, ignore_errors=True)
        before = self.untouchable()
        with LocalRunner(1, box=box) as runner:
            runner.submit([spec])
            while not (results := runner.poll(5.0)):
                pass
        found = results[0]
        now = self.untouchable()
        harm = [f"changed {n}" for n in now if before.get(n) != now[n] and not attack.down]
        harm += self._traces(attack, Path(spec.out), found.reason)
        return Outcome(found.state, found.value, found.reason, tuple(harm), found)

    def run_alone(self, attack: Attack) -> Outcome:
        """Run the trainer as any program, with no worker around it, for a while."""
        tree, out = self.tree(attack.name), self.top / "trials" / f"{attack.name}-alone"
        out.mkdir()
        argv = [sys.executable, "train.py", f"--data={self.top}/cache/train", f"--out={out}"]
        state = TrialState.COMPLETE
        with (out / "log.txt").open("wb") as log:
            program = subprocess.Popen(argv, cwd=tree, stdout=log, stderr=log)
            with suppress(subprocess.TimeoutExpired):
                state = TrialState.FAILED if program.wait(TIMEOUT_S + 1) else TrialState.COMPLETE
            shown = (out / "log.txt").read_bytes()[-5000:].decode(errors="replace")
            harm = tuple(self._traces(attack, out, shown))
            program.kill()
            program.wait()
        return Outcome(state, None, shown, harm)

    def train_and_judge(self, attack: Attack, *, without: str, kind: str) -> Outcome:
        """Run trainer and evaluator with neither worker nor box, one check of it left out."""
        tree, out = self.tree(attack.name), self.top / "trials" / f"{attack.name}-{without}"
        out.mkdir()
        env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(self.top / "home")}
        trainer = [sys.executable, "train.py", f"--data={self.top}/cache/train", f"--out={out}"]
        subprocess.run(trainer, cwd=tree, env=env, check=True, capture_output=True)
        judge = [sys.executable, str(ATTACKS / "weakened.py"), without, *self.asked(tree, out)]
        done = subprocess.run(
            judge, env={**env, BOX_VARIABLE: kind, TRAINER_CPU: "0.3"},
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        states = {0: TrialState.COMPLETE, 4: TrialState.TAMPERED, 5: TrialState.OVER_BUDGET}
        found = {}
        with suppress(OSError, ValueError):
            found = json.loads((out / "evaluation.json").read_text())
        state = states.get(done.returncode, TrialState.FAILED)
        return Outcome(state, found.get("val_bpb"), f"{found} {done.stderr[-2000:]}")

    def untouchable(self) -> dict[str, str]:
        """Content of all that no trial may change."""
        folders = [self.top / name for name in ("cache", "home", "trials/other", "trees")]
        paths = [p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file()]
        kept = [p for p in [*paths, self.top / "journal.jsonl"] if "__pycache__" not in p.parts]
        return {
            str(p.relative_to(self.top)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept
        }

    def _traces(self, attack: Attack, out: Path, shown: str) -> Iterator[str]:
        """What an attack got hold of, left running, reached or showed."""
        with suppress(FileNotFoundError):
            yield f"took {(out / 'loot').read_bytes()[:60]!r}"
        for pid in {*processes_with(f"mark-of-{attack.name}"), *processes_with(f"--out={out}")}:
            yield f"left process {pid} running"
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.calls:
            yield f"reached the network: {self.calls.pop()!r}"
        if any(ord(c) < 32 and c not in "\n\t" for c in shown):
            yield "control characters where a person or a model reads"
        with suppress(FileNotFoundError):
            if (out / "log.txt").stat().st_size > 10_100_000:
                yield "a log beyond its cap"
        if self.bystander is not None and self.bystander.poll() is not None:
            yield "killed a bystander"
            self.bystander = None


@contextmanager
def listening(scene: Scene) -> Iterator[None]:
    """Listen on this machine for what an attack sends home."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        scene.port = server.getsockname()[1]
        sleep = "import time; time.sleep(1000)"
        scene.bystander = subprocess.Popen([sys.executable, "-c", sleep, BYSTANDER])

        def listen() -> None:
            while True:
                with suppress(OSError):
                    caller, _ = server.accept()
                    with caller:
                        word = caller.recv(100)
                    if word == b"stop":
                        return
                    scene.calls.append(word)

        thread = threading.Thread(target=listen)
        thread.start()
        yield
        with socket.create_connection(("127.0.0.1", scene.port)) as stopper:
            stopper.sendall(b"stop")
        thread.join()
        if scene.bystander is not None:
            scene.bystander.kill()
            scene.bystander.wait()


def honest_score(scene: Scene) -> float:
    """What the honest trainer scores, made without any of our code."""
    text = np.fromfile(scene.top / "cache/train/train.bin", "<u2").astype(int)
    table = np.full((VOCABULARY, VOCABULARY), 0.5)
    np.add.at(table, (text[:-1], text[1:]), 1.0)
    held = np.fromfile(scene.top / "cache/heldout/val.bin", "<u2").astype(int)
    chance = (table / table.sum(1, keepdims=True))[held[:-1], held[1:]]
    return float(-np.log2(chance).mean() / 2)
