"""What a study found, as numbers for every reader: report, plots, tracker. Made from the state."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scaling import Fit
from transfer.belief.exam_ratio import Exam, examined
from transfer.change import Change
from transfer.events import Effect, ForecastMade, GainForecast, Proposed, VerdictReached
from transfer.journal.change_record import ChangeRecord, ChangeStatus
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.effect import gain_unit
from transfer.measure.noise import Noise
from transfer.measure.study_effects import Analysis
from transfer.measure.trend import NORMAL, Z80, reach
from transfer.units import COMPUTE, GainUnit


class ChangeGroup(StrEnum):
    """Where a change ended, as a reader sorts it."""

    SUSPICIOUS = "suspicious"
    ACCEPTED = "accepted"
    SET_ASIDE = "passed, not taken"
    TAKEN_BACK = "taken back"
    SCALE_BOUND = "scale-bound"
    UNDECIDED = "undecided"
    IN_FLIGHT = "in flight"
    REJECTED = "rejected"
    CRASHED = "crashed"


GROUP_OF: Mapping[ChangeStatus, ChangeGroup] = {
    ChangeStatus.CERTIFIED: ChangeGroup.ACCEPTED,
    ChangeStatus.PROVISIONAL: ChangeGroup.ACCEPTED,
    ChangeStatus.TAKEN_BACK: ChangeGroup.TAKEN_BACK,
    ChangeStatus.SUSPICIOUS: ChangeGroup.SUSPICIOUS,
    ChangeStatus.SCALE_BOUND: ChangeGroup.SCALE_BOUND,
    ChangeStatus.UNDECIDED: ChangeGroup.UNDECIDED,
    ChangeStatus.IN_FLIGHT: ChangeGroup.IN_FLIGHT,
    ChangeStatus.REJECTED: ChangeGroup.REJECTED,
    ChangeStatus.CRASHED: ChangeGroup.CRASHED,
}
"""Groups of statuses; any other passed and was not taken."""


@dataclass(frozen=True)
class ChangeRow:
    """One change with its evidence as it was judged, or as it stands while in flight."""

    proposed: Proposed
    status: ChangeStatus
    effects: tuple[Effect, ...]
    gain_forecast: GainForecast | None
    verdict: VerdictReached | None
    note: str = ""
    """Why an accepted change is not on the branch, or which change repeats it."""

    @property
    def group(self) -> ChangeGroup:
        """Where a reader sorts it."""
        return GROUP_OF.get(self.status, ChangeGroup.SET_ASIDE)

    @property
    def arm(self) -> str:
        """The change's name in the study."""
        return self.proposed.arm

    @property
    def title(self) -> str:
        """What the change does, in a few words."""
        return self.proposed.change.title

    @property
    def is_control(self) -> bool:
        """Whether it changes nothing and only measures the false-positive rate."""
        return self.proposed.change.is_control

    @property
    def is_certified(self) -> bool:
        """Whether it was accepted with its target bracketed by evidence, not provisionally."""
        return self.status is ChangeStatus.CERTIFIED

    @property
    def reasons(self) -> str:
        """Why it ended where it did, in a line."""
        reasons = self.verdict.reasons if self.verdict else ()
        return "; ".join(part for part in (*reasons, self.note) if part)


@dataclass(frozen=True)
class ScoredForecast:
    """A gain that was forecast, with interval and odds, and what came; nats of compute.

    ``what`` is ``next rung``, ``target`` or ``stack``; ``low`` and ``high`` are of the 80 %
    interval; ``effect`` is the measurement that resolved it.
    """

    arm: str
    what: str
    kind: str
    mean: float
    low: float
    high: float
    odds: float
    effect: Effect

    @property
    def half(self) -> float:
        """Half-width of the 80 % interval, towards what came, with the measurement's own noise."""
        came, came_se = self.effect.gain, self.effect.gain_se
        return reach(self.mean, self.low, self.high, came=came, came_se=came_se)

    @property
    def miss(self) -> float:
        """What came minus what was predicted."""
        return self.effect.gain - self.mean

    @property
    def is_hit(self) -> bool:
        """Whether what came fell into the interval."""
        return abs(self.miss) <= self.half

    @property
    def brier(self) -> float:
        """(odds - 1)^2 where it gained, odds^2 where not; 0 is best, .25 knows nothing."""
        return (self.odds - (self.effect.gain > 0)) ** 2


def score_rung_forecast(change: Change, forecast: ForecastMade, effect: Effect) -> ScoredForecast:
    """Pair a forecast of the next rung with what came; its odds are those of a normal."""
    mean, low, high = forecast.mean, forecast.low, forecast.high
    odds = NORMAL.cdf(mean * Z80 / max((high - low) / 2, 1e-12))
    kind = name_kind(change)
    return ScoredForecast(forecast.arm, "next rung", kind, mean, low, high, odds, effect)


