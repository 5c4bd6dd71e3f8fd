"""``agent=openai``: a model behind an OpenAI-compatible server, asked for ideas."""

from dataclasses import dataclass, field

from autoresearch.proposer.model.client import Endpoint
from autoresearch.proposer.model.conversation import Conversation
from autoresearch.proposer.model.server import Price, Server
from autoresearch.proposer.next_proposal import next_entry
from autoresearch.proposer.store import ProposalStore
from transfer.study.proposer_protocol import Proposal, ProposalRequest, Session


@dataclass
class Researcher:
    """Owns the connection to one model; all else it knows stands in the state or in the store."""

    name: str
    server: Server
    price: Price = field(default_factory=Price)
    ideas_at_once: int = 4
    brief_tokens: int = 24_000
    program: str = ""
    """The user's own words on what to look for."""
    edits: bool = True
    """Whether files are shown and edited; if not, a small model sets knobs alone."""
    _endpoint: Endpoint | None = field(default=None, init=False, repr=False)

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return the next change, from the ideas at hand or from new ones."""
        store, endpoint = ProposalStore(request), self.connected(request.session)
        return next_entry(
            store,
            self.name,
            work=lambda record: Conversation(
                store, record, endpoint, price=self.price, edits=self.edits
            ).hold(),
            ideas_at_once=self.ideas_at_once,
            brief_tokens=self.brief_tokens,
            program=self.program,
            edits=self.edits,
        )

    def connected(self, session: Session) -> Endpoint:
        """Return the connection, made at first use."""
        if self._endpoint is None:
            self._endpoint = Endpoint(
                self.server, clock=session.clock, sleep=session.sleep, say=session.say
            )
        return self._endpoint
