"""Whether a change keeps a constraint: paired trials, with the spread of all pairs of the study.

On each shared seed the change's number stands against its baseline's, as a ratio in logs or as a
difference; spread is pooled over all changes of the study, on the rung itself where it has
``LEAST_DF`` degrees of freedom and over all rungs where not. The highest rung measured decides: it
is the nearest to the target.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from scipy.special import stdtrit

from miniscale.setting.trial import TrialResult
from transfer.constraint import Against, Constraint, number_of
from transfer.events import Outcome, Proposed
from transfer.journal.state import StudyState
from transfer.ladder import Ladder

LEAST_DF = 3
"""assumption: with fewer, small rungs' spread says more than a rung's own."""
SURE = 0.9
"""One end of the 80 % intervals that everything is told with."""
MOST_NATS = 100.0
"""Beyond it a factor is as large as a reader needs, and no float overflows."""
LARGEST = 1e100
HIDDEN = "is not reported by the change"
Runs = Mapping[int, TrialResult]
"""Seed -> result."""


class ConstraintState(StrEnum):
    """How a change stands to a constraint."""

    KEPT = "kept"
    BROKEN = "broken"
    OPEN = "open"


@dataclass(frozen=True)
class Pairs:
    """A metric of a change on one rung: differences on shared seeds, logs of ratios for factors."""

    rung: str
    seed: int
    differences: tuple[float, ...]
    note: str = ""
    """Why there is none."""

    @property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.differences) / len(self.differences)

    @property
    def squares(self) -> float:
        """Sum of their squared deviations."""
        return math.fsum((one - self.mean) ** 2 for one in self.differences)


@dataclass(frozen=True)
class ConstraintStanding:
    """How a change stands to one constraint, on the highest rung where both arms tell it.

    ``value`` with its 80 % interval is in the constraint's own terms: a factor on the baseline's,
    a difference, or the number itself. It is None where there is none, and ``note`` says why.
    """

    constraint: Constraint
    rung: str
    seed: int
    standing: ConstraintState
    value: float | None = None
    low: float = -math.inf
    high: float = math.inf
    is_beyond: bool = False
    """Whether the estimate itself lies beyond the limit, or the change hides the number."""
    note: str = ""

    @property
    def leans(self) -> bool:
        """Whether the estimate is nearer to a limit than the baseline's own number."""
        if self.value is None or self.constraint.against is Against.NOTHING:
            return False
        moved = self.value - (1.0 if self.constraint.against is Against.FACTOR else 0.0)
        return moved < 0 if self.constraint.relation.startswith(">") else moved > 0

    @property
    def words(self) -> str:
        """Say it in a line: ``memory_gb 1.31x [1.29x, 1.33x] at d3, limit <= 1.1x: broken``."""
        one = self.constraint
        limit = f"limit {one.relation} {one.write(one.limit)}: {self.standing}"
        if self.value is None:
            return f"{one.name} {self.note}, {limit}"
        ends = ""
        if math.isfinite(self.low) and self.low < self.high:
            ends = f" [{one.write(self.low)}, {one.write(self.high)}]"
        at = f" at {self.rung}" if self.rung else ""
        note = f" ({self.note})" if self.note else ""
        return f"{one.name} {one.write(self.value)}{ends}{at}, {limit}{note}"


def find_standings(
    ladder: Ladder, state: StudyState, proposed: Proposed
) -> tuple[ConstraintStanding, ...]:
    """Return how a change stands to each constraint of a ladder, where a rung was measured of it.

    Limits do not move with the baseline: a change that goes further towards one on a later
    baseline is also set against the first one, so that many small steps do not break what one may
    not.
    """
    found = []
    for constraint in ladder.constraints:
        every = (record.proposed for record in state.changes.values())
        pool = [
            p for one in every for p in _pairs(ladder, state, constraint, one.arm, base=one.base)
        ]
        bases = dict.fromkeys((proposed.base, state.first_base))
        own, *first = (
            _stand_on_top(ladder, state, constraint, proposed.arm, base=base, pool=pool)
            for base in bases
        )
        if own is None:
            continue
        in_all = first[0] if first and own.leans else None
        if in_all is not None and in_all.standing is ConstraintState.BROKEN:
            own = replace(in_all, note=f"of {state.first_base}, with all accepted before it")
        found.append(own)
    return tuple(found)


