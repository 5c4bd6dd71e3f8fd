"""One search, one folder, one journal: the study as an object that resumes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders, Rung, Tree, trial_spec
from miniscale.setting.trial import TrialResult, TrialSpec, TrialState
from miniscale.tree.workspace import PatchRefused
from transfer.arm import FIRST_BASELINE, ArmKind, ArmName
from transfer.change import Change, checked
from transfer.events import (
    FORMULAS,
    BaselineSet,
    Event,
    Proposed,
    Refused,
    Request,
    Started,
    Stopped,
    TrialFinished,
    TrialsRequested,
)
from transfer.failure import LONGEST_REASON
from transfer.journal.state import StudyState, replay
from transfer.journal.trial_ledger import Trial
from transfer.ladder import Ladder
from transfer.measure.plausibility import copies_words
from transfer.measure.study_effects import Analysis
from transfer.policy.protocol import Policy
from transfer.study.arm_trees import Checkouts, Trees
from transfer.study.round import Rounds
from transfer.study.schedule import Schedule, asks, wanted
from transfer.study_plan import StudyPlan

MOST_OFF = 10.0
"""assumption: what a trial says it took is not further from its rung's cost, up or down."""


def price_trial(result: TrialResult, rung: Rung, unit: str) -> float:
    """Return what a trial takes off the budget: the FLOPs it tells, near its rung's cost."""
    if unit != "FLOPs" or not result.is_complete or result.flops is None:
        return rung.cost
    return min(max(result.flops, rung.cost / MOST_OFF), rung.cost * MOST_OFF)


class Specs(Protocol):
    """How a trial of an arm is described, where :func:`trial_spec` is too much."""

    def __call__(self, rung: Rung, *, arm: str, seed: int, tree: Tree) -> TrialSpec:
        """Return the trial's spec; equal content has equal identity."""


class Ledger(Protocol):
    """Where events go; :class:`transfer.journal.store.Journal` is the real one."""

    @property
    def events(self) -> list[Event]:
        """All events so far."""

    def append(self, event: Event) -> None:
        """Keep one more event."""


