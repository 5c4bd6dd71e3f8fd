"""From the configuration group ``agent`` to a proposer."""

import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from autoresearch.proposer.command import Command
from autoresearch.proposer.idea.read_patches import LEFT_OUT
from autoresearch.proposer.knob_search import Search
from autoresearch.proposer.model.researcher import Researcher
from autoresearch.proposer.model.server import Price, Server, Structure, server_key
from autoresearch.proposer.patches import ChangeList, from_path
from autoresearch.proposer.turns import Turns
from miniscale.setting.decode import Count, InputError, Least, Positive, as_mapping, decode, nearest
from transfer.change import ChangeKeys, PanelKeys
from transfer.ladder import Ladder
from transfer.study.limits import Limits
from transfer.study.proposer_protocol import Proposer

NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class AgentContext:
    """What a proposer is made for."""

    ladder: Ladder
    roots: Sequence[Path]
    """Folders that relative paths are looked up in, in order."""
    seed: int
    limits: Limits


class AgentKeys(Protocol):
    """What a proposer is written with."""

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer, or refuse in one line."""


@dataclass(frozen=True)
class SearchKeys:
    """``conf/agent/search.yaml``: the panel first, then knobs by Optuna's TPE."""

    name: Literal["search"]
    knobs_at_once: Count = 1

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer."""
        return Search(seed=context.seed, knobs_at_once=self.knobs_at_once)


@dataclass(frozen=True)
class PatchesKeys:
    """``conf/agent/patches.yaml``: a patch file, a folder of them, or a branch."""

    name: Literal["patches"]
    path: str
    base: str = "HEAD"
    """With a branch: the commit that it left; each commit since is a change."""
    ignore: tuple[str, ...] = LEFT_OUT
    """Patterns of files that are taken out of the patches: records and notes."""

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer."""
        source = context.ladder.setting.source
        return from_path(
            self.path, source=source, roots=context.roots, base=self.base, ignore=self.ignore
        )


@dataclass(frozen=True)
class ScriptedKeys:
    """``conf/agent/scripted.yaml``: changes written out, in order."""

    name: Literal["scripted"]
    changes: Mapping[str, ChangeKeys] = field(default_factory=dict)

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer."""
        panel = PanelKeys(self.changes)
        changes = panel.build(context.ladder.setting, context.roots, path="agent")
        return ChangeList("scripted", tuple(changes.values()))


@dataclass(frozen=True)
class OpenAIKeys:
    """``conf/agent/openai.yaml``: a model behind any OpenAI-compatible server."""

    name: Literal["openai"]
    model: str = ""
    """Needed for the hosted service; a server of your own is asked what it has."""
    base_url: str = ""
    key: str = ""
    """Environment variable that holds the key."""
    price: Price = field(default_factory=Price)
    ideas_at_once: Count = 4
    brief_tokens: Annotated[int, Least(500)] = 24_000
    edits: bool = True
    """false: knobs alone and no files in the brief, for small models."""
    program: str = ""
    """A file with your own words on what to look for; ``program.md`` if there is one."""
    max_tokens: Annotated[int, Least(16)] = 8_000
    temperature: float | None = None
    timeout_s: Positive = 180.0
    patience_s: Positive = 3600.0
    """How long one call is tried again while the server is down or busy."""
    stream: bool = False
    structure: Structure = Structure.AUTO
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def server(self) -> Server:
        """Return where the model is and how it is asked.

        Raises
        ------
        InputError
            If a key or the model's name is missing.
        """
        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL", "")
        server = Server(
            model=self.model,
            base_url=base_url,
            key_name=self.key or ("" if self.base_url else "OPENAI_API_KEY"),
            timeout_s=self.timeout_s,
            patience_s=self.patience_s,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            is_streamed=self.stream,
            structure=self.structure,
            extra=self.extra_body,
        )
        server_key(server)
        if not server.model and not server.base_url:
            raise InputError(
                "agent.model: missing, which model should be asked? give agent.model=NAME"
            )
        return server

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer."""
        server = self.server()
        if not math.isinf(context.limits.usd) and not self.price.is_known:
            raise InputError(
                f"budget.usd: the price of {server.model or 'the model'} is unknown; give "
                "agent.price.input and agent.price.output in dollars a million tokens (0 for your "
                "own server), or cap budget.tokens instead"
            )
        return Researcher(
            name="openai",
            server=server,
            price=self.price,
            ideas_at_once=self.ideas_at_once,
            brief_tokens=self.brief_tokens,
            program=program_text(self.program, context.roots),
            edits=self.edits,
        )


