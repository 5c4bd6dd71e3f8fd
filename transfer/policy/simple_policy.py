"""What the simple policies share: the first run, what a crash means, a normal forecast."""

from transfer.belief.mixture import normal_forecast
from transfer.events import Action, Effect, GainForecast, Outcome
from transfer.failure import describe_failure
from transfer.policy.protocol import Decision, Evidence

CERTIFIED_SPAN = 15.0
"""A certified accept was measured over at least this ratio of compute."""
# assumption: what a ladder of three rungs spans


def opening(evidence: Evidence, *, seeds: int) -> Decision | None:
    """Reject what crashed and run what is new on the lowest rung; None for anything else."""
    first = evidence.ladder.rungs[0].name
    if evidence.failure:
        last_rung = evidence.effects[-1].rung if evidence.effects else first
        return Decision(
            Action.STOP, last_rung, (describe_failure(evidence.failure),), outcome=Outcome.REJECTED
        )
    if not evidence.effects:
        return Decision(Action.PROMOTE, first, ("new",), seeds=seeds)
    return None


def carried(effect: Effect) -> GainForecast:
    """Read an effect as if it held at every scale: what who does not extrapolate believes."""
    return normal_forecast(effect.gain, effect.gain_se)


def accept(effect: Effect, forecast: GainForecast, reason: str) -> Decision:
    """Take a change into the head; no plain policy certifies."""
    return Decision(Action.ACCEPT, effect.rung, (reason,), forecast, outcome=Outcome.PROVISIONAL)


def refuse(effect: Effect, forecast: GainForecast, reason: str) -> Decision:
    """Stop a change for good."""
    return Decision(Action.STOP, effect.rung, (reason,), forecast, outcome=Outcome.REJECTED)
