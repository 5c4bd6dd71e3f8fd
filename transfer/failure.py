"""Why an arm has a trial without a number."""

from dataclasses import dataclass

from miniscale.setting.trial import Cause, TrialState

LONGEST_REASON = 300
"""Characters of a trial's last line that a person is shown; assumption: more is not read."""


@dataclass(frozen=True)
class Failure:
    """The lowest trial of an arm that left no number."""

    rung: str
    seed: int
    state: TrialState
    cause: Cause = Cause.NONE
    reason: str = ""
    """What the trial left, many lines of it perhaps."""
    is_repeated: bool = False
    """Whether a trial on another seed of the rung diverged too."""
    breaks: str = ""
    """The constraint that the arm breaks, in words; its trials have numbers then."""


def describe_failure(failure: Failure) -> str:
    """Say a failure in one line, by the last line of what the trial left.

    >>> describe_failure(Failure("d3", 1, TrialState.FAILED, Cause.OOM, "no memory"))
    'failed oom on d3, seed 1: no memory'
    """
    if failure.breaks:
        return f"breaks a constraint: {failure.breaks}"
    state = f"{failure.state} {failure.cause}".strip()
    times = " twice" if failure.is_repeated else ""
    last_line = (failure.reason.strip().splitlines() or ["no reason given"])[-1]
    at = f"on {failure.rung}, seed {failure.seed}"
    return f"{state}{times} {at}: {last_line.strip()[:LONGEST_REASON]}"
