"""Events as plain data and back, as the journal keeps them; older records open for ever."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from miniscale.setting.trial import TrialResult
from transfer.change import Change
from transfer.events import (
    Accepted,
    Action,
    Answered,
    Asked,
    Based,
    Closed,
    Closing,
    Decided,
    Deferred,
    Dropped,
    Effect,
    Event,
    Examined,
    Forecast,
    Imported,
    Judged,
    Outcome,
    Outlook,
    Proposed,
    Questioned,
    Refused,
    Request,
    Reviewed,
    Started,
    Stopped,
    Tick,
    Tried,
)
from transfer.trust import Light, Trust

VERSION = 2
"""Version of the record format; older journals open for ever."""

_TYPES: dict[str, type[Event]] = {
    kind.__name__.lower(): kind
    for kind in (
        Started,
        Based,
        Asked,
        Proposed,
        Refused,
        Forecast,
        Tick,
        Tried,
        Imported,
        Decided,
        Judged,
        Accepted,
        Deferred,
        Dropped,
        Closing,
        Reviewed,
        Closed,
        Examined,
        Questioned,
        Answered,
        Stopped,
    )
}


ENVELOPE = frozenset({"type", "v", "seq", "t", "crc"})
"""Fields that the journal puts around an event."""


def encode(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON data with its type."""
    return {"type": type(event).__name__.lower(), **asdict(event)}


def decode(data: Mapping[str, Any]) -> Event:
    """Rebuild an event from :func:`encode`.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    fields = {key: value for key, value in data.items() if key not in ENVELOPE}
    kind = _TYPES[data["type"]]
    if kind is Proposed:
        fields["change"] = Change.from_json(fields["change"])
    if kind is Tick:
        fields["requests"] = tuple(Request(**request) for request in fields["requests"])
    if kind in (Tried, Imported):
        fields["result"] = TrialResult.from_json(fields["result"])
    if kind in (Decided, Judged):
        _read_evidence(fields)
    if kind is Decided:
        fields["action"] = Action(fields["action"])
    if kind is Judged:
        return _judged(fields)
    if kind is Reviewed:
        fields["stacks"] = tuple(tuple(stack) for stack in fields["stacks"])
    if kind in (Reviewed, Answered):
        fields["verdicts"] = tuple(_judged(_read_evidence(v)) for v in fields["verdicts"])
    if kind is Questioned:
        fields["seeds"] = tuple(fields["seeds"])
    if kind is Examined:
        fields["seeds"] = {rung: tuple(seeds) for rung, seeds in fields["seeds"].items()}
        fields["arms"] = tuple(fields.get("arms", ()))
        if told := fields.get("trust"):
            fields["trust"] = Trust(**{**told, "light": Light(told["light"])})
    return kind(**fields)


def _read_evidence(fields: dict[str, Any]) -> dict[str, Any]:
    fields["effects"] = tuple(Effect(**effect) for effect in fields["effects"])
    fields["outlook"] = Outlook(**fields["outlook"]) if fields["outlook"] else None
    return fields


def _judged(fields: dict[str, Any]) -> Judged:
    known = {"outcome": Outcome(fields["outcome"]), "reasons": tuple(fields["reasons"])}
    return Judged(**{**fields, **known})
