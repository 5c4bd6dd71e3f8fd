"""What the plain policies share: the first run, what a crash means, a normal forecast."""

from transfer.events import Action, Effect, GainForecast, Outcome
from transfer.failure import describe_failure
from transfer.measure.trend import NORMAL, Z80
from transfer.policy.protocol import Decision, Evidence

HARM = -0.005
"""A gain at the target below this counts as harm, nats of compute."""


def opening(evidence: Evidence, *, seeds: int) -> Decision | None:
    """Reject what crashed and run what is new on the lowest rung; None for anything else."""
    first = evidence.ladder.rungs[0].name
    if evidence.failure:
        at = evidence.effects[-1].rung if evidence.effects else first
        return Decision(
            Action.STOP, at, (describe_failure(evidence.failure),), outcome=Outcome.REJECTED
        )
    if not evidence.effects:
        return Decision(Action.PROMOTE, first, ("new",), seeds=seeds)
    return None


def carried(effect: Effect) -> GainForecast:
    """Read an effect as if it held at every scale: what who does not extrapolate believes."""
    return normal(effect.gain, effect.gain_se)


def normal(mean: float, sd: float, *, slope: float = 0.0) -> GainForecast:
    """Return the forecast of a normal belief in a gain, with its 80 % interval.

    >>> look = normal(0.1, 0.05)
    >>> f"{look.low:.3f} {look.high:.3f} {look.odds:.3f}"
    '0.036 0.164 0.977'
    """
    sd = max(sd, 1e-9)
    return GainForecast(
        mean=mean,
        sd=sd,
        low=mean - Z80 * sd,
        high=mean + Z80 * sd,
        odds=NORMAL.cdf(mean / sd),
        slope=slope,
        harm=NORMAL.cdf((HARM - mean) / sd),
    )


def accept(effect: Effect, look: GainForecast, reason: str) -> Decision:
    """Take a change into the head; no plain policy certifies."""
    return Decision(Action.ACCEPT, effect.rung, (reason,), look, outcome=Outcome.PROVISIONAL)


def refuse(effect: Effect, look: GainForecast, reason: str) -> Decision:
    """Stop a change for good."""
    return Decision(Action.STOP, effect.rung, (reason,), look, outcome=Outcome.REJECTED)
