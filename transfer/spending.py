"""What calls of models and agents cost, added up."""

from dataclasses import dataclass

from transfer.events import Asked


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

    def add(self, event: Asked) -> None:
        """Count one more call."""
        self.calls += 1
        self.tokens += event.tokens_in + event.tokens_out
        self.usd += event.usd or 0.0
        self.unpriced += event.usd is None
        self.seconds += event.seconds
        self.last = (event.place, event.call)
