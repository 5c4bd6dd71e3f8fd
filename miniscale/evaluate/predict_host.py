"""Ask a trial's own code for predictions, made in a boxed process that holds no targets.

It is shown the inputs of the held-out splits and leaves one file of numbers for each. Nothing in
these files is parsed: they must begin with the very bytes that an array of the wanted shape and
type begins with, and be as long.
"""

import hashlib
import io
import math
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miniscale.evaluate.model_host import ROOT, scratch_folder, start_boxed
from miniscale.evaluate.refusal import MISFIT, ModelError, TamperedError
from miniscale.process import process_tree
from miniscale.run.worker import BOX_VARIABLE
from miniscale.setting.read_metrics import ReadingError, read_plain

Array = NDArray[Any]
PATIENCE_S = 600.0  # assumption: no trainer of minutes takes longer to predict


@dataclass(frozen=True)
class Wanted:
    """What an answer must be: its shape, and its type as numpy writes it, ``<f4``."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class PredictRequest:
    """Whose code is asked, and how."""

    predictor: str
    """Module of ours with ``predict(out, inputs, threads)``; it runs in the box."""
    tree: Path
    out: Path
    threads: int = 1
    patience_s: float = PATIENCE_S
    """For all of it, loading included."""


def predict_heldout(
    asked: PredictRequest,
    inputs: Mapping[str, Array],
    wanted: Mapping[str, Wanted],
    *,
    outside: Mapping[str, str],
) -> dict[str, Array]:
    """Answers by name, those for inputs (rows, ...) in the order of their rows.

    One process answers for all splits: it holds no targets that one could give away about
    another, and to start a second would double the cost. It meets the rows in the order of their
    digests, as the order in which they are kept may tell (flights lie as they took off).

    Parameters
    ----------
    outside
        Environment: it names the kind of box, and an allow-list of it is passed on.

    Raises
    ------
    TamperedError
        If an answer is missing or is not what is wanted, or weights do not fit the code.
    ModelError
        If the process crashed, or was not done in time.
    """
    orders = {name: _by_digest(array) for name, array in inputs.items()}
    with scratch_folder(asked.out) as folder:
        given, left = folder / "given", folder / "left"
        given.mkdir()
        left.mkdir()
        for name, array in inputs.items():
            np.save(given / f"{name}.npy", array[orders[name]])
        _run(asked, given, left, outside)
        predictions = {
            name: read_answer(left / f"{name}.npy", what) for name, what in wanted.items()
        }
    for name, order in orders.items():
        predictions[name] = predictions[name][np.argsort(order)]
    return predictions


def _by_digest(rows: Array) -> NDArray[np.int64]:
    """Order that depends on what rows hold and not on where they lie."""
    digests = [hashlib.sha256(row.tobytes()).digest() for row in rows]
    return np.array(sorted(range(len(rows)), key=digests.__getitem__), np.int64)


def _run(asked: PredictRequest, given: Path, left: Path, outside: Mapping[str, str]) -> None:
    options = {
        "root": ROOT, "predictor": asked.predictor, "tree": asked.tree.absolute(),
        "out": asked.out.absolute(), "given": given, "left": left, "threads": asked.threads,
    }  # fmt: skip
    program = str(Path(__file__).with_name("predict_child.py"))
    process = start_boxed(
        [program, *(f"--{name}={value}" for name, value in options.items())],
        reads=(asked.tree.absolute(), asked.out.absolute()),
        folder=left,
        box=outside.get(BOX_VARIABLE, "process"),
        outside=outside,
    )
    try:
        code = process.wait(asked.patience_s)
    except subprocess.TimeoutExpired:
        limit = f"patience_s={asked.patience_s:g}"
        raise ModelError(f"the trial's code gave no forecasts within {limit}") from None
    finally:
        process.kill()
        process_tree.send_group(process.pid, signal.SIGKILL)  # what left it, the worker ends
        process.wait()
    if code == MISFIT:
        raise TamperedError("weights: they do not fit the code")
    if code:
        raise ModelError(f"the trial's code ended with {code} before it gave its forecasts")


def read_answer(path: Path, wanted: Wanted) -> Array:
    """The numbers of an answer, if it is one.

    Raises
    ------
    TamperedError
        Beginning with ``files:``, ``shape:`` or ``finite:``.
    """
    begins = io.BytesIO()
    described = {"descr": wanted.dtype, "fortran_order": False, "shape": wanted.shape}
    np.lib.format.write_array_header_1_0(begins, described)
    header = begins.getvalue()
    size = len(header) + math.prod(wanted.shape) * np.dtype(wanted.dtype).itemsize
    try:
        blob = read_plain(str(path), limit_bytes=max(1 << 20, 8 * size))
    except ReadingError as error:
        raise TamperedError(f"files: {error}; the code must answer for every split") from None
    if not blob.startswith(header) or len(blob) != size:
        seen = blob[: len(header)][10:].decode("ascii", "replace").strip()[:120]
        rule = f"must be {wanted.shape} of {wanted.dtype}"
        raise TamperedError(f"shape: {path.stem} is {seen!r} in {len(blob)} bytes, {rule}")
    numbers = np.frombuffer(blob, wanted.dtype, offset=len(header)).reshape(wanted.shape)
    if np.isnan(numbers).any() or np.isposinf(numbers).any():
        raise TamperedError(f"finite: {path.stem} holds NaN or infinity; every number must be one")
    return numbers
