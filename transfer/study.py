"""One search, one folder, one journal: the study as an object that resumes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from miniscale.decode import InputError
from miniscale.rung import Folders, Rung, Tree, trial_spec
from miniscale.trial import Scalar, TrialResult, TrialSpec
from miniscale.trial import State as TrialState
from miniscale.workspace import PatchRefused
from transfer.accept import message
from transfer.change import Change, checked
from transfer.climb import steps, unique, wanted
from transfer.events import (
    METHOD,
    Accepted,
    Action,
    Based,
    Deferred,
    Event,
    Judged,
    Proposed,
    Refused,
    Request,
    Started,
    Stopped,
    Tick,
    Tried,
)
from transfer.ladder import Ladder
from transfer.policy import Policy
from transfer.state import State, replay


class Trees(Protocol):
    """Where checkouts come from; :class:`miniscale.workspace.Workspace` is the real one."""

    def first(self) -> str:
        """Return the commit that the study starts from."""

    def checkout(self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar]) -> Tree:
        """Return a tree of ``parent`` with the change applied."""

    def accept(
        self, arm: str, *, parent: str, patch: str, knobs: Mapping[str, Scalar], message: str
    ) -> str:
        """Commit a change on ``parent`` as the branch's new head and return the commit."""


class Specs(Protocol):
    """How a trial of an arm is described, where :func:`miniscale.rung.trial_spec` is too much."""

    def __call__(self, rung: Rung, *, arm: str, seed: int, tree: Tree) -> TrialSpec:
        """Return the trial's spec; equal content has equal identity."""


class Ledger(Protocol):
    """Where events go; :class:`transfer.journal.Journal` is the real one."""

    @property
    def events(self) -> list[Event]:
        """All events so far."""

    def append(self, event: Event) -> None:
        """Keep one more event."""


@dataclass(frozen=True)
class EpochRule:
    """When the baseline moves to the working head: whichever comes first."""

    accepts: int = 3
    changes: int = 150
    budget_share: float = 0.34


@dataclass(frozen=True)
class Plan:
    """How a study searches; a change of any of it is another study."""

    seed: int = 0
    in_flight: int = 4
    budget: float = 1.0
    """In the ladder's unit."""
    epoch: EpochRule = EpochRule()
    idea_cost: float = 0.0
    """What each new idea takes from the budget, in the ladder's unit."""