@dataclass(frozen=True)
class ForecastScore:
    """How forecasts fared: counts, and means over them; gains in nats of compute."""

    n: int
    hits: int
    miss: float
    """What came minus what was predicted."""
    size: float
    """Of the misses, without their sign."""
    width: float
    """Of the 80 % intervals."""
    odds: float
    """Of a gain, as stated before."""
    gained: float
    """Share that did gain."""
    brier: float

    @property
    def hit_rate(self) -> float:
        """Share that fell into their 80 % intervals."""
        return self.hits / self.n

    @property
    def hit_interval(self) -> tuple[float, float]:
        """80 % interval of the hit rate."""
        return hit_interval(self.hits, self.n)


def name_kind(change: Change) -> str:
    """Return what forecasts of a change are scored as: its kind, a stack or a null change."""
    if change.members:
        return "stack"
    return "null change" if change.is_control else str(change.kind)


def score_forecasts(scored: Sequence[ScoredForecast]) -> ForecastScore:
    """Score forecasts together; there must be one at least."""
    n = len(scored)
    return ForecastScore(
        n=n,
        hits=sum(s.is_hit for s in scored),
        miss=sum(s.miss for s in scored) / n,
        size=sum(abs(s.miss) for s in scored) / n,
        width=sum(s.high - s.low for s in scored) / n,
        odds=sum(s.odds for s in scored) / n,
        gained=sum(s.effect.gain > 0 for s in scored) / n,
        brier=sum(s.brier for s in scored) / n,
    )


@dataclass(frozen=True)
class Stack:
    """The accepted changes together at the target, in nats of compute.

    Means add and variances add.
    """

    # assumption: gains of changes measured apart add up; an exam of the whole stack would tell.
    arms: tuple[str, ...]
    mean: float
    sd: float

    @property
    def low(self) -> float:
        """Lower end of the 80 % interval."""
        return self.mean - Z80 * self.sd

    @property
    def high(self) -> float:
        """Upper end of the 80 % interval."""
        return self.mean + Z80 * self.sd

    @property
    def odds(self) -> float:
        """Probability that the stack gains at the target."""
        return NORMAL.cdf(self.mean / self.sd)


@dataclass(frozen=True)
class Findings:
    """A study's results; ``fit`` is the first baseline's law, None before its first run."""

    ladder: Ladder
    state: StudyState
    rows: tuple[ChangeRow, ...]
    scored: tuple[ScoredForecast, ...]
    fit: Fit | None
    slopes: Mapping[str, float]
    """Loss per nat of compute by rung; empty before the first run."""
    noise: Mapping[str, Noise]
    stack: Stack | None
    stacks: tuple[ChangeRow, ...] = ()
    """Changes measured together; ``rows`` holds single changes only."""
    exam: Exam | None = None
    unit: GainUnit = COMPUTE
    """What gains are written in."""

    @property
    def target_noise(self) -> float:
        """Standard deviation expected of one run at the target, in loss.

        As on the highest rung measured, in nats of compute.
        """
        # assumption: public ladders show noise in compute that falls or stays over scale.
        if self.fit is None or not self.fit.status.is_law:
            return 0.0
        top = [rung.name for rung in self.ladder.rungs if rung.name in self.noise][-1]
        nats = self.noise[top].sd / self.slopes[top]
        return nats * self.fit.law.slope(self.ladder.target)

    def of(self, *groups: ChangeGroup) -> tuple[ChangeRow, ...]:
        """Return changes by where they ended, in the order proposed."""
        return tuple(row for row in self.rows if row.group in groups)

    @property
    def is_examined(self) -> bool:
        """Whether the exam is of exactly the changes that are accepted now."""
        return self.exam is not None and set(self.exam.arms) == set(self.state.changes.accepted)

    @property
    def null_changes(self) -> tuple[ChangeRow, ...]:
        """Null changes with a verdict."""
        return tuple(row for row in self.rows if row.is_control and row.verdict is not None)

    @property
    def refuted(self) -> tuple[ChangeRow, ...]:
        """Changes that scored better at the lowest rung and did not pass."""
        return tuple(row for row in self.rows if _is_refuted(row, self.ladder))

    @property
    def refuted_clearly(self) -> tuple[ChangeRow, ...]:
        """Those of them whose win at the lowest rung lay beyond its 80 % interval."""
        return tuple(row for row in self.refuted if is_clear_win(row.effects[0]))

    @property
    def n_hits(self) -> int:
        """How many forecasts came true."""
        return sum(scored.is_hit for scored in self.scored)

    def warnings(self) -> list[str]:
        """Say what to mind when reading, one line each."""
        warned = self.ladder.warnings()
        if self.fit is None:
            return warned
        if self.fit.status.value != "converged":
            warned.append(f"the baseline's law: {self.fit.status}; {self.fit.status.advice}")
        for scale in self.fit.scales:
            if self.fit.status.is_law and abs(scale.misfit) > 3:
                warned.append(
                    f"the baseline at {scale.compute:.3g} {self.ladder.unit} lies "
                    f"{scale.misfit:+.1f} standard errors from its law: that rung is suspect"
                )
        passed = [
            row.arm for row in self.null_changes if row.verdict and row.verdict.outcome.is_accepted
        ]
        if passed:
            warned.append(f"null change {', '.join(passed)} passed: this study's odds are too good")
        return warned


