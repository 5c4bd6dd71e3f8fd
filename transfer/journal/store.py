"""The study's journal: append-only JSON lines, the one truth that all else is computed from."""

import fcntl
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from miniscale.setting.decode import InputError
from miniscale.setting.records import decode_record, encode_record
from transfer.events import Event

VERSION = 1
"""Version of the record format; from the first release on, older ones open for ever."""
_ENVELOPE = ("v", "seq", "t", "crc")
"""What the journal puts around an event."""
_EVENT: Any = Event


class Journal:
    """Owns one study's journal folder; one writing process at a time, one file for each.

    A record is one ``write`` on an ``O_APPEND`` file, then ``fdatasync``: a record that was
    acknowledged survives kill -9 and a power cut.

    Parameters
    ----------
    folder
        The journal's folder; made if absent.
    clock
        Seconds since the round; only ever recorded.
    is_durable
        Whether each record is synced to disk. False is for simulations.

    Raises
    ------
    InputError
        If another process writes this journal now.
    """

    def __init__(
        self, folder: Path, *, clock: Callable[[], float], is_durable: bool = True
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._clock = clock
        self._is_durable = is_durable
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise InputError(
                f"study folder {folder.parent}: another process is running this study; "
                "wait for it, or start another with study.name=…"
            ) from None
        try:
            events, self.repairs = read_journal(folder, repair=True)
        except InputError:
            self._lock.close()
            raise
        self.events: list[Event] = events
        self._seq = len(events)
        self._file: int | None = None

    def append(self, event: Event) -> None:
        """Write one event; when this returns it is on disk."""
        if self._file is None:
            path = self._folder / f"{self._seq:08d}-{os.getpid()}.jsonl"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._file = os.open(path, flags, 0o644)
        envelope = {"v": VERSION, "seq": self._seq, "t": round(self._clock(), 3)}
        record = envelope | encode_record(event, _EVENT)
        os.write(self._file, sealed(json.dumps(record, separators=(",", ":"), allow_nan=False)))
        if self._is_durable:
            os.fdatasync(self._file)
        self._seq += 1
        self.events.append(event)

    def close(self) -> None:
        """Give the journal back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.close()


def sealed(text: str) -> bytes:
    """Return a record's line: its JSON with a CRC-32 of itself as the last field."""
    return f'{text[:-1]},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def is_intact(line: bytes) -> bool:
    """Whether a line is what was sealed."""
    text, mark, crc = line.rpartition(b',"crc":"')
    return bool(mark) and crc == b'%08x"}' % zlib.crc32(text + b"}")


def read_journal(folder: Path, *, repair: bool = False) -> tuple[list[Event], list[str]]:
    """Read all events of a journal folder in order, and say what was repaired.

    A torn last line of a file was never acknowledged and is cut (on disk only if ``repair``).

    Raises
    ------
    InputError
        If anything but the last line of a file is damaged, or a record is missing.
    """
    events: list[Event] = []
    repairs: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        content = path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            repairs.append(f"{path.name}: cut a torn last line of {len(torn)} bytes")
            if repair:
                os.truncate(path, len(whole) + len(newline))
        for number, line in enumerate(whole.split(b"\n") if newline else [], start=1):
            events.append(_parse(line, path, number, len(events)))
    return events, repairs


def _parse(line: bytes, path: Path, number: int, expected: int) -> Event:
    advice = "restore the file from a copy, or start another study with study.name=…"
    if not is_intact(line):
        raise InputError(f"{path}:{number}: damaged record {line[:40]!r}; {advice}")
    record: dict[str, Any] = json.loads(line)
    if record.get("seq") != expected:
        raise InputError(f"{path}:{number}: record {expected} is missing; {advice}")
    if record.get("v") != VERSION:
        raise InputError(
            f"{path}:{number}: record format {record.get('v')}, this version reads {VERSION}; open "
            "it with the version that wrote it, or start another study with study.name=…"
        )
    for name in _ENVELOPE:
        record.pop(name, None)
    try:
        event: Event = decode_record(_EVENT, record)
    except ValueError as error:
        raise InputError(f"{path}:{number}: {error}; {advice}") from None
    return event