def _stand_on_top(
    ladder: Ladder,
    state: StudyState,
    constraint: Constraint,
    arm: str,
    *,
    base: str,
    pool: Sequence[Pairs],
) -> ConstraintStanding | None:
    """Return a standing on the highest rung that both arms were run on, None without one."""
    pairs = _pairs(ladder, state, constraint, arm, base=base)
    if not pairs:
        return None
    there = state.trials.losses(base, pairs[-1].rung).values()
    usual = (number_of(r.metrics, constraint.name) for r in there if r.is_complete)
    return stand(constraint, pairs[-1], pool, [value for value in usual if value is not None])


def _pairs(
    ladder: Ladder, state: StudyState, constraint: Constraint, arm: str, *, base: str
) -> list[Pairs]:
    """Return what an arm's runs say of a constraint, a rung each, from the lowest."""
    ended = state.trials.ended
    found = (
        pair_runs(
            constraint,
            rung.name,
            ended.get((arm, rung.name), {}),
            ended.get((base, rung.name), {}),
        )
        for rung in ladder.rungs
    )
    return [one for one in found if one is not None]


def limit_outcome(
    outcome: Outcome, reasons: tuple[str, ...], standings: Sequence[ConstraintStanding]
) -> tuple[Outcome, tuple[str, ...]]:
    """Return an outcome, and its reasons, as constraints allow it.

    Nothing is certified while one is open; nothing is accepted whose estimate lies beyond one.
    """
    if not outcome.is_accepted or not standings:
        return outcome, reasons
    still_open = [one for one in standings if one.standing is not ConstraintState.KEPT]
    reasons = (*reasons, *dict.fromkeys(one.words for one in standings))
    if any(one.is_beyond for one in still_open):
        return Outcome.UNDECIDED, (*reasons, "not taken: beyond a constraint as far as it is known")
    if still_open and outcome is Outcome.CERTIFIED:
        return Outcome.PROVISIONAL, (*reasons, "not certified: a constraint is open")
    return outcome, reasons


def pair_runs(constraint: Constraint, rung: str, change: Runs, base: Runs) -> Pairs | None:
    """Return what a change's complete runs on a rung say of a constraint; None without runs.

    Arms that share no seed, as null changes do, are paired in the order of their seeds.
    """
    ours, theirs = _complete(change), _complete(base)
    if not ours or not theirs:
        return None
    shared = [(seed, seed) for seed in ours if seed in theirs]
    seeds = shared or list(zip(ours, theirs, strict=False))
    if constraint.against is Against.NOTHING:
        seeds = [(seed, seed) for seed in ours]
    name, found = constraint.name, []
    for seed, other in seeds:
        value = number_of(ours[seed].metrics, name)
        if constraint.against is Against.NOTHING:
            found.append(value)
            continue
        usual = number_of(theirs[other].metrics, name)
        if usual is None:
            return Pairs(rung, seed, (), "is not reported by the baseline")
        found.append(_difference(constraint, value, usual))
    if any(value is None for value in found):
        return Pairs(rung, seeds[0][0], (), HIDDEN)
    numbers = tuple(value for value in found if value is not None)
    if not all(map(math.isfinite, numbers)):
        return Pairs(rung, seeds[0][0], (), "is zero or of changing sign: no factor can be told")
    capped = tuple(max(-LARGEST, min(LARGEST, number)) for number in numbers)
    return Pairs(rung, seeds[0][0], capped)


