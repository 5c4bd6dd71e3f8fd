"""A proposer made of several that take turns."""

from dataclasses import dataclass

from transfer.study.proposer_protocol import (
    Done,
    Paused,
    Proposal,
    ProposalRequest,
    Proposer,
    asked_before,
)


@dataclass(frozen=True)
class Turns:
    """Asks its members one after another; who is next stands in the state.

    One that has nothing now is passed over; the study ends when none has anything.
    """

    members: tuple[Proposer, ...]
    name: str = "several"

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return the proposal of whoever is next."""
        asked = [asked_before(request.state, member.name) for member in self.members]
        order = sorted(range(len(asked)), key=lambda place: (asked[place], place))
        reasons: list[str] = []
        paused = False
        for place in order:
            member = self.members[place]
            proposal = member.propose(request)
            if proposal is not None and not isinstance(proposal, Done | Paused):
                return proposal
            paused |= isinstance(proposal, Paused)
            why = "has no more to propose" if proposal is None else proposal.reason
            reasons.append(f"{member.name}: {why}")
        reason = "; ".join(reasons)
        return Paused(reason) if paused else Done(reason)
