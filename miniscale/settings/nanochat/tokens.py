"""Locked companion of ``train.py``: where tokens come from, what a step costs, what is reported.

A proposer edits ``train.py`` and never this file. It imports nothing of ours: in a trial only the
two lie side by side.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

LINES = 80  # of metrics at most, however many steps
Knobs = TypeVar("Knobs")


class KnobError(ValueError):
    """An argument that is not a knob, or a value it cannot take; one line for a person."""


def parse_knobs(knobs: type[Knobs], argv: list[str]) -> Knobs:
    """Read ``--name=value`` strictly into a dataclass; nothing is guessed, nothing abbreviated."""
    kinds = {f.name: f.type for f in fields(knobs)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for argument in argv:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals:
            raise KnobError(f"{argument!r}: must be --name=value")
        if name not in kinds:
            raise KnobError(f"--{name}: no such knob; knobs are {', '.join(sorted(kinds))}")
        values[name] = _parse_value(name, text, str(kinds[name]))
    try:
        return knobs(**values)
    except (TypeError, ValueError) as error:
        raise KnobError(str(error)) from error


def _parse_value(name: str, text: str, kind: str) -> bool | int | float | str:
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise KnobError(f"--{name}={text}: must be true or false")
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(float(text)) if float(text).is_integer() else int(text)
        return float(text) if kind == "float" else text
    except (ValueError, OverflowError) as error:
        raise KnobError(f"--{name}={text}: must be {kind}") from error


class TokenWindows:
    """Windows of ``context + 1`` tokens in an order fixed by the seed, one epoch after another.

    The order does not depend on the batch, so trials that differ in batch still meet the same
    windows in the same order. Windows tile the text from an offset that moves with the epoch.

    A ``pool`` below 1 keeps that share of the windows of the first epoch, its first: until the
    pool is used up nothing differs, then the same windows come again in another order.
    """

    def __init__(self, folder: Path, *, context: int, seed: int, pool: float = 1.0) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        size = (folder / "train.bin").stat().st_size // 2
        self.vocabulary: int = meta["vocabulary"]
        self.digest: str = meta["digests"]["train"]
        self.tokens = size
        self._text = torch.from_file(str(folder / "train.bin"), size=size, dtype=torch.int16)
        self._context, self._seed = context, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)
        self._window = torch.arange(context + 1)
        self._tiles = (size - 1) // context - 1  # one fewer leaves room for the offset
        if self._tiles < 1:
            raise KnobError(f"--context={context}: {folder} holds only {size} tokens")
        self.windows = max(1, round(pool * self._tiles))  # of an epoch

    def _starts(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            whole = self.windows == self._tiles
            order = self._tiling(epoch if whole else 0)[: self.windows]
            if epoch and not whole:
                order = order[torch.randperm(self.windows, generator=self._generator(epoch))]
            self._epoch, self._order = epoch, order
        return self._order

    def _tiling(self, epoch: int) -> Tensor:
        rng = self._generator(epoch)
        order = torch.randperm(self._tiles, generator=rng)
        return order * self._context + int(torch.randint(self._context, (1,), generator=rng))

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)

    def batch(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, (count, context) int64 each, of the windows from ``first`` on."""
        parts = []
        while count > 0:
            epoch, place = divmod(first, self.windows)
            part = self._starts(epoch)[place : place + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        starts = torch.cat(parts)[:, None]
        rows = self._text[starts + self._window].long() & 0xFFFF  # stored unsigned
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def _addmm_flops(c: Any, a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(a) * int(b[-1])


def _mv_flops(a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(a)


# Products that torch's own table leaves out.
EXTRA_FLOPS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.addmm_: _addmm_flops,
    torch.ops.aten.baddbmm_: _addmm_flops,
    torch.ops.aten.addbmm: _addmm_flops,
    torch.ops.aten.addbmm_: _addmm_flops,
    torch.ops.aten.mv: _mv_flops,
    torch.ops.aten.dot: _mv_flops,
}


class FlopCount(TorchDispatchMode):
    """Sums torch's own FLOP formulas over what is executed, as ``FlopCounterMode`` does.

    That one imports the compiler on first use: a second of a trial of four. A test holds the two
    against each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is ever compiled

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count one operation, or let it fall apart into those that have a formula."""
        kwargs = kwargs or {}
        formula = flop_registry.get(func.overloadpacket)
        extra = EXTRA_FLOPS.get(func.overloadpacket)
        if formula is None and extra is None:
            with self:
                whole = func.decompose(*args, **kwargs)
            if whole is not NotImplemented:
                return whole
        out = func(*args, **kwargs)
        if extra is not None:
            self.flops += extra(*[getattr(a, "shape", a) for a in args])
        elif formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out


def counted_flops(run: Callable[[], object]) -> int:
    """FLOPs of the matrix products that ``run`` really executes, attention included.

    The fused attention kernels of the CPU hide from a counter; the unfused one does not, and does
    what the formula says: 12 · layers · width · context a token for a training step.
    """
    with FlopCount() as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.flops


class Metrics:
    """Writes ``metrics.jsonl``: at most ``LINES`` flushed lines, the first at the first step."""

    def __init__(self, out: Path, *, steps: int) -> None:
        self._path = out / "metrics.jsonl"
        self._path.write_text("")
        self._every = max(1, -(-steps // LINES))
        self._steps, self._start = steps, time.perf_counter()

    def wanted(self, step: int) -> bool:
        """Say whether a line is due after this step; the loss need not be looked at otherwise."""
        return step <= 1 or step % self._every == 0 or step == self._steps

    def seconds(self) -> float:
        """Seconds since training began."""
        return time.perf_counter() - self._start

    def write(self, step: int, **values: float) -> None:
        """Append one line, visible at once."""
        line: dict[str, float] = {"step": step, "steps": self._steps, **values}
        line["seconds"] = round(self.seconds(), 3)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def tune_cpu(threads: int) -> None:
    """Set what makes small models fast on a CPU without changing any result beyond rounding.

    glibc returns every large block to the system and faults it in again at the next step: keeping
    them is worth 1.2-2.2x. "medium" matmul precision reaches faster kernels on some processors;
    on others it rounds to bfloat16, so it is kept only where a probe shows float32 accuracy.
    """
    torch.set_num_threads(threads)
    if platform.system() == "Linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
    rng = torch.Generator().manual_seed(0)
    for shape in ((512, 32, 128), (128, 512, 32), (1024, 64, 256)):
        a = torch.randn(shape[0], shape[1], generator=rng)
        b = torch.randn(shape[1], shape[2], generator=rng)
        torch.set_float32_matmul_precision("medium")
        error = (a @ b - (a.double() @ b.double())).abs().max()
        if error > 1e-5 * shape[1] ** 0.5:
            torch.set_float32_matmul_precision("highest")
            return