class Study:
    """Owns a study: takes changes in, says which trials to run, decides, accepts.

    Everything it does is an event in the ledger; a study opened on an existing ledger goes on
    where that one ends. Decisions are taken between ticks, in the order of the changes, so neither
    the number of slots nor the order of completion matters.
    """

    def __init__(
        self,
        ladder: Ladder,
        *,
        policy: Policy,
        plan: Plan,
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
        self.state: State = replay(ledger.events)
        self._ledger = ledger
        self._trees = trees
        self._folders = folders
        self._data = dict(data)
        self._specs = specs
        self._on_event = on_event
        self._checked_out: dict[str, Tree] = {}

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
        """Open the study's first page, if it is new."""
        if self.state.started is None:
            self.record(
                Started(
                    name,
                    self.ladder.digest,
                    self.plan.seed,
                    self.policy.name,
                    dict(environment),
                    METHOD,
                )
            )
        if not self.state.bases:
            self.record(Based("b0", self._trees.first()))

    # -- changes in ------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether another change may enter: a place in flight, and budget for its first rung."""
        lowest = self.ladder.rungs[0]
        room = self.plan.budget - self.state.spent
        waiting = self.state.in_flight()
        first = [change for change in waiting if not self._has_run(change.arm)]
        cost = lowest.cost * lowest.seeds + self.plan.idea_cost
        return len(waiting) < self.plan.in_flight and room >= cost * (len(first) + 1)

    def _has_run(self, arm: str) -> bool:
        return (arm, self.ladder.rungs[0].name) in self.state.requests

    def add(self, change: Change, *, rescreens: str = "") -> str:
        """Take a change in, or refuse it.

        Returns
        -------
        str
            Empty, or why it was refused: a duplicate, a knob or a patch that cannot be.
        """
        base = self.state.base
        try:
            change = checked(change, self.ladder.setting)
            refusal = self._duplicate_of(change, base)
            if not refusal:
                arm = f"c{len(self.state.changes) + 1}"
                self._tree(Proposed(arm, base, change))
        except (InputError, PatchRefused) as error:
            refusal = str(error)
        if refusal:
            self.record(Refused(change.title, refusal, "" if rescreens else change.proposer))
            return refusal
        cost = 0.0 if rescreens else self.plan.idea_cost
        self.record(Proposed(arm, base, change, rescreens, cost))
        return ""

    def _duplicate_of(self, change: Change, base: str) -> str:
        if change.is_twin:
            return ""
        commit = self.state.bases[base]
        knobs = self._trees.checkout(base, parent=commit, patch="", knobs={}).knobs
        if not change.patch and all(knobs.get(k) == v for k, v in change.knobs.items()):
            return "changes nothing: the baseline has these knob values already"
        name = change.content_digest(commit)
        for arm, other in self.state.changes.items():
            if other.change.content_digest(self.state.bases[other.base]) == name:
                return f"the same as {arm} '{other.change.title}'"
        return ""

    # -- decisions -------------------------------------------------------------------------

    def settle(self) -> None:
        """Decide for every change in flight; call it when no trial of the last tick is pending."""
        self._check_baseline()
        self._decide()
        self._accept_all()
        self._move_baseline()

    def _decide(self) -> None:
        for step in steps(self.ladder, self.state, self.policy, budget=self.plan.budget):
            if step.forecast is not None and step.verdict is None:
                key = (step.forecast.arm, step.forecast.rung)
                if key not in self.state.forecasts:
                    self.record(step.forecast)
            self.record(step.decided)
            if step.verdict is not None:
                self.record(step.verdict)

    def _check_baseline(self) -> None:
        for base in self.state.bases:
            for rung in self.ladder.rungs:
                for seed, result in self.state.losses(base, rung.name).items():
                    if not result.is_complete:
                        raise InputError(
                            f"baseline {base} on {rung.name}, seed {seed}: {result.state} "
                            f"{result.cause} ({result.reason.strip()[-300:]}); nothing can be "
                            "measured against it: mend the setting, then start a new study"
                        )

    def _accept_all(self) -> None:
        for arm, verdict in list(self.state.verdicts.items()):
            proposed = self.state.changes[arm]
            settled = arm in self.state.accepted or arm in self.state.deferred
            if not verdict.outcome.is_accepted or settled or proposed.change.is_twin:
                continue
            reason = self._conflict(proposed)
            if not reason:
                try:
                    self.record(Accepted(arm, self._commit(proposed, verdict)))
                    continue
                except PatchRefused as error:
                    reason = str(error)
            self.record(Deferred(arm, reason))

    def _conflict(self, proposed: Proposed) -> str:
        """Say why an accepted change must first be measured on a newer baseline."""
        if proposed.base != self.state.base:
            return f"was measured against {proposed.base}, the baseline is {self.state.base} now"
        for arm in self.state.accepted:
            other = self.state.changes[arm]
            shared = sorted(other.change.knobs.keys() & proposed.change.knobs.keys())
            if other.base == proposed.base and shared:
                return f"sets the knob {shared[0]} as accepted {arm} does"
        return ""

    def _commit(self, proposed: Proposed, verdict: Judged) -> str:
        return self._trees.accept(
            proposed.arm,
            parent=self.state.head,
            patch=proposed.change.patch,
            knobs=proposed.change.knobs,
            message=message(self.ladder, self.state, proposed, verdict),
        )

    def _move_baseline(self) -> None:
        """Start a new epoch where the rule says so, and measure deferred changes again."""
        state, rule = self.state, self.plan.epoch
        since = [arm for arm in state.accepted if state.changes[arm].base == state.base]
        epoch = len(state.bases)
        changes = [arm for arm, change in state.changes.items() if change.base == state.base]
        is_due = (
            len(since) >= rule.accepts
            or len(changes) >= rule.changes
            or state.spent >= epoch * rule.budget_share * self.plan.budget
        )
        if since and is_due:
            self.record(Based(f"b{epoch}", state.head))
        again = {change.rescreens for change in state.changes.values()}
        for arm in list(state.deferred):
            proposed = state.changes[arm]
            if proposed.base != state.base and arm not in again:
                again.add(arm)
                self.add(proposed.change, rescreens=arm)

    # -- trials ----------------------------------------------------------------------------

    def next_tick(self) -> list[TrialSpec]:
        """Write down the next batch of trials and return those that have no result yet.

        Empty when no change is in flight.
        """
        self._decide()
        decided = {d.arm: d for d in self.state.decisions if d.tick == len(self.state.ticks)}
        asked: list[tuple[str, str, int]] = []
        for proposed in self.state.in_flight():
            step = decided[proposed.arm]
            if step.action in (Action.PROMOTE, Action.REPEAT):
                rung = self.ladder.rung(step.rung)
                asked += wanted(self.ladder, proposed, rung, step.seeds, study_seed=self.plan.seed)
        new = [
            (arm, rung, seed)
            for arm, rung, seed in unique(asked)
            if seed not in self.state.requests.get((arm, rung), {})
        ]
        if not new:
            return []
        specs = {key: self.spec(*key) for key in new}
        requests = tuple(Request(*key, spec.identity) for key, spec in specs.items())
        self.record(Tick(len(self.state.ticks), requests))
        return self.pending_specs()

    def pending_specs(self) -> list[TrialSpec]:
        """Return the trials of the last tick that have no result, the longest first."""
        found = {r.identity: self.spec(r.arm, r.rung, r.seed) for r in self.state.pending()}
        place = self.ladder.index
        return sorted(found.values(), key=lambda spec: -place(spec.rung))

    def spec(self, arm: str, rung: str, seed: int) -> TrialSpec:
        """Describe one trial of an arm."""
        size = self.ladder.rung(rung)
        if self._specs is not None:
            return self._specs(size, arm=arm, seed=seed, tree=self._tree_of(arm))
        return trial_spec(
            self.ladder.setting,
            size,
            arm=arm,
            seed=seed,
            tree=self._tree_of(arm),
            data=self._data,
            folders=self._folders,
        )

    def _tree_of(self, arm: str) -> Tree:
        if arm in self.state.changes:
            return self._tree(self.state.changes[arm])
        if arm not in self._checked_out:
            commit = self.state.bases[arm]
            self._checked_out[arm] = self._trees.checkout(arm, parent=commit, patch="", knobs={})
        return self._checked_out[arm]

    def _tree(self, proposed: Proposed) -> Tree:
        if proposed.arm not in self._checked_out:
            self._checked_out[proposed.arm] = self._trees.checkout(
                proposed.arm,
                parent=self.state.bases[proposed.base],
                patch=proposed.change.patch,
                knobs=proposed.change.knobs,
            )
        return self._checked_out[proposed.arm]

    def finish(self, result: TrialResult) -> None:
        """Take a trial's result in; one that is known already is ignored."""
        if result.identity in self.state.results or result.state is TrialState.CANCELLED:
            return
        request = next(r for r in self.state.pending() if r.identity == result.identity)
        rung = self.ladder.rung(request.rung)
        measured = result.metrics.get("flops", rung.cost)
        cost = measured if result.is_complete and self.ladder.unit == "FLOPs" else rung.cost
        self.record(Tried(result, cost))

    def stop(self, reason: str, *, is_final: bool) -> None:
        """Write down that the study ends or pauses."""
        self.record(Stopped(reason, is_final))
