"""The trusted side of a model's process: start it, ask it, end it; believe nothing it says."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from miniscale.box import BoxKind, Walls, wrap
from miniscale.evaluate import model_channel
from miniscale.evaluate.heldout_text import Ints, Logits
from miniscale.evaluate.refusal import ModelError, TamperedError
from miniscale.run.worker import HIDDEN_VARIABLE, PASSED_ON

ROOT = Path(__file__).absolute().parent.parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class HostTerms:
    """What a model is and how it is asked."""

    tree: Path
    framework: str = "torch"
    companion: str = ""
    """Module of ours with ``tune_cpu(threads)`` and ``counted_flops(run)``."""
    device: str = "cpu"
    threads: int = 1
    rows: int = 8
    """Windows a request: logits of more would leave the cache."""
    context: int = 128
    vocabulary: int = 1024
    box: str = "process"
    """What the process runs in, one of :class:`miniscale.box.BoxKind`."""
    patience_s: float = 120.0
    """For one answer, the first of which waits for the model to load."""

    @property
    def tokens(self) -> int:
        """Tokens a request at most."""
        return self.rows * self.context

    @property
    def logits(self) -> int:
        """Logits an answer at most; a model may pad its vocabulary."""
        return self.tokens * (2 * self.vocabulary + 128)


class Host:
    """The boxed process, in which one instance of the model lives at a time.

    Parameters
    ----------
    folder
        Where it may write; empty, and removed by the caller.
    outside
        Environment of which an allow-list is passed on.
    """

    def __init__(self, terms: HostTerms, *, folder: Path, outside: Mapping[str, str]) -> None:
        self.terms = terms
        self._instance: Instance | None = None
        self._contents: list[int] = []
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = start_boxed(
                _command(terms, theirs.fileno()),
                reads=(terms.tree,),
                folder=folder,
                box=terms.box,
                outside=outside,
                gpus=int(terms.device == "cuda"),
                handles=(theirs.fileno(),),
            )

    def hold(self, *, weights: bytes, config: bytes) -> None:
        """Give all instances from now on these."""
        self._release()
        self._contents = [model_channel.filled_memory(part) for part in (weights, config)]

    def fresh(self) -> "Instance":
        """End the instance there is and start another, which knows nothing of it.

        Raises
        ------
        ModelError
            If the process ended.
        """
        self.stop()
        requests, ours = os.pipe()
        answers, theirs = os.pipe()
        memory = model_channel.blank_memory(8 * self.terms.tokens + 4 * self.terms.logits)
        given = [requests, theirs, memory, *self._contents]
        shared = model_channel.SharedMemory(
            os.dup(memory), tokens=self.terms.tokens, logits=self.terms.logits
        )
        self._instance = Instance(self.terms, ours, answers, shared)
        try:
            socket.send_fds(self._control, [model_channel.START], given)
        except OSError as error:
            raise _ended(error) from None
        finally:
            for handle in (requests, theirs, memory):
                os.close(handle)
        return self._instance

    def stop(self) -> float:
        """End the instance with all it started; return their CPU-seconds."""
        if self._instance is None:
            return 0.0
        self._instance.close()
        self._instance = None
        until = time.monotonic() + self.terms.patience_s
        try:
            self._control.sendall(model_channel.STOP)
            frame = model_channel.read_frame(
                self._control.fileno(), model_channel.ENDED.size, until=until
            )
        except TimeoutError:
            frame = b""
        except OSError as error:
            raise _ended(error) from None
        if len(frame) < model_channel.ENDED.size:
            raise ModelError("the model's process does not end what it started")
        seconds: float = model_channel.ENDED.unpack(frame)[1]
        return seconds

    def close(self) -> None:
        """End everything."""
        if self._instance is not None:
            self._instance.close()
        self._control.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._release()

    def _release(self) -> None:
        for handle in self._contents:
            os.close(handle)
        self._contents = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Instance:
    """One loaded model; what it answers is copied before it is looked at.

    Parameters
    ----------
    requests, answers
        Ends of the pipes of frames; closed with the instance.
    shared
        Memory of tokens and logits, which the model's process writes too.
    """

    def __init__(
        self, terms: HostTerms, requests: int, answers: int, shared: model_channel.SharedMemory
    ) -> None:
        self._terms = terms
        self._requests, self._answers = requests, answers
        self._shared = shared
        self._tokens = np.frombuffer(shared.tokens, np.int64)
        self._logits = np.frombuffer(shared.logits, np.float32)
        self._number = 0
        self._width = 0
        self.asked_tokens = 0
        self._is_loaded = False

    def load(self) -> None:
        """Wait until the model is loaded.

        Raises
        ------
        TamperedError
            If its weights do not fit its code.
        ModelError
            If it ends or is silent.
        """
        what = self._answer()[0]
        if what == model_channel.MISFIT:
            raise TamperedError("weights: they do not fit the code")
        if what != model_channel.READY:
            raise TamperedError(f"shape: answered {what!r} for being ready")
        self._is_loaded = True

    def ask(self, tokens: Ints) -> Logits:
        """Logits (rows, time, vocabulary) of tokens (rows, time)."""
        return self._ask(tokens, model_channel.ASK)[0]

    def cost(self, tokens: Ints) -> tuple[Logits, int]:
        """Logits, and the FLOPs of making them as counted beside the model."""
        return self._ask(tokens, model_channel.COST)

    def close(self) -> None:
        """Hang up."""
        os.close(self._requests)
        os.close(self._answers)

    def _ask(self, tokens: Ints, what: bytes) -> tuple[Logits, int]:
        if not self._is_loaded:
            self.load()
        rows, time_ = tokens.shape
        self._tokens[: tokens.size] = tokens.ravel()
        self._number += 1
        self.asked_tokens += tokens.size
        asked = (what, self._number, rows, time_)
        try:
            os.write(self._requests, model_channel.REQUEST.pack(*asked))
        except BrokenPipeError:
            raise ModelError("the model's process ended") from None
        *echo, width, flops = self._answer()
        self._check_shape(asked, tuple(echo), width)
        logits = self._logits[: rows * time_ * width].copy()
        return logits.reshape(rows, time_, width), flops

    def _check_shape(self, asked: tuple[object, ...], echo: tuple[object, ...], width: int) -> None:
        fits = self._terms.tokens * width <= self._terms.logits
        is_same = self._width in (0, width)
        if echo != asked or width < self._terms.vocabulary or not fits or not is_same:
            raise TamperedError(
                f"shape: asked {asked[2:]}, answered {(*echo[2:], width)}; a vocabulary of"
                f" {self._terms.vocabulary} may be padded, and is the same in every answer"
            )
        self._width = width

    def _answer(self) -> tuple[bytes, int, int, int, int, int]:
        until = time.monotonic() + self._terms.patience_s
        try:
            frame = model_channel.read_frame(self._answers, model_channel.ANSWER.size, until=until)
        except TimeoutError:
            limit = self._terms.patience_s
            raise ModelError(f"the model gave no answer within patience_s={limit:g}") from None
        if len(frame) < model_channel.ANSWER.size:
            raise ModelError("the model's process ended")
        what, number, rows, time_, width, flops = model_channel.ANSWER.unpack(frame)
        return what, number, rows, time_, width, flops


def _ended(error: OSError) -> ModelError:
    return ModelError(f"the model's process ended ({error.strerror})")


def start_boxed(
    argv: Sequence[str],
    *,
    reads: Sequence[Path],
    folder: Path,
    box: str,
    outside: Mapping[str, str],
    gpus: int = 0,
    handles: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a program of ours that runs a trial's code: no network, no held-out data, no keys.

    Parameters
    ----------
    argv
        Python file and its options.
    reads
        What it may read beside the system, the interpreter and our package.
    folder
        The one place where it may write, and where it runs.
    outside
        Environment: it names what the box must not show, and an allow-list of it is passed on.
    """
    walls = Walls(
        tuple(map(str, reads)),
        str(folder),
        gpus=gpus,
        listed=(str(ROOT),),
        hidden=tuple(json.loads(outside.get(HIDDEN_VARIABLE, "[]"))),
    )
    return subprocess.Popen(
        wrap([sys.executable, "-I", *argv], walls, BoxKind(box)),
        stdin=subprocess.DEVNULL,
        pass_fds=handles,
        cwd=folder,
        env=_environment(outside, folder),
    )


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """An empty folder in a trial's own, removed afterwards whatever was left in it."""
    folder = Path(tempfile.mkdtemp(prefix=".evaluate-", dir=out.absolute()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(outside: Mapping[str, str], folder: Path) -> dict[str, str]:
    env = {name: outside[name] for name in (*PASSED_ON, *THREADS) if name in outside}
    return {**env, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _command(terms: HostTerms, control: int) -> list[str]:
    options = {
        "root": ROOT, "control": control, "tree": terms.tree, "framework": terms.framework,
        "companion": terms.companion, "device": terms.device, "threads": terms.threads,
        "tokens": terms.tokens, "logits": terms.logits, "box": terms.box,
    }  # fmt: skip
    program = str(Path(__file__).parent / "model_child.py")
    return [program, *(f"--{k}={v}" for k, v in options.items())]
