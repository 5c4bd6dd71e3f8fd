"""What the journal adds up to: a fold over events, nothing more."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from miniscale.setting.trial import TrialResult
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    BaselineSet,
    CallBilled,
    Confirmed,
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
from transfer.journal.change_record import ChangeLedger, ChangeRecord
from transfer.journal.spending import Spending
from transfer.journal.trial_ledger import Key, Trial, TrialLedger


@dataclass
class RoundState:
    """The round that is open, or closing."""

    closing: str = ""
    """Why it is due to end; empty while it is not."""
    review: RoundReviewed | None = None
    """The last look at it while it closes."""
    n_reviews: int = 0
    """Looks at it while it closes."""
    n_closed: int = 0
    """Rounds that a review ended."""
    n_since: int = 0
    """Changes with a first trial since then."""
    taken: dict[str, ChangeRecord] = field(default_factory=dict)
    """Changes measured against the baseline that went onto the branch since it moved."""
    on_base: dict[str, int] = field(default_factory=dict)
    """Baseline -> changes with a first trial against it, stacks left out."""

    def apply(self, event: RoundClosing | RoundReviewed | RoundClosed) -> None:
        """Take one more event of a round's end into account."""
        match event:
            case RoundClosing():
                self.closing, self.review, self.n_reviews = event.reason, None, 0
            case RoundReviewed():
                self.review, self.n_reviews = event, self.n_reviews + 1
            case RoundClosed():
                self.closing, self.review, self.n_reviews = "", None, 0
                self.n_closed, self.n_since = self.n_closed + 1, 0


@dataclass
class ExamRecord:
    """The exam of a baseline, and the ablation of its changes if it fell short."""

    request: ExamRequested
    question: AblationRequested | None = None
    answer: AblationConcluded | None = None

    def trials(self, first_base: str) -> list[Trial]:
        """Return what the exam, against the first baseline, and its ablation ask for."""
        asked = [
            (arm, rung, seed)
            for arm in (self.request.arm, first_base)
            for rung, seeds in self.request.seeds.items()
            for seed in seeds
        ]
        if ablation := self.question:
            arms = (ablation.arm, *ablation.parts)
            asked += [(arm, ablation.rung, seed) for arm in arms for seed in ablation.seeds]
        return asked


@dataclass
class Outlay:
    """What was taken from the budget, in the ladder's unit."""

    total: ExactSum = field(default_factory=ExactSum)
    """By ideas and trials."""
    closing: ExactSum = field(default_factory=ExactSum)
    """What of it went into stacks."""
    by_trials: float = 0.0
    """The total by the end of the last trial."""


