"""What ``atoms`` derives from a study before it decides: prior, price of compute, every belief."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind
from miniscale.setting.trial import digest
from transfer.belief.posterior import Belief, Hint, Model, SharedError, believe, model_for
from transfer.belief.utility import Utility
from transfer.change import Change
from transfer.events import Effect, VerdictReached
from transfer.ladder import Ladder
from transfer.policy.protocol import StudyView
from transfer.policy.voi.baseline_error import baseline_error, shared
from transfer.policy.voi.cache import Memory
from transfer.policy.voi.knobs import KnobEdit, edits_by_knob, hint
from transfer.policy.voi.learn import EVERY, JudgedEffects, learn
from transfer.policy.voi.study_totals import Tally
from transfer.policy.voi.value import (
    Prospects,
    RungOption,
    SearchTerms,
    price_of_compute,
)

ASSUMED_NOISE = 0.02
"""Noise of a run in nats where nothing says better: 2 % of compute."""
FINITE = 0.5
"""On the price's greed where the ideas are counted."""
HASTE = 4.0
"""Power of spending ahead of or behind the ideas in the price of compute."""


@dataclass(frozen=True)
class VoiRules:
    """How the atoms policy searches and accepts; gains in nats of compute.

    head_harm
        How many times harm counts for the working head; certified accepts take the audit's.
    carrying
        kappa: what a change must gain at the target to be worth its code.
    odds
        P(gain at the target) that the head asks for besides.
    first_seeds, replicates, most_runs
        Runs of a first visit to a rung; more runs that a plan may take; runs on a rung in all.
    price_greed, price_prior, price_share
        Of the price of compute, see :func:`transfer.policy.voi.value.price_of_compute`.
    closing_share, parts_share
        Of the budget: what stacks may take in all, and what their leave-one-out parts may.
    reserve
        Share of the budget that only closing a round may touch.
    exam_seeds, part_seeds
        Runs of a stack by rung from the lowest, the last for all above; runs of a part.
    is_learning
        Whether the study's own history may shift the prior.
    ideas
        How many changes the study will see, 0 if nobody knows: then compute gets cheaper where
        the budget would outlast them, and dearer where it would not.
    """

    head_harm: float = Utility.harm
    complexity_cost: float = Utility.complexity_cost
    odds: float = 0.6
    first_seeds: int = 2
    replicates: tuple[int, ...] = (1, 2, 4)
    most_runs: int = 16
    price_greed: float = 1.5
    price_prior: float = 0.0003
    price_share: float = 0.375
    closing_share: float = 0.25
    parts_share: float = 0.06
    reserve: float = 0.1
    exam_seeds: tuple[int, ...] = (4, 3, 2, 1)
    part_seeds: int = 4
    is_learning: bool = True
    ideas: int = 0

    @property
    def utility(self) -> Utility:
        """What the working head gains by a change; ablations judge by it too."""
        return Utility(self.head_harm, self.complexity_cost)

    def __post_init__(self) -> None:
        for name in ("odds", "closing_share", "parts_share", "reserve"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"policy.rules.{name}: got {getattr(self, name)}, must lie in [0, 1)"
                )
        for name in ("head_harm", "price_greed", "price_share"):
            if not getattr(self, name) > 0:
                raise ValueError(f"policy.rules.{name}: got {getattr(self, name)}, must be above 0")
        if not self.replicates or min(self.replicates) < 1 or self.first_seeds < 1:
            raise ValueError(
                f"policy.rules: replicates {self.replicates} and first_seeds {self.first_seeds} "
                "must be counts of at least 1"
            )
        if not self.exam_seeds or min(*self.exam_seeds, self.part_seeds) < 1:
            raise ValueError(
                f"policy.rules: exam_seeds {self.exam_seeds}, part_seeds {self.part_seeds} must "
                "be counts of at least 1"
            )


@dataclass
class StudyMemo:
    """What the policy keeps of one study in the scratch of its views."""

    memory: Memory = field(default_factory=Memory)
    latest: "PolicyContext | None" = None


def read_study(view: StudyView, ladder: Ladder, rules: VoiRules) -> "PolicyContext":
    """Return a view's reading, the last one again where it is asked for again."""
    notes = view.scratch.setdefault(__name__, StudyMemo())
    assert isinstance(notes, StudyMemo)
    latest = notes.latest
    is_same = latest is not None and latest.view is view and latest.ladder is ladder
    if latest is None or not is_same or latest.rules != rules:
        latest = notes.latest = PolicyContext(view, ladder, rules=rules, memory=notes.memory)
    return latest