class Study:
    """Owns a study: takes changes in, says which trials to run, decides, accepts.

    Everything it does is an event in the ledger; a study opened on an existing ledger goes on
    where that one ends. Decisions are taken between batches, in the order of the changes, so
    neither the number of slots nor the order of completion matters.
    """

    def __init__(
        self,
        ladder: Ladder,
        *,
        policy: Policy,
        plan: StudyPlan,
        ledger: Ledger,
        trees: Trees,
        folders: Folders,
        data: Mapping[str, str],
        specs: Specs | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.ladder = ladder
        self.policy = policy
        self.plan = plan
        self.state: StudyState = replay(ledger.events)
        self._ledger = ledger
        self._folders = folders
        self._data = dict(data)
        self._specs = specs
        self._on_event = on_event
        self._knows_copies = False
        self._checkouts = Checkouts(trees, self.state, ladder)
        self._schedule = Schedule(ladder, self.state, policy=policy, plan=plan)
        self._rounds = Rounds(self._schedule, self._checkouts, record=self.record, spec=self.spec)

    @property
    def analysis(self) -> Analysis:
        """Effects and noise so far; call its ``refresh`` before reading."""
        return self._schedule.analysis

    @property
    def trees(self) -> Trees:
        """Where checkouts come from."""
        return self._checkouts.trees

    @property
    def events(self) -> list[Event]:
        """Everything that has happened, in order."""
        return self._ledger.events

    def record(self, event: Event) -> None:
        """Journal an event, then take it into account, then tell who listens."""
        self._ledger.append(event)
        self.state.apply(event)
        self._on_event(event)

    def start(self, name: str, environment: Mapping[str, str]) -> None:
        """Open the study's first page, if it is new.

        Raises
        ------
        InputError
            If the study began with other formulas than this version's.
        """
        started = self.state.started
        if started is not None and started.formulas != FORMULAS:
            raise InputError(
                f"study {started.name}: began with formulas {started.formulas}, this version has "
                f"{FORMULAS}, and verdicts of both cannot be compared; go on with the version that "
                "began it, or start another study with study.name=…"
            )
        if started is None:
            self.record(
                Started(
                    name,
                    self.ladder.digest,
                    self.plan.seed,
                    self.policy.name,
                    dict(environment),
                    tops_up=self.plan.tops_up,
                )
            )
        if not self.state.bases:
            self.record(BaselineSet(FIRST_BASELINE, self._checkouts.trees.first()))

    # -- changes in ------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether another change may enter: a place in flight, and budget for its first rung.

        Never while a round is closing, nor once those that entered are being decided on.
        """
        waiting = self.state.in_flight()
        is_late = self.state.is_deciding and bool(waiting)
        if self.state.round.closing or is_late or len(waiting) >= self.plan.in_flight:
            return False
        lowest = self.ladder.rungs[0]
        first = [change for change in waiting if not self._has_run(change.arm)]
        cost = lowest.cost * lowest.seeds
        room = self._schedule.room(is_stack=False)
        return room >= cost * (len(first) + 1) + self.plan.idea_cost

    def _has_run(self, arm: str) -> bool:
        return (arm, self.ladder.rungs[0].name) in self.state.trials.requests

    def prepare(self, proposal: Change | Refused, *, rescreens: str = "") -> str:
        """Take a change in, applied to a checkout of its own, or refuse it.

        Parameters
        ----------
        proposal
            A change, or one that was refused before it became one.
        rescreens
            The deferred arm whose change is measured once more on a newer baseline.

        Returns
        -------
        str
            Empty, or why it was refused: a duplicate, a knob or a patch that cannot be.
        """
        if isinstance(proposal, Refused):
            self.record(proposal)
            return proposal.reason
        change = proposal
        number = len(self.state.changes) - len(self.state.changes.stacks) + 1
        arm, base = str(ArmName(ArmKind.CHANGE, number)), self.state.base
        try:
            change = checked(change, self.ladder.setting)
            refusal = self._checkouts.duplicate_of(change, base)
            cost = 0.0 if rescreens else self.plan.idea_cost
            proposed = Proposed(arm, base, change, rescreens, cost)
            if not refusal:
                self._checkouts.make(proposed)
                program, refusal = self._checkouts.program(proposed)
                proposed = replace(proposed, program=program)
        except (InputError, PatchRefused) as error:
            refusal = str(error)
        if refusal:
            self.refuse(replace(change, proposer="" if rescreens else change.proposer), refusal)
            return refusal
        self.record(proposed)
        return ""

    def refuse(self, change: Change, reason: str) -> None:
        """Write down that a change is not tried."""
        self.record(Refused(change.title, reason, change.proposer, change.repairs))

    # -- decisions -------------------------------------------------------------------------

    def decide(self) -> None:
        """Decide for every change that trials were run of; none of the last batch is pending."""
        self._check_first_baseline()
        self._decide_in_flight(is_begun=True)

    def accept(self) -> None:
        """Commit what may go onto the branch, move the baseline when a round is over.

        Changes that waited for the newer baseline are taken in again.
        """
        self._rounds.settle()
        for proposed in self._rounds.again():
            self.prepare(proposed.change, rescreens=proposed.arm)

    def _decide_in_flight(self, *, is_begun: bool = False) -> None:
        """Decide for changes in flight; ``is_begun`` leaves those without trials for the batch.

        A study cut while changes entered thus goes on as if it had not been.
        """
        now = len(self.state.trials.batches)
        for proposed in self._schedule.undecided():
            if is_begun and not self.state.changes[proposed.arm].is_begun:
                continue
            step = self._schedule.step(proposed)
            forecast, latest = step.forecast, self.state.changes[proposed.arm].latest
            if forecast is not None and (forecast.arm, forecast.rung) not in self.state.forecasts:
                self.record(forecast)
            if latest is None or latest.batch != now:
                self.record(step.decided)
            if step.verdict is not None:
                self.record(step.verdict)
                self._checkouts.forget(proposed.arm)

    def _check_first_baseline(self) -> None:
        base = self.state.first_base
        failure = self._schedule.analysis.failure(base)
        if failure is not None:
            raise InputError(
                f"baseline {base} on {failure.rung}, seed {failure.seed}: {failure.state} "
                f"{failure.cause} ({failure.reason.strip()[-LONGEST_REASON:]}); nothing "
                "can be measured against it: mend the setting, then start a new study"
            )

    def wind_up(self) -> bool:
        """Take a step towards the end, once no more changes come in and none is in flight.

        Ends the last round as any other, then examines the head if the plan says so.

        Returns
        -------
        bool
            Whether something was begun: go on with :meth:`accept` then. If not, the study is over.
        """
        return self._rounds.wind_up()

    # -- trials ----------------------------------------------------------------------------

    def next_batch(self) -> list[TrialSpec]:
        """Decide for those that came in, write down the batch, return its trials without result.

        Empty when no change is in flight and no exam is asked for.
        """
        self._decide_in_flight()
        return self.request_trials([*self._asked(), *self.state.exam_trials()])

    def request_trials(self, trials: Sequence[Trial]) -> list[TrialSpec]:
        """Write down a batch of trials, those asked for before left out; return what is to run."""
        requests = self.state.trials.requests
        new = [
            (arm, rung, seed)
            for arm, rung, seed in dict.fromkeys(trials)
            if seed not in requests.get((arm, rung), {})
        ]
        if not new:
            return []
        specs = {key: self.spec(*key) for key in new}
        asked = tuple(Request(*key, spec.identity) for key, spec in specs.items())
        self.record(TrialsRequested(len(self.state.trials.batches), asked))
        pending = {request.identity for request in self.state.trials.pending()}
        return self._longest_first(s for s in specs.values() if s.identity in pending)

    def _asked(self) -> list[Trial]:
        """Return the trials that this batch's decisions ask for."""
        asked: list[Trial] = []
        for proposed in self.state.in_flight():
            step = self.state.changes[proposed.arm].latest
            assert step is not None  # all in flight were decided on just before
            if asks(step.action):
                rung = self.ladder.rung(step.rung)
                asked += wanted(self.ladder, self.state, proposed, rung, step.seeds)
        return asked

    def unfinished(self) -> list[TrialSpec]:
        """Return the trials of the last batch that have no result, the longest first."""
        pending = self.state.trials.pending()
        return self._longest_first(self.spec(r.arm, r.rung, r.seed) for r in pending)

    def _longest_first(self, specs: Iterable[TrialSpec]) -> list[TrialSpec]:
        found = {spec.identity: spec for spec in specs}
        return sorted(found.values(), key=lambda spec: -self.ladder.index(spec.rung))

    def spec(self, arm: str, rung: str, seed: int) -> TrialSpec:
        """Describe one trial of an arm."""
        size, tree = self.ladder.rung(rung), self._checkouts.tree(arm)
        if self._specs is not None:
            return self._specs(size, arm=arm, seed=seed, tree=tree)
        return trial_spec(
            self.ladder.setting,
            size,
            arm=arm,
            seed=seed,
            tree=tree,
            data=self._data,
            folders=self._folders,
        )

    def finish(self, result: TrialResult) -> None:
        """Take a trial's result in; one that is known already is ignored."""
        if result.identity in self.state.trials.results or result.state is TrialState.CANCELLED:
            return
        request = next(iter(self.state.trials.awaited.get(result.identity, ())), None)
        if request is None:
            raise ValueError(f"result {result.identity}: no trial of this study; submit its specs")
        rung = self.ladder.rung(request.rung)
        self.record(TrialFinished(result, price_trial(result, rung, self.ladder.unit)))

    def said_of_copies(self, result: TrialResult) -> str:
        """Say, once, that a trial's seed changed nothing; empty if it did, or was declared so."""
        if self._knows_copies or self.ladder.setting.deterministic:
            return ""
        for (arm, rung), seeds in self.state.trials.requests.items():
            if result.identity in seeds.values():
                words = copies_words(self.state, arm, rung)
                self._knows_copies = bool(words)
                return words
        return ""

    def stop(self, reason: str, *, is_final: bool) -> None:
        """Write down that the study ends or pauses."""
        self.record(Stopped(reason, is_final))
