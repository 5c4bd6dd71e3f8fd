"""What is run and what came of it: trial specs, states and results."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from miniscale.process.number_token import NUMBER, compile_mark, compile_pattern, parse_take
from miniscale.setting.records import decode_record

Scalar = bool | int | float | str


NEW_KINDS = (".jsonl", ".ndjson", ".csv", ".tsv", ".wandb")
"""Ends of the names of files that the first readers knew nothing of."""
MEASURED = frozenset(
    {
        "peak_memory_gb",
        "peak_disk_gb",
        "cpu_seconds",
        "supervisor_cpu_seconds",
        "trainer_seconds",
        "trainer_cpu_seconds",
        "evaluator_seconds",
    }
)
"""Numbers that the worker takes of every trial, by the names they have in a result."""


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OVER_BUDGET = "over_budget"
    DIVERGED = "diverged"
    TAMPERED = "tampered"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """Why a trial failed; only ``INFRASTRUCTURE`` is retried by itself."""

    NONE = ""
    CRASH = "crash"
    OOM = "oom"
    INFRASTRUCTURE = "infrastructure"


def digest(value: object, *, length: int = 12) -> str:
    """Hash a JSON-able value: the same content gives the same short hexadecimal name."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Stream(StrEnum):
    """Where a program prints."""

    STDOUT = "stdout"
    STDERR = "stderr"
    BOTH = "both"


@dataclass(frozen=True)
class MetricSource:
    """Where a trial's number is found.

    With ``line`` in what is printed, or in the text file ``file``; with ``file`` and ``key`` in a
    file of the output folder, whose name says its kind: JSON, JSON lines, CSV, tensorboard's
    event files, wandb's offline file. ``file`` may hold ``*``.
    """

    file: str = ""
    key: str = ""
    """The value in JSON (``runs[-1].loss``), the column, the tag or the name in wandb."""
    line: str = ""
    """A text with ``{number}`` in it, or a regular expression with one group."""
    stream: Stream = Stream.STDOUT
    """Where ``line`` is looked for."""
    take: str = "last"
    """Which of several: ``last``, ``min``, ``max`` or ``mean(5)``, of the last five."""
    final: str = ""
    """What a line holds, a text or a regular expression, that is printed or written at the end;
    without such a line at or after the value there is no value."""

    def __post_init__(self) -> None:
        if self.key and not self.file:
            raise ValueError(f"file: missing for key {self.key!r}; name the file in {{out}}")
        if not self.file and not self.line:
            raise ValueError("line: missing; give 'line' with {number}, or 'file' and 'key'")
        if bool(self.key) == bool(self.line):
            raise ValueError(
                f"key: got {self.key!r} with line {self.line!r} and file {self.file!r}, needs one "
                "of 'key' and 'line'; drop one or name the key"
            )
        if self.file.startswith(("/", "~", "{")) or ".." in self.file.split("/"):
            raise ValueError(
                f"file: got {self.file!r}, must be a path inside the output folder {{out}}; "
                "let the program write there and leave the folder out"
            )
        if self.file and self.stream is not Stream.STDOUT:
            raise ValueError(f"stream: got {self.stream}, but a file is read; leave it out")
        for name, check, text in (
            ("line", compile_pattern, self.line),
            ("final", compile_mark, self.final),
            ("take", parse_take, self.take),
        ):
            try:
                check(text) if text else None
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    @property
    def is_of_old(self) -> bool:
        """Whether it says no more than the first readers could: a key, or a regular expression."""
        is_bare = self == MetricSource(file=self.file, key=self.key, line=self.line)
        is_bare &= not (self.file and self.line)
        is_new = self.file.endswith(NEW_KINDS) or "*" in self.file or "tfevents" in self.file
        return is_bare and not is_new and NUMBER not in self.line


MOST_FLOPS = 1e60
"""assumption: no run takes more, and sums, squares and ratios of less are finite."""
LEAST = 1e-75
"""A metric that is not above 0 has no logarithm: it counts as this."""


class Transform(StrEnum):
    """What a metric becomes before it is compared: a law falls in powers, not in a share of 1."""

    NONE = "none"
    LOG = "log"
    """Its logarithm: for what is compared by ratio."""
    LOGIT = "logit"
    """Its log odds: for a share near 0 or 1."""
    ERROR = "error"
    """What is missing to 1: for an accuracy."""


