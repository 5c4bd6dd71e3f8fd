"""Effects and noise of a state that grows: only what changed is computed again.

Everything here is a pure function of the state as it is. Sums do not round, and a cache is keyed
by all that it was made from, so a study that was interrupted gives the same numbers to the last
digit.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from miniscale.setting.setting import Kind
from miniscale.setting.trial import TrialState
from scaling import bound_gain
from transfer.events import Effect, Proposed
from transfer.failure import Failure
from transfer.journal.state import StudyState
from transfer.journal.trial_ledger import Key
from transfer.ladder import Ladder
from transfer.measure import extra_time
from transfer.measure.constraint_standing import (
    ConstraintStanding,
    ConstraintState,
    find_standings,
)
from transfer.measure.effect import BaselineLaw, effect, fit_baseline_law, odd_spread
from transfer.measure.noise import Losses, Noise, Pool, share_of, stepped, within_reach

LEAST_REPEATS = 2
"""Equal numbers beside a first one that make copies: one alone happens to a coarse metric."""
LAWS = 16
"""Fits kept, since noise may step to and fro."""


class Analysis:
    """Effects and noise of a state; call :meth:`refresh` when the state has grown."""

    def __init__(self, ladder: Ladder, state: StudyState) -> None:
        self.ladder = ladder
        self.state = state
        self.version = 0
        """Grows when a trial ended; numbers of one version are the same."""
        self._seen = 0
        self._losses: dict[Key, dict[int, float]] = {}
        self._pool = Pool()
        self._arms: dict[Key, dict[str, None]] = {}
        """(baseline, rung) -> arms measured against it there."""
        self._seeds: dict[Key, set[int]] = {}
        """(baseline, rung) -> seeds of those arms, and of the baseline itself."""
        self._known: dict[Key, set[int]] = {}
        self._noise: dict[str, Noise] = {}
        self._kinds: dict[tuple[str, Kind], Noise] = {}
        self._laws: dict[tuple[object, ...], BaselineLaw] = {}
        self._baseline_laws: dict[str, BaselineLaw] = {}
        self._effects: dict[str, tuple[Effect, ...]] = {}
        self._standings: dict[str, tuple[ConstraintStanding, ...]] = {}
        self._repeats: dict[Key, int] = {}
        """(arm, rung) where all seeds gave one number -> how many did so beside the first."""
        self._varied: set[str] = set()
        """Rungs on which they did not."""
        self.copied: frozenset[str] = frozenset()
        """Rungs on which no seed changes any number: all runs of an arm there are one."""
        self.refresh()

    # -- runs ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in what ended since the last call."""
        trail = self.state.trials.trail
        if self._seen == len(trail):
            return
        touched = dict.fromkeys(trail[self._seen :])
        self._seen = len(trail)
        self.version += 1
        bases = self.state.bases
        self._losses = {
            key: losses
            for key, losses in self._losses.items()
            if key[0] in bases and key not in touched
        }
        for cache in (
            self._noise,
            self._kinds,
            self._baseline_laws,
            self._effects,
            self._standings,
        ):
            cache.clear()
        if self._compare_seeds(touched):
            touched = dict.fromkeys(self.state.trials.ended)
        for arm, rung in touched:
            self._pool_again(arm, rung)

    def _compare_seeds(self, touched: Iterable[Key]) -> bool:
        """Note which rungs hear their seeds; return whether other rungs do than was known."""
        for key in touched:
            losses = self.losses(*key)
            self._repeats.pop(key, None)
            if len(set(losses.values())) > 1:
                self._varied.add(key[1])
            elif len(losses) > 1:
                self._repeats[key] = len(losses) - 1
        repeats = Counter[str]()
        for (_, rung), n in self._repeats.items():
            repeats[rung] += n
        is_deaf = repeats.total() >= LEAST_REPEATS and not self._varied
        if is_deaf or self.ladder.setting.deterministic:
            repeated = {rung.name for rung in self.ladder.rungs}
        else:
            repeated = {rung for rung, n in repeats.items() if n >= LEAST_REPEATS}
        copied = frozenset(repeated - self._varied)
        is_other, self.copied = copied != self.copied, copied
        return is_other

    def losses(self, arm: str, rung: str) -> Losses:
        """Return an arm's losses on a rung by seed, in the order of seeds."""
        key = (arm, rung)
        if key not in self._losses:
            ended, loss = self.state.trials.ended.get(key), self.ladder.setting.objective.loss
            if not ended:
                return {}
            self._losses[key] = {
                seed: within_reach(loss(result.value))
                for seed in sorted(ended)
                if (result := ended[seed]).value is not None
            }
        return self._losses[key]

    def runs(self, arm: str, rung: str, seeds: Collection[int] | None = None) -> Losses:
        """Return an arm's losses on a rung as evidence: copies of one run count once.

        Parameters
        ----------
        seeds
            Those that count; all if not given.
        """
        losses = self.losses(arm, rung)
        if seeds is not None:
            losses = {seed: loss for seed, loss in losses.items() if seed in seeds}
        return dict([*losses.items()][:1]) if rung in self.copied else losses

    def mean_loss(self, arm: str, rung: str) -> float:
        """Return an arm's mean loss on a rung where it has a run."""
        losses = self.losses(arm, rung).values()
        return math.fsum(losses) / len(losses)

    def _pool_again(self, arm: str, rung: str) -> None:
        losses, proposed = self.runs(arm, rung), self.state.changes.get(arm)
        if proposed is not None:
            there = (proposed.base, rung)
            self._arms.setdefault(there, {})[arm] = None
            self._seeds.setdefault(there, set()).update(losses)
            share = share_of(losses, self.runs(proposed.base, rung))
            self._pool.put(arm, rung, share, proposed.change.kind)
            return
        self._pool.put(arm, rung, share_of(losses, None), None)
        known = self._known.setdefault((arm, rung), set())
        new = losses.keys() - known
        known |= new
        if not self._seeds.get((arm, rung), set()).isdisjoint(new):
            for other in self._arms[arm, rung]:
                change = self.state.changes[other].change
                share = share_of(self.runs(other, rung), losses)
                self._pool.put(other, rung, share, change.kind)

    def failure(self, arm: str) -> Failure | None:
        """Return why an arm has a trial without a number, the lowest one; None if it has none.

        One that diverged is run once more on a new seed and counts where that diverges too; a
        change that took far more seconds than its compute accounts for is over its budget.
        """
        if arm not in self.state.trials.broken:
            return self._over_budget(arm) or self._breach(arm)
        for rung in (rung.name for rung in self.ladder.rungs):
            for seed, result in self.state.trials.losses(arm, rung).items():
                if result.is_complete or (arm, rung, seed) in self.state.exam_trials():
                    continue
                if not self.state.trials.is_forgiven(arm, rung, result):
                    is_repeated = len(self.state.trials.diverged.get((arm, rung), ())) > 1
                    return Failure(
                        rung, seed, result.state, result.cause, result.reason, is_repeated
                    )
        return None

    def _over_budget(self, arm: str) -> Failure | None:
        for rung in self.ladder.rungs if arm in self.state.changes else ():
            times = self._overuse(arm, rung.name)
            if times > extra_time.MOST:
                seed, result = next(iter(self.state.trials.ended[arm, rung.name].items()))
                why = extra_time.reason(times, on_device=rung.gpus > 0)
                is_repeated = len(self.state.trials.diverged.get((arm, rung.name), ())) > 1
                return Failure(
                    rung.name, seed, TrialState.OVER_BUDGET, result.cause, why, is_repeated
                )
        return None

    def _breach(self, arm: str) -> Failure | None:
        proposed = self.state.changes.get(arm)
        for standing in self.standings(proposed.proposed) if proposed is not None else ():
            if standing.standing is ConstraintState.BROKEN:
                return Failure(
                    standing.rung, standing.seed, TrialState.COMPLETE, breaks=standing.words
                )
        return None

    def standings(self, proposed: Proposed) -> tuple[ConstraintStanding, ...]:
        """Return how a change stands to each constraint, where a rung was measured of it."""
        arm = proposed.arm
        if arm not in self._standings:
            self._standings[arm] = find_standings(self.ladder, self.state, proposed)
        return self._standings[arm]

    def _overuse(self, arm: str, rung: str) -> float:
        """Return how many times its baseline's seconds a change took; 1 within the band."""
        proposed = self.state.changes.get(arm)
        if proposed is None or self.ladder.unit != "FLOPs":
            return 1.0
        here, there = ((self.state.trials.ended.get((a, rung)) or {}) for a in (arm, proposed.base))
        on_device = self.ladder.rung(rung).gpus > 0
        return extra_time.overuse(here.values(), there.values(), on_device=on_device)

    # -- noise -----------------------------------------------------------------------------

    def noise(self, rung: str, kind: Kind | None = None) -> Noise:
        """Return the pooled noise of a rung, with the correlation of one kind of change."""
        if not self._noise:
            self._noise = self._pooled()
        noise = self._noise[rung]
        if kind is None:
            return noise
        if (rung, kind) not in self._kinds:
            rho, n_pairs = self._pool.rho(rung, kind)
            self._kinds[rung, kind] = replace(noise, rho=rho, n_pairs=n_pairs)
        return self._kinds[rung, kind]

    def _pooled(self) -> dict[str, Noise]:
        means = self._means(self.state.first_base)
        names = [rung.name for rung in self.ladder.rungs]
        return self._pool.noise(self._rough_slopes(), means, names)

    def _rough_slopes(self) -> Mapping[str, float]:
        """Slopes by the first baseline's own seeds: what noise is expected before replicates."""
        runs = self._runs(self.state.first_base)
        runs = {name: {min(losses): losses[min(losses)]} for name, losses in runs.items()}
        return self._law("rough", runs, None).slopes

    # -- the law ---------------------------------------------------------------------------

    def baseline_law(self, base: str) -> BaselineLaw:
        """Return the law of a baseline.

        One law serves all baselines, the first one's, read where each stands; a rung not yet run
        on a newer one is lent by the oldest.
        """
        if base not in self._baseline_laws:
            self._baseline_laws[base] = self._baseline_law(base)
        return self._baseline_laws[base]

    def _baseline_law(self, base: str) -> BaselineLaw:
        first = self.state.first_base
        noise = {rung.name: stepped(self.noise(rung.name)) for rung in self.ladder.rungs}
        law = self._law(first, self._runs(first), noise)
        return law.at(self._means(base)) if base != first else law

    def _runs(self, base: str) -> dict[str, Losses]:
        found = {rung.name: self.runs(base, rung.name) for rung in self.ladder.rungs}
        return {name: losses for name, losses in found.items() if losses}

    def _means(self, base: str) -> dict[str, float]:
        runs = self._runs(base)
        return {name: math.fsum(one.values()) / len(one) for name, one in runs.items()}

    def _law(
        self, name: str, runs: Mapping[str, Losses], noise: Mapping[str, Noise] | None
    ) -> BaselineLaw:
        """Fit a law, unless a late fit of this name was made from the same."""
        content = tuple((rung, *losses.items()) for rung, losses in runs.items())
        weights = tuple((n.sd, n.df) for n in noise.values()) if noise else ()
        key: tuple[object, ...] = (name, content, weights)
        if key not in self._laws:
            if len(self._laws) >= LAWS:
                del self._laws[next(iter(self._laws))]
            self._laws[key] = fit_baseline_law(self.ladder, runs, noise)
        return self._laws[key]

    # -- effects ---------------------------------------------------------------------------

    def effects(self, proposed: Proposed) -> tuple[Effect, ...]:
        """Return a change's effects on all rungs where both arms have a run."""
        if proposed.arm not in self._effects:
            found = [self._effect(proposed, rung.name) for rung in self.ladder.rungs]
            self._effects[proposed.arm] = tuple(one for one in found if one is not None)
        return self._effects[proposed.arm]

    def _effect(self, proposed: Proposed, rung: str) -> Effect | None:
        baseline, change = self.runs(proposed.base, rung), self.runs(proposed.arm, rung)
        if not baseline or not change:
            return None
        noise = self.noise(rung, proposed.change.kind)
        found = effect(
            self.ladder,
            rung,
            baseline=baseline,
            change=change,
            noise=noise,
            baseline_law=self.baseline_law(proposed.base),
            own_sd=odd_spread(self._pool.share(proposed.arm, rung), noise),
        )
        return self._priced(found, proposed.arm, proposed.base)

    def _priced(
        self, found: Effect, arm: str, base: str, seeds: Sequence[int] | None = None
    ) -> Effect:
        """Take off a gain what its arm's trials cost beyond the baseline's, where both say so."""
        if self.ladder.unit != "FLOPs":
            return found
        here, there = (self._flops(name, found.rung, seeds) for name in (arm, base))
        if here is None or there is None or here == there:
            return found
        extra_cost = bound_gain(math.log(max(here / there, 1e-300)))
        gain = bound_gain(found.gain - extra_cost)
        return replace(found, gain=gain, extra_cost=extra_cost)

    def _flops(self, arm: str, rung: str, seeds: Sequence[int] | None) -> float | None:
        """Return the mean compute of an arm's complete trials, None unless all report it."""
        ended = self.state.trials.ended.get((arm, rung), {})
        done = [r for s, r in ended.items() if r.is_complete and (seeds is None or s in seeds)]
        flops = [result.flops for result in done if result.flops is not None]
        if not flops or len(flops) < len(done):
            return None
        return math.fsum(flops) / len(flops) * self._overuse(arm, rung)

    def compared(
        self, arm: str, base: str, seeds: Mapping[str, Sequence[int]] | None = None
    ) -> tuple[Effect, ...]:
        """Return what one baseline gains over another, on all rungs where both have a run.

        Parameters
        ----------
        seeds
            Rung -> seeds to compare on; all that there are if not given.
        """
        found = []
        for rung in self.ladder.rungs:
            only = None if seeds is None else seeds.get(rung.name, ())
            both = [self.runs(name, rung.name, only) for name in (base, arm)]
            if all(both):
                one = effect(
                    self.ladder,
                    rung.name,
                    baseline=both[0],
                    change=both[1],
                    noise=self.noise(rung.name),
                    baseline_law=self.baseline_law(base),
                )
                priced_on = None if seeds is None else seeds.get(rung.name, ())
                found.append(self._priced(one, arm, base, priced_on))
        return tuple(found)
