"""What calls of models and agents cost, added up."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from transfer.events import CallBilled


@dataclass
class Spending:
    """What calls of one proposer cost so far; dollars of calls whose price is known."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    """Calls whose price is unknown."""
    seconds: float = 0.0
    last: tuple[int, int] = (-1, 0)
    """Place and number of the last call."""

    def add(self, event: CallBilled) -> None:
        """Count one more call."""
        self.calls += 1
        self.tokens += event.tokens_in + event.tokens_out
        self.usd += event.usd or 0.0
        self.unpriced += event.usd is None
        self.seconds += event.seconds
        self.last = (event.place, event.call)

    @property
    def is_priced(self) -> bool:
        """Whether the dollars of any call are known."""
        return self.unpriced < self.calls

    def words(self, *, usd_cap: float = math.inf, token_cap: float = math.inf) -> str:
        """Say it in a line: ``$0.12 of $5.00 · 31,000 tokens in 5 calls``."""
        most = f" of {token_cap:,.0f}" if math.isfinite(token_cap) else ""
        dollars = self.dollars + (f" of ${usd_cap:.2f}" if math.isfinite(usd_cap) else "")
        return f"{dollars} · {self.tokens:,}{most} tokens in {self.calls} calls"

    @property
    def dollars(self) -> str:
        """Dollars in words; an unknown price is said, never taken for nothing."""
        if not self.is_priced:
            return "$? (price unknown)"
        return f"${self.usd:.2f}" + (" and calls of unknown price" if self.unpriced else "")


def added(each: Iterable[Spending]) -> Spending:
    """Add up what several proposers' calls cost."""
    total = Spending()
    for one in each:
        total.calls += one.calls
        total.tokens += one.tokens
        total.usd += one.usd
        total.unpriced += one.unpriced
        total.seconds += one.seconds
    return total
