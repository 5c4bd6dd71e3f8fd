"""Where a model is, what it costs, and the key it is asked with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from miniscale.setting.decode import InputError


class Structure(StrEnum):
    """How a reply is held to its form, from the strictest down; every server takes the last."""

    AUTO = "auto"
    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


RUNGS = (Structure.SCHEMA, Structure.OBJECT, Structure.TEXT)


@dataclass(frozen=True)
class Price:
    """Dollars for a million tokens; None where unknown."""

    input: float | None = None
    output: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether what a call costs can be told."""
        return self.input is not None and self.output is not None

    def of(self, tokens_in: int, tokens_out: int) -> float | None:
        """Return the dollars that tokens cost."""
        if self.input is None or self.output is None:
            return None
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


@dataclass(frozen=True)
class Server:
    """Where a model is and how it is asked; null values are not sent."""

    model: str = ""
    base_url: str = ""
    key_name: str = ""
    """Environment variable that holds the key; empty where none is sent."""
    timeout_s: float = 180.0
    patience_s: float = 3600.0
    """How long one call is tried again while the server is down, busy or broken."""
    max_tokens: int = 8_000
    temperature: float | None = None
    is_streamed: bool = False
    structure: Structure = Structure.AUTO
    extra: Mapping[str, Any] | None = None
    """Anything else for the request's body."""


def server_key(server: Server, environment: Mapping[str, str] | None = None) -> str:
    """Return the key to send; ``none`` for servers that want none.

    Raises
    ------
    InputError
        In one line, if the hosted service would be asked without a key, or an address holds one.
    """
    env = os.environ if environment is None else environment
    if server.base_url and (urlsplit(server.base_url).username or "@" in server.base_url):
        raise InputError(
            "agent.base_url: holds a user or password, which would be written down; give the key "
            "by agent.key=NAME of an environment variable"
        )
    key = env.get(server.key_name, "").strip() if server.key_name else ""
    if not key and server.key_name and (not server.base_url or server.key_name != "OPENAI_API_KEY"):
        raise InputError(
            f"agent=openai: the environment variable {server.key_name} holds no key; export it, or "
            "give agent.base_url=URL of a server that needs none (agent=search needs neither)"
        )
    return key or "none"