@dataclass
class StudyState:
    """Where a study stands. Changed by :meth:`apply` alone, in time that does not grow."""

    started: Started | None = None
    bases: dict[str, str] = field(default_factory=dict)
    """Baseline arm -> commit, oldest first."""
    changes: ChangeLedger = field(default_factory=ChangeLedger)
    trials: TrialLedger = field(default_factory=TrialLedger)
    round: RoundState = field(default_factory=RoundState)
    exams: dict[str, ExamRecord] = field(default_factory=dict)
    """Baseline arm -> its exam."""
    refused: list[Refused] = field(default_factory=list)
    n_refused: int = 0
    """Refusals since the last batch."""
    is_deciding: bool = False
    """Whether a change without trials was decided on since the last batch."""
    forecasts: dict[Key, ForecastMade] = field(default_factory=dict)
    decisions: list[StepChosen] = field(default_factory=list)
    spending: dict[str, Spending] = field(default_factory=dict)
    """Proposer -> what its calls cost."""
    outlay: Outlay = field(default_factory=Outlay)
    stopped: Stopped | None = None

    def __post_init__(self) -> None:
        self.changes.broken = self.trials.broken

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
        newest = next(reversed(self.changes.accepted.values()), None)
        return newest.commit if newest else next(iter(self.bases.values()))

    @property
    def spent(self) -> float:
        """What ideas and trials took from the budget, in the ladder's unit."""
        return self.outlay.total.value

    def verdict(self, arm: str) -> VerdictReached:
        """Return the newest verdict of a change that has one."""
        verdict = self.changes[arm].verdict
        if verdict is None:
            raise KeyError(f"{arm} has no verdict yet")
        return verdict

    def verdicts(self) -> dict[str, VerdictReached]:
        """Return arm -> newest verdict, in the order first judged; made anew at each call."""
        return {arm: self.verdict(arm) for arm in self.changes.judged}

    def exam_trials(self) -> list[Trial]:
        """Return what exams and the ablations after them ask for."""
        return [trial for exam in self.exams.values() for trial in exam.trials(self.first_base)]

    def part_members(self, arm: str) -> tuple[str, ...] | None:
        """Return the accepted changes in an arm of an ablation; None if it is no such arm."""
        for exam in self.exams.values():
            if exam.question is not None and arm in exam.question.parts:
                left_out = exam.question.parts[arm]
                return tuple(other for other in exam.request.arms if other != left_out)
        return None

    def in_flight(self) -> list[Proposed]:
        """Return changes without a verdict, in the order proposed."""
        return [record.proposed for record in self.changes.in_flight.values()]

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        self.stopped = None
        match event:
            case TrialFinished():
                self._end(event)
            case TrialsRequested():
                self._ask(event)
            case StepChosen():
                self._decide(event)
            case Proposed():
                self.changes.enter(event)
                if event.cost:
                    self.outlay.total.add(event.cost)
            case ForecastMade():
                self.forecasts[event.arm, event.rung] = event
            case VerdictReached():
                record = self.changes[event.arm]
                record.verdict, record.latest = event, None
                self.changes.place(event.arm)
            case Confirmed():
                self.changes.confirm(event.arm)
            case Refused():
                self.refused.append(event)
                self.n_refused += 1
                self.changes.repair(event.repairs)
            case CallBilled():
                self.spending.setdefault(event.proposer, Spending()).add(event)
            case Accepted() | Deferred() | Dropped():
                self._move(event)
            case RoundClosing() | RoundReviewed() | RoundClosed():
                self.round.apply(event)
            case Started():
                self.started = event
            case BaselineSet():
                self.bases[event.arm] = event.commit
                self.round.taken = {}
            case ExamRequested():
                self.exams[event.arm] = ExamRecord(event)
            case AblationRequested():
                self.exams[event.arm].question = event
            case AblationConcluded():
                self._conclude(event)
            case Imported():
                asked = self.trials.take(event)
                if asked is not None:
                    self._land(asked, event.result)
            case Stopped():
                self.stopped = event

    def _decide(self, event: StepChosen) -> None:
        self.decisions.append(event)
        record = self.changes[event.arm]
        record.latest = event
        self.is_deciding |= not record.is_begun
        if event.is_retry:
            self.trials.retried.add((event.arm, event.rung))

    def _ask(self, event: TrialsRequested) -> None:
        self.trials.batches.append(event)
        self.n_refused = 0
        self.is_deciding = False
        for asked in event.requests:
            if (asked.arm, asked.rung) not in self.trials.requests and asked.arm in self.changes:
                self._begin(self.changes[asked.arm], asked.rung)
            result = self.trials.ask(asked)
            if result is not None:
                self._land(asked, result)

    def _begin(self, record: ChangeRecord, rung: str) -> None:
        base, measured = record.base, self.trials.measured
        measured[base, rung] = measured.get((base, rung), 0) + 1
        if not record.is_begun:
            record.is_begun = True
            if not record.change.members:
                self.round.n_since += 1
                self.round.on_base[base] = self.round.on_base.get(base, 0) + 1

    def _end(self, event: TrialFinished) -> None:
        is_new = event.result.identity not in self.trials.results
        answered = self.trials.end(event)
        for asked in answered:
            self._land(asked, event.result)
        if is_new:
            self.outlay.total.add(event.cost)
            record = self.changes.get(answered[0].arm) if answered else None
            if record is not None and record.change.members:
                self.outlay.closing.add(event.cost)
            self.outlay.by_trials = self.spent

    def _land(self, asked: Request, result: TrialResult) -> None:
        self.trials.land(asked, result)
        if not result.is_complete:
            is_exam = (asked.arm, asked.rung, asked.seed) in self.exam_trials()
            self.trials.fail(asked, result, is_exam=is_exam)

    def _move(self, event: Accepted | Deferred | Dropped) -> None:
        record = self.changes[event.arm]
        match event:
            case Accepted():
                record.commit, record.is_stale = event.commit, False
                if record.base == self.base:
                    self.round.taken[event.arm] = record
            case Deferred():
                record.deferred = event.reason
            case Dropped():
                record.dropped, record.commit, record.is_stale = event.reason, "", False
                self.round.taken.pop(event.arm, None)
        self.changes.place(event.arm)

    def _conclude(self, event: AblationConcluded) -> None:
        self.exams[event.arm].answer = event
        failed = {verdict.arm for verdict in event.verdicts}
        for arm, record in self.changes.accepted.items():
            record.is_stale = bool(failed) and arm not in failed


def replay(events: Iterable[Event]) -> StudyState:
    """Fold events into a state."""
    state = StudyState()
    for event in events:
        state.apply(event)
    return state
