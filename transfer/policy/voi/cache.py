"""Cache of what the policy ``atoms`` computed of a study; it changes speed and no answer."""

from dataclasses import dataclass, field
from typing import Any

from transfer.belief.posterior import Belief, Hint, Model
from transfer.belief.prior import Array
from transfer.policy.voi.knobs import KnobEdit
from transfer.policy.voi.tally import Tally

MOST, MOST_LARGE = 8192, 256
"""Entries of one sort from which all are forgotten, and large ones from which that sort is."""


@dataclass
class Memory:
    """What was computed once and is asked for again; it changes no answer."""

    beliefs: dict[object, Belief] = field(default_factory=dict)
    models: dict[object, tuple[Model, object]] = field(default_factory=dict)
    errors: dict[object, tuple[float, float] | None] = field(default_factory=dict)
    hints: dict[object, Hint | None] = field(default_factory=dict)
    digests: dict[object, str] = field(default_factory=dict)
    elsewhere: dict[object, tuple[float, float]] = field(default_factory=dict)
    rows: dict[object, tuple[object, Array, float]] = field(default_factory=dict)
    earned: dict[object, float] = field(default_factory=dict)
    edits: dict[object, tuple[dict[str, tuple[KnobEdit, ...]], object]] = field(
        default_factory=dict
    )
    tally: Tally = field(default_factory=Tally)

    def trim(self) -> None:
        """Forget everything once there is much of it."""
        if len(self.edits) > 1:
            self.edits.clear()
        for large in (self.beliefs, self.hints):
            if len(large) > MOST_LARGE:
                large.clear()
        every: tuple[dict[object, Any], ...] = (
            self.beliefs,
            self.models,
            self.errors,
            self.hints,
            self.digests,
            self.elsewhere,
            self.rows,
            self.earned,
            self.edits,
        )
        if max(len(kept) for kept in every) > MOST:
            for kept in every:
                kept.clear()
