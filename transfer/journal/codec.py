"""Events as plain data and back, as the journal keeps them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from miniscale.setting.trial import TrialResult
from transfer.change import Change
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    Action,
    BaselineSet,
    CallBilled,
    Deferred,
    Dropped,
    Effect,
    Event,
    ExamRequested,
    ForecastMade,
    GainForecast,
    Imported,
    Outcome,
    Proposed,
    Refused,
    Request,
    RoundClosed,
    RoundClosing,
    RoundReviewed,
    Started,
    StepChosen,
    Stopped,
    TrialFinished,
    TrialsRequested,
    VerdictReached,
)
from transfer.ladder_trust import Trust

VERSION = 1
"""Version of the record format; from the first release on, older ones open for ever."""

_TYPES: dict[str, type[Event]] = {
    kind.__name__.lower(): kind
    for kind in (
        Started,
        BaselineSet,
        CallBilled,
        Proposed,
        Refused,
        ForecastMade,
        TrialsRequested,
        TrialFinished,
        Imported,
        StepChosen,
        VerdictReached,
        Accepted,
        Deferred,
        Dropped,
        RoundClosing,
        RoundReviewed,
        RoundClosed,
        ExamRequested,
        AblationRequested,
        AblationConcluded,
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
    if kind is TrialsRequested:
        fields["requests"] = tuple(Request(**request) for request in fields["requests"])
    if kind in (TrialFinished, Imported):
        fields["result"] = TrialResult.from_json(fields["result"])
    if kind in (StepChosen, VerdictReached):
        _read_evidence(fields)
    if kind is StepChosen:
        fields["action"] = Action(fields["action"])
    if kind is VerdictReached:
        return _judged(fields)
    if kind is RoundReviewed:
        fields["stacks"] = tuple(tuple(stack) for stack in fields["stacks"])
    if kind in (RoundReviewed, AblationConcluded):
        fields["verdicts"] = tuple(_judged(_read_evidence(v)) for v in fields["verdicts"])
    if kind is AblationRequested:
        fields["seeds"] = tuple(fields["seeds"])
    if kind is ExamRequested:
        fields["seeds"] = {rung: tuple(seeds) for rung, seeds in fields["seeds"].items()}
        fields["arms"] = tuple(fields.get("arms", ()))
        if told := fields.get("trust"):
            fields["trust"] = Trust.from_json(told)
    return kind(**fields)


def _read_evidence(fields: dict[str, Any]) -> dict[str, Any]:
    fields["effects"] = tuple(Effect(**effect) for effect in fields["effects"])
    fields["gain_forecast"] = (
        GainForecast(**fields["gain_forecast"]) if fields["gain_forecast"] else None
    )
    return fields


def _judged(fields: dict[str, Any]) -> VerdictReached:
    known = {"outcome": Outcome(fields["outcome"]), "reasons": tuple(fields["reasons"])}
    return VerdictReached(**{**fields, **known})
