"""How far a ladder's forecasts may be believed: what an audit found, as a policy uses it."""

from dataclasses import dataclass
from enum import StrEnum


class Light(StrEnum):
    """An audit's verdict on a ladder."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Trust:
    """What a policy takes from an audit; the defaults stand where there was none.

    light
        Red forbids certified accepts; amber asks for more (``certified_harm``).
    drift
        Doubt per nat of compute beyond the highest measured rung, delta in the formulas.
    misfit
        Error of a rung in nats of compute that replicates do not remove.
    conformal
        Factor of 1 or more that widens every interval so that it covers what it says.
    source
        Digest of the audit's panel and ladder, empty without an audit.
    """

    light: Light = Light.AMBER
    drift: float = 0.004
    misfit: float = 0.004
    conformal: float = 1.0
    source: str = ""

    @property
    def certified_harm(self) -> float:
        """How many times harm counts in a certified accept."""
        return 4.0 if self.light is Light.GREEN else 6.0
