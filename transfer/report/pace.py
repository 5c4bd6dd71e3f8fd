"""What a change costs in time and memory, so that a win in loss that costs speed is seen."""

import math
import statistics
from dataclasses import dataclass

from transfer.events import Effect
from transfer.journal.state import StudyState
from transfer.units import times


@dataclass(frozen=True)
class Pace:
    """A change's seconds and peak memory as multiples of its baseline's on one rung.

    Medians over runs; ``memory`` is None where no run told. Both arms ran the same compute.
    """

    seconds: float
    memory: float | None

    def at_equal_seconds(self, gain: float) -> float:
        """Return the gain if both arms had the same time, nats of compute.

        A baseline given q times the seconds does q times the compute: ``g - ln q``.
        """
        return gain - math.log(self.seconds)


def pace_of(state: StudyState, arm: str, base: str, rung: str) -> Pace | None:
    """Return a change's pace on a rung; None where no seconds were taken of both arms."""
    seconds = [_median(state, one, rung, "seconds") for one in (arm, base)]
    if not seconds[0] or not seconds[1]:
        return None
    memory = [_median(state, one, rung, "memory") for one in (arm, base)]
    ratio = memory[0] / memory[1] if memory[0] and memory[1] else None
    return Pace(seconds[0] / seconds[1], ratio)


def _median(state: StudyState, arm: str, rung: str, what: str) -> float | None:
    done = [result for result in state.trials.losses(arm, rung).values() if result.is_complete]
    if what == "seconds":
        values = [r.metrics.get("trainer_seconds", r.seconds) for r in done]
    else:
        values = [r.metrics[k] for r in done for k in ("peak_memory_gb",) if k in r.metrics]
    return statistics.median(values) if values else None


def pace_words(effect: Effect, pace: Pace) -> str:
    """Say pace beside a gain: ``small    1.20x the seconds, 1.00x the memory; …``."""
    memory = f", {pace.memory:.2f}x the memory" if pace.memory is not None else ""
    worth = times(pace.at_equal_seconds(effect.gain))
    return (
        f"{effect.rung:<8} {pace.seconds:.2f}x the seconds{memory}; {times(effect.gain)} at equal "
        f"compute is {worth} at equal seconds"
    )