@dataclass(frozen=True)
class Objective:
    """The metric that decides, and its direction."""

    name: str
    is_minimized: bool
    reading: MetricSource
    transform: Transform = Transform.NONE

    def loss(self, value: float) -> float:
        """Turn a value into a loss: lower is better, whatever the metric's own direction.

        >>> reading = MetricSource(line="acc {number}")
        >>> shown = Objective("acc", False, reading, Transform.LOGIT)
        >>> round(shown.loss(0.9), 3), round(shown.value(shown.loss(0.9)), 3)
        (-2.197, 0.9)
        """
        match self.transform:
            case Transform.ERROR:
                return value if self.is_minimized else 1 - value
            case Transform.LOG:
                value = math.log(max(value, LEAST))
            case Transform.LOGIT:
                inside = min(max(value, LEAST), 1 - 1e-15)
                value = math.log(inside) - math.log1p(-inside)
        return value if self.is_minimized else -value

    def value(self, loss: float) -> float:
        """Turn a loss into the metric's own value again."""
        value = loss if self.is_minimized else -loss
        match self.transform:
            case Transform.ERROR:
                return loss if self.is_minimized else 1 - loss
            case Transform.LOG:
                return math.exp(min(max(value, -700.0), 700.0))
            case Transform.LOGIT:
                return 1 / (1 + math.exp(min(max(-value, -700.0), 700.0)))
        return value

    @property
    def unit(self) -> str:
        """What differences of losses are in: ``acc``, ``log acc`` or ``logit acc``."""
        is_bent = self.transform in (Transform.LOG, Transform.LOGIT)
        return f"{self.transform} {self.name}" if is_bent else self.name

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where its values lie, if its transform takes no others; empty else."""
        return (0.0, 1.0) if self.transform in (Transform.ERROR, Transform.LOGIT) else ()

    @property
    def best(self) -> float | None:
        """The best value that there is, where that is known; None else."""
        if self.bounds:
            return self.bounds[0 if self.is_minimized else 1]
        return 0.0 if self.is_minimized else None


class Direction(StrEnum):
    """Which way a metric gets better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True)
class ObjectiveKeys:
    """An objective as it is written: where it is found, and which way it gets better."""

    name: str
    direction: Direction = Direction.MINIMIZE
    file: str = ""
    key: str = ""
    line: str = ""
    stream: Stream = Stream.STDOUT
    take: str = "last"
    """Beside those of a metric ``best``."""
    final: str = ""
    transform: Transform = Transform.NONE
    """For bounded metrics: ``error`` or ``logit`` for an accuracy, ``log`` for a ratio."""

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Objective:
        """Return the objective."""
        is_minimized = self.direction is Direction.MINIMIZE
        best = "min" if is_minimized else "max"
        source = MetricSource(
            file=self.file,
            key=self.key,
            line=self.line,
            stream=self.stream,
            take=best if self.take == "best" else self.take,
            final=self.final,
        )
        return Objective(self.name, is_minimized, source, self.transform)


@dataclass(frozen=True)
class TrialSpec:
    """One run of one arm on one rung with one seed, ready to execute anywhere.

    ``identity`` names the content (what is trained, evaluated and measured); the folders, limits
    and device say only how it runs and are not part of it.
    """

    identity: str
    arm: str
    rung: str
    seed: int
    trainer: tuple[str, ...]
    evaluator: tuple[str, ...]
    tree: str
    out: str
    reading: MetricSource
    extra_readings: Mapping[str, MetricSource] = field(default_factory=dict)
    locked: Mapping[str, str] = field(default_factory=dict)
    """File name in ``tree`` -> SHA-256 that it must have before and after the trial."""
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 3600.0
    memory_gb: float = 4.0
    disk_gb: float = 8.0
    processes: int = 256
    threads: int = 1
    gpus: int = 0
    reads: tuple[str, ...] = ()
    """What a trainer in a box may read beside its tree and the interpreter."""
    hides: tuple[str, ...] = ()
    """What none of a trial's code may see though it lies in what it reads."""
    base_tree: str = ""
    """What ``tree`` is copied from for this trial alone; empty where nothing is rewritten."""
    rewritten: Mapping[str, str] = field(default_factory=dict)
    """File name in ``tree`` -> its text with the constants of this trial."""
    shared: str = ""
    """A second folder to write to, which trials of one arm and rung share; empty for none."""
    keep: tuple[str, ...] = ()
    """Patterns of files that stay in ``out``; empty: all but large ones."""
    bounds: tuple[float, ...] = ()
    """The least and the largest value that the objective can have; empty for any."""
    walls_down: tuple[str, ...] = ()
    """Defences left out, so that a test can show what each is for; empty in earnest."""


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial.

    ``value`` is the objective in its own direction and unit, None unless complete. ``metrics``
    holds every other number: ``flops``, ``tokens``, ``sealed_bpb``, ``peak_memory_gb``,
    ``cpu_seconds`` where known.
    """

    identity: str
    state: TrialState
    value: float | None = None
    cause: Cause = Cause.NONE
    reason: str = ""
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    box: str = ""
    """What the trainer ran in: ``bwrap+landlock(7)+seccomp``, ``process``, ``off``; empty before
    there was a box."""

    def __post_init__(self) -> None:
        if (self.state is TrialState.COMPLETE) != (self.value is not None):
            raise ValueError(f"result {self.identity}: state {self.state} with value {self.value}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"result {self.identity}: value {self.value} is not finite")

    @property
    def flops(self) -> float | None:
        """The compute that it reports, if that can be: a trial writes what it likes."""
        told = self.metrics.get("flops", 0.0)
        return told if 0 < told < MOST_FLOPS else None

    @property
    def is_complete(self) -> bool:
        """Whether the trial left a number."""
        return self.state is TrialState.COMPLETE


def read_result(folder: Path) -> TrialResult | None:
    """Return the result that a worker left in a trial's folder, or None if there is none yet."""
    path = folder / "result.json"
    if not path.exists():
        return None
    return decode_record(TrialResult, json.loads(path.read_text()))
