"""From the configuration group ``agent`` to a proposer."""

import math
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoresearch.proposer.command import Command
from autoresearch.proposer.model.researcher import Researcher
from autoresearch.proposer.model.server import Price, Server, Structure, server_key
from autoresearch.proposer.patches import ChangeList, from_path
from autoresearch.proposer.search import Search
from autoresearch.proposer.turns import Turns
from miniscale.box.selftest import POLICIES
from miniscale.setting.decode import InputError, Node, nearest
from transfer.change import decode_change
from transfer.ladder import Ladder
from transfer.study.limits import Limits
from transfer.study.proposer import Proposer

KINDS = ("search", "patches", "scripted", "openai", "command", "several")
NAME = re.compile(r"[a-z][a-z0-9_]*")


def named(node: Node, known: Sequence[str]) -> str:
    """Return the name of an option, one of those known."""
    name = node.text("name")
    if name not in known:
        raise InputError(f"{node.path}.name: '{name}' is unknown; {nearest(name, known)}")
    return name


def decode_agent(
    node: Node, ladder: Ladder, *, roots: Sequence[Path], seed: int, limits: Limits
) -> Proposer:
    """Read the configuration of a proposer, or of several that take turns.

    Raises
    ------
    InputError
        On the first thing that is wrong, a missing key among it: nothing was asked yet.
    """
    kind = named(node, KINDS)
    proposer: Proposer
    if kind == "several":
        proposer = _several(node, ladder, roots=roots, seed=seed, limits=limits)
    elif kind == "search":
        proposer = Search(seed=seed, knobs_at_once=node.whole("knobs_at_once", 1, least=1))
    elif kind == "patches":
        source, base = ladder.setting.source, node.text("base", "HEAD")
        proposer = from_path(node.text("path"), source=source, roots=roots, base=base)
    elif kind == "openai":
        proposer = _researcher(node, roots, limits)
    elif kind == "command":
        proposer = _command(node, roots, limits)
    else:
        changes = (
            decode_change(key, child, setting=ladder.setting, roots=roots)
            for key, child in node.children("changes")
        )
        proposer = ChangeList("scripted", tuple(changes))
    node.finish()
    return proposer


def _several(
    node: Node, ladder: Ladder, *, roots: Sequence[Path], seed: int, limits: Limits
) -> Turns:
    members = []
    for key, child in node.children("agents"):
        member = decode_agent(child, ladder, roots=roots, seed=seed, limits=limits)
        if isinstance(member, Turns):
            raise InputError(f"{child.path}: takes turns itself; list its members here")
        if not NAME.fullmatch(key):
            raise InputError(f"{child.path}: names are small letters, digits and '_'; rename it")
        members.append(replace(member, name=key))  # type: ignore[type-var]
    if not members:
        raise InputError(f"{node.path}.agents: names no proposer; give 'agents: {{NAME: {{…}}}}'")
    return Turns(tuple(members))


def _researcher(node: Node, roots: Sequence[Path], limits: Limits) -> Researcher:
    server = _server(node)
    prices = node.child("price")
    price = Price(prices.optional_number("input"), prices.optional_number("output"))
    prices.finish()
    if not math.isinf(limits.usd) and not price.is_known:
        raise InputError(
            f"budget.usd: the price of {server.model or 'the model'} is unknown; give "
            "agent.price.input and agent.price.output in dollars a million tokens (0 for your own "
            "server), or cap budget.tokens instead"
        )
    return Researcher(
        name="openai",
        server=server,
        price=price,
        ideas_at_once=node.whole("ideas_at_once", 4, least=1),
        brief_tokens=node.whole("brief_tokens", 24_000, least=500),
        program=program_text(node, roots),
        edits=node.flag("edits", True),
    )


def _command(node: Node, roots: Sequence[Path], limits: Limits) -> Command:
    prices = node.child("price")
    price = prices.optional_number("call")
    prices.finish()
    if not math.isinf(limits.usd) and price is None:
        raise InputError(
            "budget.usd: what a call of the agent costs is unknown; give agent.price.call in "
            "dollars, or cap budget.calls instead"
        )
    argv = node.texts("command")
    if not argv or shutil.which(argv[0]) is None:
        what = f"'{argv[0]}' is not installed" if argv else "missing"
        raise InputError(
            f"{node.path}.command: {what}; give the agent's command line as a list, e.g. "
            "agent.command='[claude,-p,\"{prompt}\"]' (agent=search needs none)"
        )
    box = node.text("box", "prefer")
    if box not in POLICIES:
        raise InputError(f"{node.path}.box: got '{box}', must be one of {', '.join(POLICIES)}")
    return Command(
        name="command",
        argv=argv,
        timeout_s=node.number("timeout_s", 1800.0, above=0.0),
        memory_gb=node.number("memory_gb", 8.0, above=0.0),
        box=box,
        read=node.texts("read"),
        env=node.texts("env"),
        price_usd=price,
        brief_tokens=node.whole("brief_tokens", 24_000, least=500),
        program=program_text(node, roots),
    )


def _server(node: Node) -> Server:
    base_url = node.text("base_url", "")
    is_hosted = not base_url
    base_url = base_url or os.environ.get("OPENAI_BASE_URL", "")
    structure = node.text("structure", str(Structure.AUTO))
    if structure not in set(Structure):
        known = ", ".join(Structure)
        raise InputError(f"{node.path}.structure: got '{structure}', must be one of {known}")
    server = Server(
        model=node.text("model", ""),
        base_url=base_url,
        key_name=node.text("key", "OPENAI_API_KEY" if is_hosted else ""),
        timeout_s=node.number("timeout_s", 180.0, above=0.0),
        patience_s=node.number("patience_s", 3600.0, above=0.0),
        max_tokens=node.whole("max_tokens", 8_000, least=16),
        temperature=node.optional_number("temperature"),
        is_streamed=node.flag("stream", False),
        structure=Structure(structure),
        extra=node.child("extra_body").rest(),
    )
    server_key(server)
    if not server.model and not server.base_url:
        raise InputError(
            f"{node.path}.model: missing, which model should be asked? give agent.model=NAME"
        )
    return server


def program_text(node: Node, roots: Sequence[Path]) -> str:
    """Read the user's ``program.md``: named, or beside the configuration or the command."""
    name = node.text("program", "")
    for root in roots:
        path = (root / Path(name or "program.md").expanduser()).resolve()
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")[:40_000]
    if name:
        raise InputError(f"{node.path}.program: no file '{name}'; correct the name")
    return ""