@dataclass(frozen=True)
class CallPrice:
    """Dollars for a call of an agent; absent: unknown."""

    call: float | None = None


@dataclass(frozen=True)
class CommandKeys:
    """``conf/agent/command.yaml``: any coding agent's command line, in a copy of the baseline."""

    name: Literal["command"]
    command: tuple[str, ...] = ()
    """Its argv; ``{prompt}``, ``{brief}`` and ``{work}`` are filled in."""
    timeout_s: Positive = 1800.0
    memory_gb: Positive = 8.0
    box: Literal["require", "prefer", "off"] = "prefer"
    read: tuple[str, ...] = ()
    """Further folders that it may read in its box."""
    env: tuple[str, ...] = ()
    """Variables that it sees; nothing else of yours does."""
    price: CallPrice = field(default_factory=CallPrice)
    brief_tokens: Annotated[int, Least(500)] = 24_000
    program: str = ""
    """A file with your own words; ``program.md`` if there is one."""

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposer."""
        if not math.isinf(context.limits.usd) and self.price.call is None:
            raise InputError(
                "budget.usd: what a call of the agent costs is unknown; give agent.price.call in "
                "dollars, or cap budget.calls instead"
            )
        if not self.command or shutil.which(self.command[0]) is None:
            what = f"'{self.command[0]}' is not installed" if self.command else "missing"
            raise InputError(
                f"agent.command: {what}; give the agent's command line as a list, e.g. "
                "agent.command='[claude,-p,\"{prompt}\"]' (agent=search needs none)"
            )
        return Command(
            name="command",
            argv=self.command,
            timeout_s=self.timeout_s,
            memory_gb=self.memory_gb,
            box=self.box,
            read=self.read,
            env=self.env,
            price_usd=self.price.call,
            brief_tokens=self.brief_tokens,
            program=program_text(self.program, context.roots),
        )


@dataclass(frozen=True)
class SeveralKeys:
    """``conf/agent/several.yaml``: proposers that take turns."""

    name: Literal["several"]
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each is an option of this group under a name of its own."""

    def build(self, context: AgentContext) -> Proposer:
        """Return the proposers' turns."""
        members = []
        for key, data in self.agents.items():
            path = f"agent.agents.{key}"
            member = decode_agent(data, context, path=path)
            if isinstance(member, Turns):
                raise InputError(f"{path}: takes turns itself; list its members here")
            if not NAME.fullmatch(key):
                raise InputError(f"{path}: names are small letters, digits and '_'; rename it")
            members.append(replace(member, name=key))  # type: ignore[type-var]
        if not members:
            raise InputError("agent.agents: names no proposer; give 'agents: {NAME: {…}}'")
        return Turns(tuple(members))


AGENTS: dict[str, type[AgentKeys]] = {
    "command": CommandKeys,
    "openai": OpenAIKeys,
    "patches": PatchesKeys,
    "scripted": ScriptedKeys,
    "search": SearchKeys,
    "several": SeveralKeys,
}
"""Name in configuration -> what it is written with."""


def decode_agent(data: object, context: AgentContext, *, path: str = "agent") -> Proposer:
    """Read the configuration of a proposer, or of several that take turns.

    Raises
    ------
    InputError
        On the first thing that is wrong, a missing key among it: nothing was asked yet.
    """
    name = as_mapping(data, path).get("name")
    if name not in AGENTS:
        raise InputError(f"{path}.name: {name!r} is unknown; {nearest(str(name), AGENTS)}")
    return decode(AGENTS[name], data, path).build(context)


def program_text(name: str, roots: Sequence[Path]) -> str:
    """Read the user's ``program.md``: named, or beside the configuration or the command.

    Raises
    ------
    InputError
        If it was named and is not there.
    """
    for root in roots:
        path = (root / Path(name or "program.md").expanduser()).resolve()
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")[:40_000]
    if name:
        raise InputError(f"agent.program: no file '{name}'; correct the name")
    return ""
