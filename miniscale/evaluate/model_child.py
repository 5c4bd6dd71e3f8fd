"""The process that runs a model's own code, in a box: tokens in, logits out, nothing else.

It is started as a program, imports the framework once, and forks an instance whenever the parent
asks for one: each loads the tree's code for itself and is ended, with all it started, before the
next begins. What an instance says is never believed; the parent judges the logits.

``python model_child.py --root=… --control=FD --tree=TREE --framework=torch|numpy``. The tree's
``train.build(config)`` returns a torch module, or for numpy ``train.build(config, weights)`` a
function from (rows, time) int64 to (rows, time, vocabulary) float32.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniscale.evaluate.model_channel import SharedMemory

Answer = tuple[tuple[int, ...], Callable[[], object]]
"""Shape of logits, and what puts them into the shared memory."""
Model = Callable[[int, int, "SharedMemory"], Answer]
"""From rows, time and the memory that holds the tokens."""
_PR_SET_DUMPABLE = 4


def main(argv: list[str]) -> int:
    """Serve the parent until it hangs up."""
    options = dict(part[2:].split("=", 1) for part in argv)
    sys.path.insert(0, options["root"])
    from miniscale.evaluate import model_channel
    from miniscale.process import process_tree

    os.dup2(2, 1)
    control = socket.socket(fileno=int(options["control"]))
    process_tree.inherit_orphans()
    _dumpable(False)  # no instance may look into this process
    if options["framework"] == "torch":
        import safetensors.torch
        import torch  # noqa: F401
    else:
        import safetensors.numpy  # noqa: F401
    own = ""
    while True:
        message, handles, _, _ = socket.recv_fds(control, 1, 5)
        if message == model_channel.START and len(handles) == 5:
            own = tempfile.mkdtemp()
            if not os.fork():
                control.close()
                _instance(options, handles, own)
            for handle in handles:
                os.close(handle)
        elif message == model_channel.STOP:
            control.sendall(model_channel.ENDED.pack(*_end_instance()))
            shutil.rmtree(own, ignore_errors=True)
            if os.path.lexists(own):
                return 1  # it would tell the next instance something
        else:
            _end_instance()
            return 0


def _dumpable(value: bool) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(value), 0, 0, 0)


def _end_instance() -> tuple[int, float]:
    """Kill all descendants; return the first exit code that is not 0, and their CPU-seconds."""
    from miniscale.process import process_tree

    code, seconds = 0, 0.0
    while True:
        process_tree.send(process_tree.descendants(os.getpid()), signal.SIGKILL)
        try:
            _, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return code, seconds
        code = code or os.waitstatus_to_exitcode(status)
        seconds += usage.ru_utime + usage.ru_stime


def _set_apart(own: str, *, is_boxed: bool) -> None:
    """Leave this instance nothing to write to but its folder, and nobody to signal or talk to."""
    from miniscale.box import jail, system_calls

    os.environ["TMPDIR"] = tempfile.tempdir = own
    os.chdir(own)
    abi = jail.landlock_abi() if is_boxed else 0
    if abi:
        rules = [("read", "/"), ("device", "/dev"), ("write", own)]
        jail.restrict_files(rules, scoped=3, abi=abi)
        marks = system_calls.attributes(os.uname().machine)
        if marks:  # or one instance leaves its successor notes in a folder's attributes
            jail.filter_calls(marks)


def _instance(options: dict[str, str], handles: list[int], own: str) -> None:
    """Load the model and answer; never returns."""
    from miniscale.evaluate import model_channel

    code = 1
    try:
        _dumpable(True)
        _set_apart(own, is_boxed=options["box"] != "process")
        sizes = [int(options[name]) for name in ("tokens", "logits")]
        requests, answers, memory, weights, config = handles
        shared = model_channel.SharedMemory(memory, tokens=sizes[0], logits=sizes[1])
        contents = [model_channel.whole_file(handle) for handle in (weights, config)]
        os.close(weights)
        os.close(config)
        sys.path.insert(0, options["tree"])
        load = _torch_model if options["framework"] == "torch" else _numpy_model
        try:
            model = load(options, contents[0], json.loads(contents[1]))
        except _MisfitError as error:
            sys.stderr.write(f"weights do not fit the code: {error}\n")
            os.write(answers, model_channel.ANSWER.pack(model_channel.MISFIT, 0, 0, 0, 0, 0))
        else:
            os.write(answers, model_channel.ANSWER.pack(model_channel.READY, 0, 0, 0, 0, 0))
            _serve(model, _counter(options), requests, answers, shared)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


class _MisfitError(ValueError):
    """Weights that the model's code does not know, or lacks."""


