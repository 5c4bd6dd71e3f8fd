"""Numbers out of tensorboard's event files and wandb's offline file, in a process of its own.

Both frame protobuf records; protobuf needs site packages, which a worker starts without. What a
trial wrote is parsed here, apart from whoever decides, with caps on size, time and memory.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from miniscale.run.reading.series import Series
from miniscale.setting.read_metrics import ReadingError, read_plain

EVENT_BYTES = 256_000_000
MOST_FILES = 64  # assumption: a run that is resumed starts a new one, and not this often
TIMEOUT_S = 120.0  # assumption: wandb is imported in seconds, the cap is parsed in a minute
_MEMORY_BYTES = 8_000_000_000
_BLOCK, _HEAD = 32_768, 7  # LevelDB's log format, which wandb's files have after seven bytes
_WHOLE, _FIRST, _LAST = 1, 2, 4
_LAUNCH = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from miniscale.run.reading.event_files import main; main(sys.argv[1:])"
)


def read_events(paths: Sequence[str], key: str, take: str) -> float:
    """Return the number under a tag or a name of a trial's event files, read by another process.

    Raises
    ------
    ReadingError
        If there is none, or what is there cannot be parsed.
    """
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    name = os.path.basename(paths[0])
    if len(paths) > MOST_FILES:
        raise ReadingError(f"{name}: {len(paths)} files match, at most {MOST_FILES} are read")
    argv = [sys.executable, "-I", "-c", _LAUNCH, os.path.dirname(package), key, take, *paths]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ReadingError(f"{name}: not read within {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ReadingError(f"{name}: cannot be read ({error.strerror})") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ReadingError(f"{name}: cannot be read ({words[:200]})")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ReadingError(answer["error"])
    return float(answer["number"])


def main(argv: Sequence[str]) -> None:
    """Answer ``KEY TAKE PATH…`` with a line of JSON on standard output."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    key, take, *paths = argv
    try:
        answer: dict[str, Any] = {"number": _number(paths, key, take)}
    except ReadingError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


def _number(paths: Sequence[str], key: str, take: str) -> float:
    name, series = os.path.basename(paths[0]), Series(take)
    seen: dict[str, None] = {}
    for path in paths:
        data = read_plain(path, limit_bytes=EVENT_BYTES)
        pairs = wandb_values(data) if path.endswith(".wandb") else scalar_values(data)
        for found, value in pairs:
            if found == key:
                series.add(value)
            elif len(seen) < 8:
                seen[found[:80]] = None
    if not series.count:
        raise ReadingError(f"{name}: no {key!r}; it has {', '.join(seen) or 'no numbers'}")
    return series.number(where=f"{name}: {key!r}")


def scalar_values(data: bytes) -> Iterator[tuple[str, float]]:
    """Yield tag and value of the scalars in an event file, in order; a torn end is left out."""
    event = _event_class()
    at = 0
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        record = data[at + 12 : at + 12 + size]
        if len(record) < size:
            return
        at += 16 + size
        for value in event.FromString(record).summary.value:
            number = _scalar(value)
            if number is not None:
                yield value.tag, number


def _scalar(value: Any) -> float | None:
    """Return the number of a summary's value, written the old way or as a tensor."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    numbers = [*tensor.float_val, *tensor.double_val]
    if len(numbers) == 1:
        return float(numbers[0])
    import struct

    form = {1: "<f", 2: "<d"}.get(tensor.dtype, "")
    content = tensor.tensor_content
    return (
        struct.unpack(form, content)[0] if form and len(content) == struct.calcsize(form) else None
    )


def _event_class() -> Any:
    """Return a message that reads what is needed of tensorflow's ``Event``.

    Field numbers: tensorflow/core/util/event.proto, framework/summary.proto and tensor.proto.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    messages = {
        "Tensor": [
            ("dtype", 1, one, field.TYPE_INT32, ""),
            ("tensor_content", 4, one, field.TYPE_BYTES, ""),
            ("float_val", 5, many, field.TYPE_FLOAT, ""),
            ("double_val", 6, many, field.TYPE_DOUBLE, ""),
        ],
        "Value": [
            ("tag", 1, one, field.TYPE_STRING, ""),
            ("simple_value", 2, one, field.TYPE_FLOAT, ""),
            ("tensor", 8, one, field.TYPE_MESSAGE, ".events.Tensor"),
        ],
        "Summary": [("value", 1, many, field.TYPE_MESSAGE, ".events.Value")],
        "Event": [("summary", 5, one, field.TYPE_MESSAGE, ".events.Summary")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="events")
    for title, fields in messages.items():
        message = file.message_type.add(name=title)
        for name, number, label, kind, of in fields:
            message.field.add(
                name=name, number=number, label=label, type=kind, type_name=of or None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("events.Event"))


def wandb_values(data: bytes) -> Iterator[tuple[str, float]]:
    """Yield name and value of a run's history and then of its summary, where that says more."""
    from wandb.proto import wandb_internal_pb2

    schema: Any = wandb_internal_pb2
    last: dict[str, float] = {}
    summary: dict[str, float] = {}
    for raw in _wandb_records(data):
        record = schema.Record.FromString(raw)
        kind = record.WhichOneof("record_type")
        items = record.history.item if kind == "history" else record.summary.update
        for item in items if kind in ("history", "summary") else ():
            numbers = dict(_flat(item.key or ".".join(item.nested_key), _parsed(item.value_json)))
            if kind == "history":
                last |= numbers
                yield from numbers.items()
            else:
                summary |= numbers
    yield from ((n, v) for n, v in summary.items() if repr(last.get(n)) != repr(v))


def _parsed(text: str) -> Any:
    """Return a value of wandb, None where it is none; what is not finite is written as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in a value by their names, nested ones joined by dots."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(inner, dict | list):  # wandb nests once
                yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            yield name, float(value)
        except (ValueError, OverflowError):
            return


def _wandb_records(data: bytes) -> Iterator[bytes]:
    """Yield the records; a torn one ends them."""
    at, parts = _HEAD, b""
    while at + _HEAD <= len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEAD:
            at += room
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        chunk = data[at + _HEAD : at + _HEAD + size]
        if not _WHOLE <= kind <= _LAST or len(chunk) < size:
            return
        at += _HEAD + size
        parts = chunk if kind in (_WHOLE, _FIRST) else parts + chunk
        if kind in (_WHOLE, _LAST):
            yield parts