def is_clear_win(effect: Effect) -> bool:
    """Whether an effect's 80 % interval lies above zero."""
    return effect.gain - Z80 * effect.gain_se > 0


def is_clear(effect: Effect) -> bool:
    """Whether an effect's 80 % interval excludes zero."""
    return abs(effect.gain) > Z80 * effect.gain_se


def _is_refuted(row: ChangeRow, ladder: Ladder) -> bool:
    if row.is_control or row.verdict is None or row.verdict.outcome.is_accepted:
        return False
    first = row.effects[0] if row.effects else None
    return first is not None and first.rung == ladder.rungs[0].name and first.gain > 0


def survey(ladder: Ladder, state: StudyState) -> Findings:
    """Add a study up; works at any moment of it, an empty one included."""
    analysis = Analysis(ladder, state)
    every = [_row(analysis, record) for record in state.changes.values()]
    rows = tuple(row for row in every if not row.proposed.change.members)
    fit, slopes, noise, unit = None, {}, {}, COMPUTE
    base = next(iter(state.bases), "")
    if any(analysis.losses(base, rung.name) for rung in ladder.rungs):
        baseline_law = analysis.baseline_law(base)
        fit, slopes = baseline_law.fit, dict(baseline_law.slopes)
        unit = gain_unit(ladder, baseline_law)
        noise = {name: analysis.noise(name) for name in slopes}
    return Findings(
        ladder=ladder,
        state=state,
        rows=rows,
        scored=scored(state, rows),
        fit=fit,
        slopes=slopes,
        noise=noise,
        stack=_stack(rows),
        stacks=tuple(row for row in every if row.proposed.change.members),
        exam=examined(analysis),
        unit=unit,
    )


def _row(analysis: Analysis, record: ChangeRecord) -> ChangeRow:
    proposed, verdict, latest = record.proposed, record.verdict, record.latest
    if verdict is None:
        effects = analysis.effects(proposed)
        gain_forecast = latest.gain_forecast if latest is not None else None
        return ChangeRow(proposed, record.status, effects, gain_forecast, None)
    note = record.deferred or record.dropped
    if record.rescreened_by:
        note += f"; measured again as {record.rescreened_by}"
    elif proposed.rescreens:
        note = f"repeats {proposed.rescreens} on baseline {proposed.base}"
    return ChangeRow(proposed, record.status, verdict.effects, verdict.gain_forecast, verdict, note)


def _stack(rows: Sequence[ChangeRow]) -> Stack | None:
    taken = [(row.arm, row.gain_forecast) for row in rows if row.group is ChangeGroup.ACCEPTED]
    forecasts = [forecast for _, forecast in taken if forecast is not None]
    if not forecasts:
        return None
    return Stack(
        arms=tuple(arm for arm, _ in taken),
        mean=math.fsum(forecast.mean for forecast in forecasts),
        sd=math.sqrt(math.fsum(forecast.sd**2 for forecast in forecasts)),
    )


def scored(state: StudyState, rows: Sequence[ChangeRow]) -> tuple[ScoredForecast, ...]:
    """Pair every forecast with the first measurement of the rung that it predicted."""
    first: dict[tuple[str, str], Effect] = {}
    known = [(d.arm, d.effects) for d in state.decisions]
    known += [(row.arm, row.effects) for row in rows]
    for arm, effects in known:
        for effect in effects:
            first.setdefault((arm, effect.rung), effect)
    return tuple(
        score_rung_forecast(state.changes[forecast.arm].change, forecast, first[key])
        for key, forecast in state.forecasts.items()
        if key in first
    )


def hit_interval(hits: int, n: int, *, confidence: float = 0.8) -> tuple[float, float]:
    """Interval of a hit rate from ``hits`` of ``n`` (Wilson score).

    >>> low, high = hit_interval(8, 10)
    >>> round(low, 2), round(high, 2)
    (0.6, 0.91)
    """
    if not n:
        return 0.0, 1.0
    z = NORMAL.inv_cdf(0.5 + confidence / 2)
    share, size = hits / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / size
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / size
    return max(centre - half, 0.0), min(centre + half, 1.0)