class PolicyContext:
    """A study read for decisions; valid as long as the view it was read from."""

    def __init__(
        self,
        view: StudyView,
        ladder: Ladder,
        *,
        rules: VoiRules,
        memory: Memory,
    ) -> None:
        self.view = view
        self.ladder = ladder
        self.rules = rules
        self.trust = view.trust
        self.utility = rules.utility
        self.certified_utility = replace(rules.utility, harm=view.trust.certified_harm)
        memory.trim()
        self._start = model_for(view.trust)
        self._memory = memory
        self.target = ladder.position(ladder.target)
        self.unit = ladder.rungs[0].cost

    # -- the study --------------------------------------------------------------------------

    @property
    def tally(self) -> Tally:
        """The changes of the view, by what is asked of them."""
        self._memory.tally.follow(self.view)
        return self._memory.tally

    @cached_property
    def model(self) -> Model:
        """The prior with what the study's judged changes teach, 60 at a time in order.

        Effects count as they were when judged, so that resuming a study changes nothing.
        """
        if not self.rules.is_learning:
            return self._start
        taught = self.tally.teaching()
        n = len(taught) // EVERY * EVERY
        if n == 0:
            return self._start
        key = (self.trust, n, self.tally.stamp("taught"))
        return self._memory.recall("model now", key, lambda: self._learned(taught[:n]))

    def _learned(self, taught: Sequence[tuple[Kind, VerdictReached]]) -> Model:
        """Return the model that verdicts teach."""
        verdicts = [verdict for _, verdict in taught]
        rows = [JudgedEffects(kind, verdict.effects) for kind, verdict in taught]
        return self._memory.recall(
            "model",
            (self.trust, tuple(map(id, verdicts))),
            lambda: learn(
                rows, self._start, is_audited=bool(self.trust.source), known=self._memory.rows
            ),
            holds=verdicts,
        )

    @cached_property
    def prior_digest(self) -> str:
        """Hash of all that beliefs rest on, for verdicts."""
        model = self.model
        return self._memory.recall("digest", id(model), lambda: digest(asdict(model)), holds=model)

    @cached_property
    def price(self) -> float:
        """The price of compute: nats of gain for a lowest-rung run."""
        rules = self.rules
        price = price_of_compute(
            self._earned(),
            self.view.spent / self.unit,
            self.view.budget / self.unit,
            greed=rules.price_greed * (FINITE if rules.ideas else 1.0),
            prior=rules.price_prior,
            share=rules.price_share,
        )
        return price * self._haste()

    def _earned(self) -> float:
        """Return what accepted changes are worth."""
        key = (self.tally.stamp("accepted"), self.utility)
        forecasts = (verdict.gain_forecast for verdict in self.tally.accepted())
        worths = (self.utility.of_normal(f.mean, f.sd) for f in forecasts if f is not None)
        return self._memory.recall(
            "earned", key, lambda: sum((max(worth, 0.0) for worth in worths), 0.0)
        )

    def _haste(self) -> float:
        """Return how much dearer compute is for the budget to last as long as the ideas do.

        The fourth power of (share of the budget spent) / (share of the ideas seen), each with a
        tenth added at the start.
        """
        if not self.rules.ideas:
            return 1.0
        spent = self.view.spent / self.view.budget + 0.1
        ratio = spent / (min(self.tally.n_singles / self.rules.ideas, 1.0) + 0.1)
        return float(min(max(ratio**HASTE, 1e-3), 1e3))

    @property
    def room(self) -> float:
        """What changes may still take from the budget, in the ladder's unit."""
        kept = max(self.rules.reserve * self.view.budget - self.view.spent_closing, 0.0)
        return self.view.budget - self.view.spent - kept

    @cached_property
    def edits(self) -> dict[str, tuple[KnobEdit, ...]]:
        """Edits by knob, over all rounds."""
        key = (self.tally.stamp("knobs"), id(self.ladder))
        singles = (s for s in self.view.change_views.values() if not s.change.members)
        return self._memory.recall(
            "edits",
            key,
            lambda: edits_by_knob(list(singles), self.ladder.setting.knobs),
            holds=self.ladder,
        )

    # -- one change -------------------------------------------------------------------------

    def belief(
        self,
        arm: str,
        change: Change,
        effects: Sequence[Effect],
        *,
        base: str = "",
        crashed_at: float | None = None,
    ) -> Belief:
        """Return the belief about a change from its own effects, the pool and its knob's edits."""
        effects = tuple(effects)
        pool = self._pool(effects, base or self.view.base)
        others = self._hint(arm, change)
        key = (
            *((e.rung, e.position, e.gain, e.gain_se, e.shared_se) for e in effects),
            change.kind,
            id(self.model),
            crashed_at,
            tuple((rung, word.mean, word.sd) for rung, word in pool.items()),
            None
            if others is None
            else (others.positions, others.mean.tobytes(), others.covariance.tobytes()),
        )
        return self._memory.recall(
            "belief",
            key,
            lambda: believe(
                effects,
                change.kind,
                model=self.model,
                pool=pool,
                crashed_at=crashed_at,
                hint=others,
            ),
        )

    def _pool(self, effects: Sequence[Effect], base: str) -> dict[str, SharedError]:
        if not any(effect.shared_se > 0 for effect in effects):
            return {}
        rho = {rung: noise.rho for rung, noise in self.view.noise.items()}
        errors = {e.rung: self._error(base, e.rung, rho.get(e.rung, 0.5)) for e in effects}
        return shared(effects, errors, rho=rho)

    def _error(self, base: str, rung: str, rho: float) -> tuple[float, float] | None:
        return self._memory.recall(
            "error",
            (base, rung, rho, id(self.model), self.tally.stamp((base, rung))),
            lambda: baseline_error(
                self.tally.on_rung(base, rung),
                rung,
                rho=rho,
                model=self.model,
                known=self._memory.elsewhere,
            ),
            holds=self.model,
        )

    def _hint(self, arm: str, change: Change) -> Hint | None:
        if len(change.knobs) != 1:
            return None
        edits = self.edits.get(next(iter(change.knobs)), ())
        if len(edits) < 2:
            return None
        seen = tuple((e.arm, e.start, e.value, e.effects) for e in edits)
        key = (arm, seen, self.model.misfit)
        return self._memory.recall(
            "hint", key, lambda: hint(edits, arm, target=self.target, model=self.model)
        )

    # -- what could be run ------------------------------------------------------------------

    def terms(self) -> SearchTerms:
        """Return what counts for the working head."""
        return SearchTerms(self.target, self.utility, self.price)

    def steps(self, effects: Sequence[Effect]) -> list[RungOption]:
        """Return every rung as a plan for a change sees it."""
        by_rung = {effect.rung: effect for effect in effects}
        options: list[RungOption] = []
        assumed = ASSUMED_NOISE
        for rung in self.ladder.rungs:
            assumed, rho = self._noise(rung, assumed)
            effect = by_rung.get(rung.name)
            n = 0 if effect is None else effect.n
            own = assumed * math.sqrt(1 - rho * rho)
            if effect is not None:
                own = math.sqrt(max(effect.gain_se**2 - effect.shared_se**2, 1e-12) * n)
            is_copied = rung.name in self.view.copied
            first = 1 if is_copied else self.rules.first_seeds
            common = assumed * (1 - rho) / math.sqrt(max(rung.baseline_seeds, first))
            options.append(
                RungOption(
                    name=rung.name,
                    position=self.ladder.position(rung.scale),
                    cost=rung.cost / self.unit,
                    own_sd=own,
                    shared_sd=common,
                    n=n,
                    first=first,
                    most=1 if is_copied else self.rules.most_runs,
                )
            )
        return options

    def _noise(self, rung: Rung, assumed: float) -> tuple[float, float]:
        """Return sd of one run in nats, and the correlation of arms on a seed."""
        noise, slope = (
            self.view.noise.get(rung.name),
            self.view.slopes.get(rung.name, 0.0),
        )
        if noise is None:
            return rung.noise or assumed, 0.5
        if slope <= 0:
            return rung.noise or assumed, noise.rho
        return noise.sd / slope, noise.rho

    def affordable(self, steps: Sequence[RungOption], room: float) -> list[RungOption]:
        """Return the rungs up to the last on which a first run fits into the room."""
        fits = [place for place, step in enumerate(steps) if step.cost * self.unit <= room]
        return list(steps[: fits[-1] + 1]) if fits else []

    def prospects(self, belief: Belief, steps: Sequence[RungOption]) -> Prospects:
        """Return the means to value plans for a change."""
        return Prospects(belief, steps, self.terms())
