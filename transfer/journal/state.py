"""What the journal adds up to: a fold over events, nothing more."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from miniscale.setting.trial import TrialResult
from miniscale.setting.trial import TrialState as Ended
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    BaselineSet,
    CallBilled,
    Deferred,
    Dropped,
    Event,
    ExamRequested,
    ForecastMade,
    Imported,
    Proposed,
    Refused,
    Request,
    RoundClosed,
    RoundClosing,
    RoundReviewed,
    Started,
    StepChosen,
    Stopped,
    TrialFinished,
    TrialsRequested,
    VerdictReached,
)
from transfer.exact_sum import ExactSum
from transfer.journal.spending import Spending

Key = tuple[str, str]
"""(arm, rung)."""


@dataclass
class StudyState:
    """Where a study stands. Changed by :meth:`apply` alone, in time that does not grow."""

    started: Started | None = None
    bases: dict[str, str] = field(default_factory=dict)
    """Baseline arm -> commit, oldest first."""
    changes: dict[str, Proposed] = field(default_factory=dict)
    """Everything measured against a baseline, stacks among it."""
    refused: list[Refused] = field(default_factory=list)
    n_refused: int = 0
    """Refusals since the last batch."""
    results: dict[str, TrialResult] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    requests: dict[Key, dict[int, str]] = field(default_factory=dict)
    """(arm, rung) -> seed -> trial identity."""
    batches: list[TrialsRequested] = field(default_factory=list)
    forecasts: dict[Key, ForecastMade] = field(default_factory=dict)
    decisions: list[StepChosen] = field(default_factory=list)
    latest: dict[str, StepChosen] = field(default_factory=dict)
    """Arm -> its newest decision, while it is in flight."""
    verdicts: dict[str, VerdictReached] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """Arm -> commit on the study's branch, in order."""
    deferred: dict[str, str] = field(default_factory=dict)
    """Arm -> why an accepted change is not on the branch yet."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Arm -> why an accepted change was taken off the branch again."""
    stopped: Stopped | None = None

    closing: str = ""
    """Why the round is due to end; empty while it is not."""
    review: RoundReviewed | None = None
    """The last look at the round that is closing."""
    n_reviews: int = 0
    """Looks at the round that is closing."""
    n_closed: int = 0
    """Rounds that a review ended."""
    n_since: int = 0
    """Changes with a first trial since then."""
    is_deciding: bool = False
    """Whether a change without trials was decided on since the last batch."""
    spent_by_trials: float = 0.0
    """What was spent by the end of the last trial."""
    exams: dict[str, ExamRequested] = field(default_factory=dict)
    questions: dict[str, AblationRequested] = field(default_factory=dict)
    answers: dict[str, AblationConcluded] = field(default_factory=dict)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Arm of a question -> the accepted changes in it, on the first baseline."""
    rebuilt: dict[str, None] = field(default_factory=dict)
    """Accepted changes still to be committed again, after an answer took others off the branch."""
    spending: dict[str, Spending] = field(default_factory=dict)
    """Proposer -> what its calls cost."""
    programs: dict[str, str] = field(default_factory=dict)
    """Digest of a program -> the first change that had it."""
    repaired: set[str] = field(default_factory=set)
    """Crashed changes that went back to their proposer."""

    ended: dict[Key, dict[int, TrialResult]] = field(default_factory=dict)
    """(arm, rung) -> seed -> result, in no order of meaning."""
    trail: list[Key] = field(default_factory=list)
    """Keys of ``ended`` as they changed, so that a reader can catch up."""
    moves: list[str] = field(default_factory=list)
    """Arms as their standing changed, likewise."""
    measured: dict[Key, int] = field(default_factory=dict)
    """(baseline, rung) -> how many changes were asked for there."""
    at_target: dict[str, dict[int, TrialResult]] = field(default_factory=dict)
    """Arm -> seed -> run at the target, made elsewhere."""
    broken: set[str] = field(default_factory=set)
    """Arms with a trial that left no number, unless it diverged for the first time on its rung."""
    diverged: dict[Key, set[int]] = field(default_factory=dict)
    """(arm, rung) -> seeds on which a trial diverged, exams left out."""
    retried: set[Key] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    """Changes that a trial was asked for."""
    waiting: dict[str, None] = field(default_factory=dict)
    """Arms accepted by verdict that are neither on the branch nor deferred."""
    taken: dict[str, None] = field(default_factory=dict)
    """Arms that went onto the branch since the baseline moved."""
    on_base: dict[str, int] = field(default_factory=dict)
    """Baseline -> changes with a first trial against it, stacks left out."""
    rescreened: dict[str, str] = field(default_factory=dict)
    """Arm -> the arm that repeats it on a newer baseline."""
    stacks: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    """(baseline, members) -> the arm that puts them together."""
    _open: dict[str, Proposed] = field(default_factory=dict)
    _waiting: dict[str, list[Request]] = field(default_factory=dict)
    _spent: ExactSum = field(default_factory=ExactSum)
    _spent_closing: ExactSum = field(default_factory=ExactSum)

    @property
    def base(self) -> str:
        """The baseline arm that new changes are measured against."""
        return next(reversed(self.bases))

    @property
    def first_base(self) -> str:
        """The oldest baseline arm; empty before there is one."""
        return next(iter(self.bases), "")

    @property
    def head(self) -> str:
        """The newest commit of the study's branch."""
        return next(reversed(self.accepted.values()), next(iter(self.bases.values())))

    @property
    def n_changes(self) -> int:
        """How many ideas were taken in: no stacks, no change measured again."""
        return len(self.changes) - self.n_stacks - len(self.rescreened)

    @property
    def n_stacks(self) -> int:
        """How many stacks were put together."""
        return len(self.stacks)

    @property
    def spent(self) -> float:
        """What ideas and trials took from the budget, in the ladder's unit."""
        return self._spent.value

    @property
    def spent_closing(self) -> float:
        """What of it went into stacks."""
        return self._spent_closing.value

    def n_spare(self, arm: str, rung: str) -> int:
        """Return how many more seeds an arm gets on a rung: one where it diverged."""
        return min(len(self.diverged.get((arm, rung), ())), 1)

    def is_forgiven(self, arm: str, rung: str, result: TrialResult) -> bool:
        """Whether a trial without a number does not count against its arm: diverged, once."""
        n = len(self.diverged.get((arm, rung), ()))
        return result.state is Ended.DIVERGED and n == self.n_spare(arm, rung)

    def is_exam(self, arm: str, rung: str, seed: int) -> bool:
        """Whether an exam asked for a trial, or a question after one."""
        asked = [e for e in self.exams.values() if arm in (e.arm, self.first_base)]
        questions = [q for q in self.questions.values() if arm in (q.arm, *q.parts)]
        return any(seed in exam.seeds.get(rung, ()) for exam in asked) or any(
            rung == question.rung and seed in question.seeds for question in questions
        )

    def in_flight(self) -> list[Proposed]:
        """Return changes without a verdict, in the order proposed."""
        return list(self._open.values())

    def pending(self) -> list[Request]:
        """Return trials of the last batch that have not ended."""
        if not self._waiting or not self.batches:
            return []
        return [r for r in self.batches[-1].requests if r.identity in self._waiting]

    def awaited(self, identity: str) -> Request | None:
        """Return the request that a trial answers, if it has not ended."""
        return next(iter(self._waiting.get(identity, ())), None)

    def losses(self, arm: str, rung: str) -> dict[int, TrialResult]:
        """Return the ended trials of an arm on a rung by seed."""
        ended = self.ended.get((arm, rung), {})
        return {seed: ended[seed] for seed in sorted(ended)}

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        self.stopped = None
        match event:
            case TrialFinished():
                self._end(event)
            case TrialsRequested():
                self._ask(event)
            case StepChosen():
                self.decisions.append(event)
                self.latest[event.arm] = event
                self.is_deciding |= event.arm not in self.begun
                if event.is_retry:
                    self.retried.add((event.arm, event.rung))
            case Proposed():
                self._enter(event)
            case ForecastMade():
                self.forecasts[event.arm, event.rung] = event
            case VerdictReached():
                self._judge(event)
            case Refused():
                self.refused.append(event)
                self.n_refused += 1
                self.repaired |= {event.repairs} - {""}
            case CallBilled():
                self.spending.setdefault(event.proposer, Spending()).add(event)
            case Accepted() | Deferred() | Dropped():
                self._move(event)
            case RoundClosing() | RoundReviewed() | RoundClosed():
                self._close(event)
            case Started():
                self.started = event
            case BaselineSet():
                self.bases[event.arm] = event.commit
                self.taken = {}
            case ExamRequested():
                self.exams[event.arm] = event
            case AblationRequested() | AblationConcluded():
                self._question(event)
            case Imported():
                self._take(event)
            case Stopped():
                self.stopped = event

    def _enter(self, event: Proposed) -> None:
        self.changes[event.arm] = event
        self._open[event.arm] = event
        self.moves.append(event.arm)
        if event.cost:
            self._spent.add(event.cost)
        if event.program and not event.change.members:
            self.programs.setdefault(event.program, event.arm)
        self.repaired |= {event.change.repairs} - {""}
        if event.rescreens:
            self.rescreened[event.rescreens] = event.arm
        if event.change.members:
            self.stacks[event.base, event.change.members] = event.arm

    def _judge(self, event: VerdictReached) -> None:
        arm, change = event.arm, self.changes[event.arm].change
        self.verdicts[arm] = event
        self._open.pop(arm, None)
        self.latest.pop(arm, None)
        self.moves.append(arm)
        is_taken = arm in self.accepted or arm in self.deferred or arm in self.dropped
        if event.outcome.is_accepted and not (is_taken or change.is_control or change.members):
            self.waiting[arm] = None
        else:
            self.waiting.pop(arm, None)

    def _ask(self, event: TrialsRequested) -> None:
        self.batches.append(event)
        self.n_refused = 0
        self.is_deciding = False
        for asked in event.requests:
            key = (asked.arm, asked.rung)
            if key not in self.requests:
                self.requests[key] = {}
                if asked.arm in self.changes:
                    self._begin(self.changes[asked.arm], asked.rung)
            self.requests[key][asked.seed] = asked.identity
            if asked.identity in self.results:
                self._land(asked, self.results[asked.identity])
            else:
                self._waiting.setdefault(asked.identity, []).append(asked)

    def _begin(self, proposed: Proposed, rung: str) -> None:
        base = proposed.base
        self.measured[base, rung] = self.measured.get((base, rung), 0) + 1
        if proposed.arm not in self.begun:
            self.begun.add(proposed.arm)
            if not proposed.change.members:
                self.n_since += 1
                self.on_base[base] = self.on_base.get(base, 0) + 1

    def _end(self, event: TrialFinished) -> None:
        result = event.result
        is_new = result.identity not in self.results
        self.results[result.identity] = result
        self.costs[result.identity] = event.cost
        waiting = self._waiting.pop(result.identity, [])
        for asked in waiting:
            self._land(asked, result)
        if is_new:
            self._spent.add(event.cost)
            proposed = self.changes.get(waiting[0].arm) if waiting else None
            if proposed is not None and proposed.change.members:
                self._spent_closing.add(event.cost)
            self.spent_by_trials = self.spent

    def _take(self, event: Imported) -> None:
        if event.is_target:
            self.at_target.setdefault(event.arm, {})[event.seed] = event.result
            return
        asked = Request(event.arm, event.rung, event.seed, event.result.identity)
        self.requests.setdefault((event.arm, event.rung), {})[event.seed] = asked.identity
        self.results[asked.identity] = event.result
        self.costs[asked.identity] = 0.0
        self._land(asked, event.result)

    def _land(self, asked: Request, result: TrialResult) -> None:
        key = (asked.arm, asked.rung)
        self.ended.setdefault(key, {})[asked.seed] = result
        self.trail.append(key)
        if not result.is_complete:
            is_exam = self.is_exam(*key, asked.seed)
            if result.state is Ended.DIVERGED and not is_exam:
                self.diverged.setdefault(key, set()).add(asked.seed)
            if not self.is_forgiven(asked.arm, asked.rung, result):
                self.broken.add(asked.arm)

    def _move(self, event: Accepted | Deferred | Dropped) -> None:
        self.moves.append(event.arm)
        self.waiting.pop(event.arm, None)
        match event:
            case Accepted():
                self.accepted[event.arm] = event.commit
                self.rebuilt.pop(event.arm, None)
                if self.changes[event.arm].base == self.base:
                    self.taken[event.arm] = None
            case Deferred():
                self.deferred[event.arm] = event.reason
            case Dropped():
                self.accepted.pop(event.arm, None)
                self.rebuilt.pop(event.arm, None)
                self.taken.pop(event.arm, None)
                self.dropped[event.arm] = event.reason

    def _question(self, event: AblationRequested | AblationConcluded) -> None:
        if isinstance(event, AblationRequested):
            self.questions[event.arm] = event
            arms = self.exams[event.arm].arms
            for part, out in event.parts.items():
                self.parts[part] = tuple(arm for arm in arms if arm != out)
            return
        self.answers[event.arm] = event
        failed = {verdict.arm for verdict in event.verdicts}
        self.rebuilt = {arm: None for arm in self.accepted if failed and arm not in failed}

    def _close(self, event: RoundClosing | RoundReviewed | RoundClosed) -> None:
        match event:
            case RoundClosing():
                self.closing, self.review, self.n_reviews = event.reason, None, 0
            case RoundReviewed():
                self.review, self.n_reviews = event, self.n_reviews + 1
            case RoundClosed():
                self.closing, self.review, self.n_reviews = "", None, 0
                self.n_closed, self.n_since = self.n_closed + 1, 0


def replay(events: Iterable[Event]) -> StudyState:
    """Fold events into a state."""
    state = StudyState()
    for event in events:
        state.apply(event)
    return state
