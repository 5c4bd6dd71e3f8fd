"""Ladders of the oracle trainer for tests: planted truth, no training."""

import json
from pathlib import Path
from typing import Any

from autoresearch.build_study import StudyJob, decode_job
from miniscale.setting.compose import compose
from miniscale.setting.records import decode_record, encode_record
from transfer.events import Event

EVENT: Any = Event


def oracle_job(*overrides: str) -> StudyJob:
    """Return the shipped oracle study, with overrides as on the command line."""
    return decode_job(oracle_config(*overrides), [])


def read_again(event: Event) -> Event:
    """Return an event as a journal's reader gets it."""
    stored = json.dumps(encode_record(event, EVENT))
    again: Event = decode_record(EVENT, json.loads(stored))
    return again


def oracle_config(*overrides: str) -> dict[str, Any]:
    """Return the composed configuration of the shipped oracle study.

    The policy is ``trend`` unless said: one rung a decision, which tests can foresee.
    """
    is_said = any(override.startswith("policy=") for override in overrides)
    policy = [] if is_said else ["policy=trend"]
    return compose(["+ladder=oracle", "tracker=none", *policy, *overrides], [], name="config")


ROOT = Path(__file__).resolve().parent.parent