def _complete(runs: Runs) -> dict[int, TrialResult]:
    return {seed: runs[seed] for seed in sorted(runs) if runs[seed].is_complete}


def _difference(constraint: Constraint, value: float | None, usual: float) -> float | None:
    if value is None or constraint.against is Against.DIFFERENCE:
        return None if value is None else value - usual
    if not value or not usual or (value > 0) != (usual > 0):
        return math.nan
    return math.log(abs(value)) - math.log(abs(usual))


def spread(pairs: Iterable[Pairs], rung: str) -> tuple[float, int]:
    """Return standard deviation and degrees of freedom of one pair on a rung."""
    usable = [each for each in pairs if each.differences]
    own = [each for each in usable if each.rung == rung]
    if sum(len(each.differences) - 1 for each in own) < LEAST_DF:
        own = usable
    df = sum(len(each.differences) - 1 for each in own)
    return (math.sqrt(math.fsum(each.squares for each in own) / df) if df else math.inf), df


def stand(
    constraint: Constraint, pairs: Pairs, pool: Sequence[Pairs], baseline: Sequence[float] = ()
) -> ConstraintStanding:
    """Return how a change stands to a constraint.

    Parameters
    ----------
    constraint
        The limit.
    pairs
        The change's own, on the rung that decides.
    pool
        Those of all changes on all rungs, for the spread.
    baseline
        The baseline's numbers there, where the limit is on the number itself: a limit that the
        baseline breaks on a rung is not held against a change.
    """
    if not pairs.differences:
        hides = pairs.note == HIDDEN
        return ConstraintStanding(
            constraint,
            pairs.rung,
            pairs.seed,
            ConstraintState.OPEN,
            is_beyond=hides,
            note=pairs.note,
        )
    is_factor = constraint.against is Against.FACTOR
    values = [_factor(each) if is_factor else each for each in pairs.differences]
    ends = _interval(constraint, pairs, pool)
    value = _factor(pairs.mean) if is_factor else pairs.mean
    standing, note = _judge(constraint, values, ends), ""
    is_number = constraint.against is Against.NOTHING
    is_usual = is_number and any(constraint.excess(one) > 0 for one in baseline)
    if standing is ConstraintState.BROKEN and is_usual:
        standing, note = ConstraintState.OPEN, "the baseline does not keep it either"
    is_beyond = constraint.excess(value) > 0 and not note
    return ConstraintStanding(
        constraint,
        pairs.rung,
        pairs.seed,
        standing,
        value,
        *ends,
        is_beyond=is_beyond,
        note=note,
    )


def _interval(constraint: Constraint, pairs: Pairs, pool: Sequence[Pairs]) -> tuple[float, float]:
    """Return the 80 % interval of the mean, without bounds where no spread is known."""
    sd, df = spread(pool, pairs.rung)
    is_same = constraint.against is not Against.NOTHING and not any(pairs.differences)
    if is_same or constraint.relation == "==":
        sd = 0.0
    elif not df:
        return -math.inf, math.inf
    half = float(stdtrit(df, SURE)) * sd / math.sqrt(len(pairs.differences)) if sd else 0.0
    ends = pairs.mean - half, pairs.mean + half
    return (_factor(ends[0]), _factor(ends[1])) if constraint.against is Against.FACTOR else ends


def _factor(log: float) -> float:
    return math.exp(min(max(log, -MOST_NATS), MOST_NATS))


def _judge(
    constraint: Constraint, values: Sequence[float], ends: tuple[float, float]
) -> ConstraintState:
    """Return where the whole interval lies; an equality holds for every run or is broken."""
    if constraint.relation == "==":
        is_off = any(constraint.excess(value) > 0 for value in values)
        return ConstraintState.BROKEN if is_off else ConstraintState.KEPT
    beyond = [constraint.excess(end) > 0 for end in ends]
    if all(beyond):
        return ConstraintState.BROKEN
    return ConstraintState.OPEN if any(beyond) else ConstraintState.KEPT
