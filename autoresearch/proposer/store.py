"""Where proposals are worked on: each is a file, written before and after every call it takes.

A process killed at any moment thus finds every reply that was paid for; the journal holds what
each call cost, and the study goes on with the same change.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from miniscale.setting.records import decode_record, encode_record, replace_file
from transfer.change import Change
from transfer.events import CallBilled, Refused
from transfer.study.limits import call_refusal
from transfer.study.proposer_protocol import ProposalRequest

LOST = "lost: the process ended while it waited"


@dataclass(frozen=True)
class Answer:
    """One reply and what it took; ``problem`` is empty for one that ended as it should."""

    text: str
    model: str
    problem: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    tries: int = 1


@dataclass
class Call:
    """One call of a model or an agent; ``outcome`` is empty while it is under way."""

    request: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    reply: str = ""
    outcome: str = ""
    model: str = ""
    seconds: float = 0.0
    is_turn: bool = True
    """Whether the conversation goes on from it; probes and lost calls only cost."""


@dataclass
class ProposalRecord:
    """One proposal as it is worked on, and what came of it."""

    proposer: str
    place: int
    base: str
    ideas: int
    """How many were asked for."""
    brief: str
    repairs: str = ""
    calls: list[Call] = field(default_factory=list)
    entries: list[Change | Refused] | None = None
    """What came of it in order; None while it is not known."""


class ProposalStore:
    """Owns ``proposals/`` of a study's folder while a proposer answers one request."""

    def __init__(self, request: ProposalRequest) -> None:
        self.request = request
        self.study, self.limits, self.session = request.study, request.limits, request.session
        self.folder = request.session.folder / "proposals"
        self._starts: dict[str, list[int]] = {}
        self._latest: dict[str, ProposalRecord] = {}

    # -- records -----------------------------------------------------------------------------

    def find(self, proposer: str, place: int) -> ProposalRecord | None:
        """Return the record that a proposer's proposal number ``place`` belongs to, if begun."""
        if proposer not in self._starts:
            names = sorted(self.folder.glob(f"{proposer}-*.json"))
            self._starts[proposer] = sorted(int(path.stem.rpartition("-")[2]) for path in names)
        earlier = [start for start in self._starts[proposer][-64:] if start <= place]
        if not earlier:
            return None
        record = self._read(proposer, earlier[-1])
        if record.entries is not None and place >= record.place + len(record.entries):
            return None
        return record

    def _read(self, proposer: str, place: int) -> ProposalRecord:
        known = self._latest.get(proposer)
        if known is None or known.place != place:
            stored = json.loads(self._path(proposer, place).read_text())
            known = decode_record(ProposalRecord, stored)
            for call in known.calls:
                if not call.outcome:
                    call.outcome, call.is_turn = LOST, False
            self._latest[proposer] = known
            self._tell(known)
        return known

    def _path(self, proposer: str, place: int) -> Path:
        return self.folder / f"{proposer}-{place:05d}.json"

    def save(self, record: ProposalRecord) -> None:
        """Write a record, whole or not at all, then journal the calls that ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(record.proposer, record.place)
        part = path.with_suffix(".part")
        with open(part, "w", encoding="utf-8") as file:
            json.dump(encode_record(record), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        starts = self._starts.setdefault(record.proposer, [])
        if record.place not in starts[-1:]:
            starts.append(record.place)
        self._latest[record.proposer] = record
        self._tell(record)

    def _tell(self, record: ProposalRecord) -> None:
        """Journal the calls of a record that the journal does not know."""
        spending = self.study.state.spending.get(record.proposer)
        last = spending.last if spending is not None else (-1, 0)
        for number, call in enumerate(record.calls):
            if call.outcome and (record.place, number) > last:
                self.study.record(
                    CallBilled(
                        proposer=record.proposer,
                        place=record.place,
                        call=number,
                        model=call.model,
                        request=call.request,
                        outcome=call.outcome[:300],
                        tokens_in=call.tokens_in,
                        tokens_out=call.tokens_out,
                        usd=call.usd,
                        seconds=round(call.seconds, 3),
                    )
                )

    # -- calls -------------------------------------------------------------------------------

    def refusal(self, *, tokens: int, usd: float | None) -> str:
        """Say which cap one more call could pass; empty if it may be made."""
        return call_refusal(self.study.state, self.limits, tokens=tokens, usd=usd)

    def begin(self, record: ProposalRecord, call: Call) -> None:
        """Write down a call before it is made, at the most that it may cost."""
        record.calls.append(call)
        self.save(record)

    def end(
        self, record: ProposalRecord, answer: Answer, *, usd: float | None, outcome: str
    ) -> None:
        """Write down what the call that was begun brought, before anything is done with it."""
        call = record.calls[-1]
        call.reply, call.outcome, call.model = answer.text, outcome, answer.model
        call.tokens_in, call.tokens_out = answer.tokens_in, answer.tokens_out
        call.usd, call.seconds = usd, answer.seconds
        self.save(record)

    def drop(self, record: ProposalRecord) -> None:
        """Take back a call that was begun and cost nothing: the server never answered it."""
        record.calls.pop()
        self.save(record)

    def remembered(self, name: str) -> str:
        """Return what was noted of a server; empty if nothing was."""
        return self._servers().get(name, "")

    def remember(self, name: str, fact: str) -> None:
        """Note something of a server, so that it need not be found out again."""
        servers = self._servers()
        if servers.get(name) != fact:
            replace_file(self.folder / "servers.json", json.dumps({**servers, name: fact}))

    def _servers(self) -> dict[str, str]:
        path = self.folder / "servers.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return known