def _serve(
    model: Model,
    counted: Callable[[Callable[[], object]], int] | None,
    requests: int,
    answers: int,
    shared: SharedMemory,
) -> None:
    from miniscale.evaluate import model_channel

    size = model_channel.REQUEST.size
    while len(frame := model_channel.read_frame(requests, size)) == size:
        what, number, rows, time = model_channel.REQUEST.unpack(frame)
        shapes: list[tuple[int, ...]] = []
        flops = 0
        if what == model_channel.COST and counted:
            flops = counted(partial(_answer, model, rows, time, shared, shapes))
        else:
            _answer(model, rows, time, shared, shapes)
        if len(shapes[0]) == 3:
            os.write(answers, model_channel.ANSWER.pack(what, number, *shapes[0], flops))
        else:
            os.write(answers, model_channel.ANSWER.pack(model_channel.SHAPE, number, 0, 0, 0, 0))


def _answer(
    model: Model, rows: int, time: int, shared: SharedMemory, shapes: list[tuple[int, ...]]
) -> None:
    shape, put = model(rows, time, shared)
    if math.prod(shape) <= shared.capacity:
        put()
    shapes.append(shape)


def _counter(options: dict[str, str]) -> Callable[[Callable[[], object]], int] | None:
    if not options.get("companion"):
        return None
    counted: Callable[[Callable[[], object]], int]
    counted = importlib.import_module(options["companion"]).counted_flops
    return counted


def _torch_model(options: dict[str, str], blob: bytes, config: dict[str, Any]) -> Model:
    import safetensors.torch
    import torch

    device = options["device"]
    model = importlib.import_module("train").build(config)
    missing, unexpected = model.load_state_dict(safetensors.torch.load(blob), strict=False)
    named = {name for name, _ in model.named_parameters()}
    if named & set(missing) or unexpected:
        raise _MisfitError(sorted({*missing, *unexpected})[:3])
    model.eval()
    if options.get("companion"):
        importlib.import_module(options["companion"]).tune_cpu(int(options["threads"]))
    else:
        torch.set_num_threads(int(options["threads"]))
    model.to(device)

    def answer(rows: int, time: int, shared: SharedMemory) -> Answer:
        tokens = torch.frombuffer(shared.tokens, dtype=torch.int64, count=rows * time)
        with (
            torch.inference_mode(),
            torch.autocast(device, torch.bfloat16, enabled=device == "cuda"),
        ):
            logits = model(tokens.view(rows, time).clone().to(device)).float()
        target = torch.frombuffer(shared.logits, dtype=torch.float32)
        return tuple(logits.shape), lambda: target[: logits.numel()].copy_(logits.flatten())

    return answer


def _numpy_model(options: dict[str, str], blob: bytes, config: dict[str, Any]) -> Model:
    import numpy as np
    import safetensors.numpy

    model = importlib.import_module("train").build(config, safetensors.numpy.load(blob))

    def answer(rows: int, time: int, shared: SharedMemory) -> Answer:
        tokens = np.frombuffer(shared.tokens, np.int64, rows * time).reshape(rows, time)
        logits = np.asarray(model(tokens.copy()), np.float32)
        target = np.frombuffer(shared.logits, np.float32)
        return logits.shape, lambda: target.__setitem__(slice(logits.size), logits.ravel())

    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
