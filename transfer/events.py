"""What can happen in a study; the journal holds these and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from miniscale.setting.trial import TrialResult
from transfer.change import Change
from transfer.ladder_trust import Trust

FORMULAS = 1
"""Version of the formulas behind effects and verdicts; a study names the one that it began with."""


class Outcome(StrEnum):
    """What a study concludes of a change."""

    CERTIFIED = "accepted, certified"
    PROVISIONAL = "accepted, provisional"
    SCALE_BOUND = "scale_bound"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    SUSPICIOUS = "suspicious"
    """Too good or too equal to be believed until a person has looked and confirms it."""

    @property
    def is_accepted(self) -> bool:
        """Whether the change goes into the working head."""
        return self in (Outcome.CERTIFIED, Outcome.PROVISIONAL)


class Action(StrEnum):
    """The next step for a change."""

    STOP = "stop"
    REPEAT = "repeat"
    PROMOTE = "promote"
    ACCEPT = "accept"


@dataclass(frozen=True)
class Effect:
    """Improvement of a change over its baseline on one rung; positive is better.

    ``gain`` and ``gain_se`` are in nats of compute (0.05 is worth 5 % more compute), ``loss_gain``
    and ``loss_se`` in the objective's unit.
    """

    rung: str
    position: float
    """ln(scale / lowest rung's scale)."""
    n: int
    n_pairs: int
    n_baseline: int
    loss_gain: float
    loss_se: float
    gain: float
    gain_se: float
    shared_se: float = 0.0
    """The part of ``gain_se`` that is the baseline's own error, common to all changes there."""
    extra_cost: float = 0.0
    """Compute that the change's trials took beyond the baseline's, in nats: off ``gain``."""


@dataclass(frozen=True)
class GainForecast:
    """What the evidence says of a change at the target, in nats of compute.

    ``odds`` is the probability that the gain at the target is positive.
    """

    mean: float
    sd: float
    low: float
    high: float
    odds: float
    slope: float
    """Posterior mean of the gain's change per nat of compute."""
    harm: float = 0.0
    """Probability that the target is worse off by more than .005."""


@dataclass(frozen=True)
class Request:
    """One trial that a batch asks for."""

    arm: str
    rung: str
    seed: int
    identity: str


@dataclass(frozen=True)
class Started:
    """A study began."""

    name: str
    ladder_digest: str
    seed: int
    policy: str
    environment: Mapping[str, str]
    formulas: int = FORMULAS
    tops_up: bool = False
    """Whether baselines get more seeds as more changes are measured against them."""


@dataclass(frozen=True)
class BaselineSet:
    """A baseline was set: changes from now on are measured against this commit."""

    arm: str
    commit: str


@dataclass(frozen=True)
class Proposed:
    """A change entered the study."""

    arm: str
    base: str
    change: Change
    rescreens: str = ""
    """The earlier change that this one repeats on a newer baseline."""
    cost: float = 0.0
    """What having the idea took from the budget, in the ladder's unit."""
    program: str = ""
    """Digest of what runs, layout taken away; equal programs are one change."""


@dataclass(frozen=True)
class CallBilled:
    """A model or an agent was called, and what it cost is known; the call itself is on disk.

    ``place`` counts the proposer's proposals, ``call`` the calls of one of them.
    """

    proposer: str
    place: int
    call: int
    model: str
    request: str
    """Digest of what was asked."""
    outcome: str
    """``ok``, or what was wrong with the reply."""
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float | None = None
    """Dollars; None where the price is unknown."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Refused:
    """A proposal never became a change: a duplicate, a bad patch, an unknown knob."""

    title: str
    reason: str
    proposer: str
    repairs: str = ""
    """Arm of the crashed change that this would have mended."""


@dataclass(frozen=True)
class ForecastMade:
    """A prediction of a rung's effect, written down before the rung is run; nats of compute."""

    arm: str
    rung: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class TrialsRequested:
    """A batch of trials that decisions wait for; all decisions are taken between batches."""

    number: int
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class TrialFinished:
    """A trial ended."""

    result: TrialResult
    cost: float
    """What it took from the budget, in the ladder's unit."""


@dataclass(frozen=True)
class Imported:
    """A run made elsewhere was entered; it takes nothing from the budget.

    ``rung`` is the target's name where ``is_target``: such a run scores claims and decides nothing.
    """

    arm: str
    rung: str
    seed: int
    result: TrialResult
    source: str
    """Name of the table it came from."""
    is_target: bool = False


@dataclass(frozen=True)
class StepChosen:
    """The policy chose a next step for a change on a rung."""

    arm: str
    batch: int
    """How many batches had ended."""
    rung: str
    action: Action
    effects: tuple[Effect, ...]
    gain_forecast: GainForecast | None
    seeds: int
    reason: str
    is_retry: bool = False
    """Whether it repeats a trial that diverged, on a new seed."""


@dataclass(frozen=True)
class VerdictReached:
    """A verdict: what is concluded of a change, and from what."""

    arm: str
    outcome: Outcome
    effects: tuple[Effect, ...]
    gain_forecast: GainForecast | None
    reasons: tuple[str, ...]
    price: float = 0.0
    """What deciding an undecided change would cost, in the ladder's unit."""
    prior: str = ""
    """Digest of the prior that the forecast rests on."""


@dataclass(frozen=True)
class Confirmed:
    """A person looked at a suspicious change and vouches for its numbers."""

    arm: str
    why: str = ""


@dataclass(frozen=True)
class Accepted:
    """An accepted change became a commit on the study's branch."""

    arm: str
    commit: str


@dataclass(frozen=True)
class Deferred:
    """An accepted change waits: it will be measured again on a newer baseline."""

    arm: str
    reason: str


@dataclass(frozen=True)
class Dropped:
    """An accepted change was taken off the branch again."""

    arm: str
    reason: str


@dataclass(frozen=True)
class RoundClosing:
    """A round is due to end: no more changes are taken in until it has."""

    reason: str


@dataclass(frozen=True)
class RoundReviewed:
    """The policy looked at a round as a whole; its verdicts and stacks follow as events."""

    stacks: tuple[tuple[str, ...], ...]
    verdicts: tuple[VerdictReached, ...]
    is_settled: bool


@dataclass(frozen=True)
class RoundClosed:
    """A round ended; a baseline that moved stands before this in an event of its own."""

    number: int


@dataclass(frozen=True)
class ExamRequested:
    """A baseline is to be compared with the first one, on fresh seeds of both."""

    arm: str
    seeds: Mapping[str, tuple[int, ...]]
    """Rung -> seeds."""
    arms: tuple[str, ...] = ()
    """The accepted changes that lie between them; empty in older journals."""
    trust: Trust = field(default_factory=Trust)
    """What was believed of the ladder: the claim is made with it."""


@dataclass(frozen=True)
class AblationRequested:
    """An exam fell short: the head runs again beside heads without one of its changes each."""

    arm: str
    """The baseline whose exam fell short."""
    rung: str
    seeds: tuple[int, ...]
    parts: Mapping[str, str]
    """Arm to run -> the accepted change that it is without."""


@dataclass(frozen=True)
class AblationConcluded:
    """What a question showed; the changes that fail are judged anew and leave the branch."""

    arm: str
    verdicts: tuple[VerdictReached, ...]


@dataclass(frozen=True)
class Stopped:
    """The study ended or paused."""

    reason: str
    is_final: bool = field(default=True)


Event = (
    Started
    | BaselineSet
    | CallBilled
    | Proposed
    | Refused
    | ForecastMade
    | TrialsRequested
    | TrialFinished
    | Imported
    | StepChosen
    | VerdictReached
    | Confirmed
    | Accepted
    | Deferred
    | Dropped
    | RoundClosing
    | RoundReviewed
    | RoundClosed
    | ExamRequested
    | AblationRequested
    | AblationConcluded
    | Stopped
)
