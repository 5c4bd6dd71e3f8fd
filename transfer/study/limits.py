"""What a study may spend and has spent: model calls, tokens, dollars, device-hours, wall time."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from miniscale.setting.trial import TrialSpec
from transfer.journal.spending import Spending, added
from transfer.journal.state import StudyState
from transfer.ladder import Ladder

WARNED_AT = 0.8
"""assumption: share of a cap from which a person is told."""


@dataclass(frozen=True)
class Limits:
    """What ends a study before its proposer does; compute is the plan's."""

    changes: int = 40
    hours: float = math.inf
    """Of one session: the same command goes on with as many again."""
    device_hours: float = math.inf
    usd: float = math.inf
    tokens: float = math.inf
    calls: float = math.inf


UNLIMITED = Limits(changes=sys.maxsize)
"""What a study in memory may spend: its budget of compute and no more."""


def spent(state: StudyState) -> Spending:
    """Add up what all proposers' calls cost."""
    return added(state.spending.values())


def call_refusal(state: StudyState, limits: Limits, *, tokens: int, usd: float | None) -> str:
    """Say which cap one more call could pass, taking the most that it may cost; empty if none."""
    so_far = spent(state)
    if so_far.calls + 1 > limits.calls:
        return f"{so_far.calls} calls were made, budget.calls is {limits.calls:g}"
    if so_far.tokens + tokens > limits.tokens:
        return (
            f"{so_far.tokens} tokens are used and one more call may take {tokens}, "
            f"budget.tokens is {limits.tokens:g}"
        )
    if usd is not None and so_far.usd + usd > limits.usd:
        return (
            f"${so_far.usd:.2f} are spent and one more call may take ${usd:.3f}, "
            f"budget.usd is ${limits.usd:.2f}"
        )
    return ""


def device_hours(ladder: Ladder, state: StudyState) -> float:
    """Return hours of devices, or of trials where there are no devices, that trials took."""
    devices = {rung.name: max(rung.gpus, 1) for rung in ladder.rungs}
    seconds = math.fsum(
        result.seconds * devices.get(rung, 1)
        for (_, rung), ended in state.trials.ended.items()
        for result in ended.values()
    )
    return seconds / 3600


class Watch:
    """Keeps the time of one session: what trials take, and which warnings were given."""

    def __init__(self, ladder: Ladder, limits: Limits, *, start: float) -> None:
        self._ladder, self._limits, self._start = ladder, limits, start
        self._warned: set[str] = set()

    def refusal(
        self, state: StudyState, specs: Iterable[TrialSpec], *, now: float, slots: int
    ) -> str:
        """Say which cap on time these trials would pass; empty if none.

        What they take is forecast by trials of the same rung; unknown rungs count nothing.
        """
        limits = self._limits
        if math.isinf(limits.hours) and math.isinf(limits.device_hours):
            return ""
        seconds = [self._seconds(state, spec.rung) for spec in specs]
        wall = max([math.fsum(seconds) / max(slots, 1), *seconds], default=0.0)
        if now - self._start + wall > limits.hours * 3600:
            return f"the next trials would end after budget.hours ({limits.hours:g})"
        hours = device_hours(self._ladder, state) + math.fsum(seconds) / 3600
        if hours > limits.device_hours:
            return f"the next trials would pass budget.device_hours ({limits.device_hours:g})"
        return ""

    def _seconds(self, state: StudyState, rung: str) -> float:
        """Return what a trial of a rung takes: the mean of the latest ones."""
        for key in reversed(state.trials.trail[-50:]):
            if key[1] == rung:
                ended = state.trials.ended[key].values()
                return math.fsum(result.seconds for result in ended) / len(ended)
        return 0.0

    def warnings(self, state: StudyState, *, now: float) -> list[str]:
        """Name caps that are four fifths used, each once a session."""
        limits, total = self._limits, spent(state)
        used = {
            "changes": (state.changes.n_fresh, limits.changes),
            "hours": ((now - self._start) / 3600, limits.hours),
            "tokens": (total.tokens, limits.tokens),
            "usd": (total.usd, limits.usd),
            "calls": (total.calls, limits.calls),
        }
        if math.isfinite(limits.device_hours):
            used["device_hours"] = (device_hours(self._ladder, state), limits.device_hours)
        texts = []
        for name, (have, most) in used.items():
            if have >= WARNED_AT * most and name not in self._warned:
                self._warned.add(name)
                texts.append(f"{have:.4g} of budget.{name}={most:.4g} are used")
        return texts


def spend_words(state: StudyState, limits: Limits | None = None) -> str:
    """Say what calls cost: ``$0.12 of $5.00 · 31,000 tokens``; empty where none were made."""
    total = spent(state)
    if not total.calls:
        return ""
    most = limits or Limits()
    return total.words(usd_cap=most.usd, token_cap=most.tokens)
