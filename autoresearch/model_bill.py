"""What models will take, forecast before a study starts."""

import math

from autoresearch.brief.section import tokens_of
from autoresearch.proposer.command import Command
from autoresearch.proposer.model.researcher import Researcher
from autoresearch.proposer.turns import Turns
from miniscale.tree.compare_programs import editable_texts
from miniscale.tree.patch import Paths
from transfer.ladder import Ladder
from transfer.study.limits import Limits
from transfer.study.proposer_protocol import Proposer

REPLY_TOKENS = 1_500
"""assumption: of a reply, thinking included; models that think long take many times that."""
SENT_BACK = 1.25
"""assumption: one reply in four is sent back once."""
LEARNED_TOKENS = 4_000
"""assumption: what a brief holds beside the files, halfway through a study."""


def bill_lines(proposer: Proposer, ladder: Ladder, limits: Limits, *, in_flight: int) -> list[str]:
    """Say calls, tokens and dollars that a study's proposers will take, one line each.

    Empty for proposers that call nobody.
    """
    members = proposer.members if isinstance(proposer, Turns) else (proposer,)
    changes = math.ceil(limits.changes / len(members))
    lines = []
    for member in members:
        if isinstance(member, Researcher):
            lines.append(_model_line(member, ladder, limits, changes, in_flight))
        elif isinstance(member, Command):
            cost = "$?" if member.price_usd is None else f"${changes * member.price_usd:.2f}"
            lines.append(f"agent    {member.argv[0]}: about {changes} calls, {cost}{_of(limits)}")
    return lines


def _model_line(
    member: Researcher, ladder: Ladder, limits: Limits, changes: int, in_flight: int
) -> str:
    setting = ladder.setting
    paths = Paths(setting.editable, setting.locked)
    texts = editable_texts(setting.source, paths) if member.edits else {}
    files = sum(tokens_of(text) for text in texts.values())
    prompt = min(files + LEARNED_TOKENS, member.brief_tokens)
    ideas = max(min(member.ideas_at_once, in_flight) / 2, 1)  # as slots become free
    calls = math.ceil(changes / ideas * SENT_BACK)
    usd = member.price.of(calls * prompt, calls * REPLY_TOKENS)
    dollars = "$? (its price is unknown: agent.price)" if usd is None else f"${usd:.2f}"
    tokens = calls * (prompt + REPLY_TOKENS)
    name = member.server.model or member.server.base_url
    return f"model    {name}: about {calls} calls, {tokens:,} tokens, {dollars}{_of(limits)}"


def _of(limits: Limits) -> str:
    return f" of ${limits.usd:.2f}" if math.isfinite(limits.usd) else ""
