"""Forecasters to replay tables with: the framework's own, and the simple ones beside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from miniscale.setting.setting import Kind
from public_tables.replay import Case, Forecaster, Learner, as_forecaster, by_trend, fixed
from scaling import FitStatus, fit_power_law
from transfer.belief.posterior import Model, believe
from transfer.belief.prior import Prior
from transfer.events import Effect, GainForecast
from transfer.ladder_trust import Trust
from transfer.measure.trend import NORMAL
from transfer.policy.voi.knobs import KnobEdit, hint

KEPT = 0.55
"""Share of a gain in loss that is kept a decade of compute up."""
_Z = NORMAL.inv_cdf(0.9)
_MISFIT, _MISFIT_SHARE = 0.004, 0.2


UNAUDITED = Model.trusting(Trust(), Prior())
"""What the default policy believes where no audit was made: its doubt by kind with it."""


def by_atoms(effects: Sequence[Effect], position: float, kind: Kind) -> GainForecast:
    """Return the atoms' forecast under the default policy's prior and doubt."""
    return believe(effects, kind, model=UNAUDITED).gain_forecast(position)


def _normal(mean: float, sd: float, slope: float = 0.0) -> GainForecast:
    odds = NORMAL.cdf(mean / sd)
    return GainForecast(mean, sd, mean - _Z * sd, mean + _Z * sd, odds, slope)


def carried(case: Case) -> GainForecast:
    """Carry the last measured gain over unchanged; its doubt is noise and misfit."""
    last = case.effects[-1]
    misfit = math.hypot(_MISFIT_SHARE * last.gain, _MISFIT)
    return _normal(last.gain, math.hypot(last.gain_se, misfit))


def retained(case: Case) -> GainForecast:
    """Keep .55 of the gain in loss a decade, whatever the change; doubt as when carried over."""
    last, slopes = case.effects[-1], case.table.baseline_law.slopes
    share = KEPT ** (case.distance / math.log(10))
    gain = last.gain * share * slopes[last.rung] / slopes[case.truth.rung]
    scale = abs(gain / last.gain) if last.gain else 1.0
    sd = math.hypot(last.gain_se * scale, math.hypot(_MISFIT_SHARE * gain, _MISFIT))
    return _normal(gain, sd)


def by_law_per_arm(case: Case) -> GainForecast | None:
    """Fit a law to the arm and one to the baseline, and subtract; three rungs at least.

    The spread is that of the two fits' ensembles, taken as independent.
    """
    if len(case.effects) < 3:
        return None
    table, ladder = case.table.table, case.table.ladder
    ends = []
    for arm in (table.baseline, case.arm):
        runs = [
            (ladder.rung(effect.rung).scale, loss)
            for effect in case.effects
            for loss in table.runs(arm, ladder.rung(effect.rung).scale).values()
        ]
        fit = fit_power_law([x for x, _ in runs], [y for _, y in runs])
        if fit.status is FitStatus.NOT_DECREASING:
            return None
        at = ladder.rung(case.truth.rung).scale
        values = [law(at) for law in fit.ensemble] or [fit.law(at)]
        centre = math.fsum(values) / len(values)
        spread = math.fsum((value - centre) ** 2 for value in values) / len(values)
        ends.append((fit.law(at), spread))
    slope = case.table.baseline_law.slopes[case.truth.rung]
    (base, base_spread), (arm_loss, arm_spread) = ends
    sd = math.sqrt(base_spread + arm_spread) / slope
    return _normal((base - arm_loss) / slope, max(sd, 1e-6))


def by_atoms_and_bowl(case: Case) -> GainForecast:
    """Return the atoms' forecast with what other edits of the same knob say up to this rung."""
    return _pooled(case, UNAUDITED)


def _pooled(case: Case, model: Model) -> GainForecast:
    edits, last = case.table.table.edits, case.effects[-1].position
    said = None
    if case.arm in edits:
        knob = edits[case.arm][0]
        pool = [
            KnobEdit(arm, 0.0, place, tuple(e for e in effects if e.position <= last))
            for arm, effects in case.table.effects.items()
            for name, place in (edits.get(arm, ("", 0.0)),)
            if name == knob
        ]
        said = hint(pool, case.arm, target=case.truth.position, model=model)
    belief = believe(case.effects, case.kind, model=model, hint=said)
    return belief.gain_forecast(case.truth.position)


@dataclass(frozen=True)
class ReplayDoubt:
    """What is doubted of a gain a nat of compute beyond its last rung."""

    drift: float
    share: float


def atoms_doubting(doubts: Mapping[Kind, ReplayDoubt], *, is_pooled: bool = False) -> Forecaster:
    """Return the atoms' forecaster with another doubt beyond the last rung, by kind.

    The doubt a nat is ``hypot(drift, share |g|)`` of the last measured gain g: large effects
    drift more.
    """
    return lambda case: _doubting(case, doubts[case.kind], is_pooled=is_pooled)


def _doubting(case: Case, doubt: ReplayDoubt, *, is_pooled: bool) -> GainForecast:
    drift = math.hypot(doubt.drift, doubt.share * case.effects[-1].gain)
    if is_pooled:
        return _pooled(case, Model(drift=drift))
    belief = believe(case.effects, case.kind, model=Model(drift=drift))
    return belief.gain_forecast(case.truth.position)


DOUBTS = tuple(
    ReplayDoubt(drift, share) for drift in (0.004, 0.015, 0.03, 0.05) for share in (0, 0.15, 0.3)
)


class LearnedDoubt:
    """Learns by kind the doubt under which other sources' truths were likeliest; sources alike.

    The score is the mean log density of the truth under a Student with 4 degrees of freedom around
    the forecast, so that single outliers do not decide, plus the mean log of the odds given to
    the sign that was seen (odds clipped to [.01, .99]). It keeps what it computed, since every
    source is forecast several times.
    """

    def __init__(self, *, is_pooled: bool = False) -> None:
        self._is_pooled = is_pooled
        self._known: dict[tuple[int, ReplayDoubt], tuple[Case, float]] = {}

    def __call__(self, cases: Sequence[Case]) -> Forecaster:
        """Return the atoms' forecaster with the doubt that these cases make likeliest."""
        doubts = {kind: self.best(cases, kind) for kind in Kind}
        return atoms_doubting(doubts, is_pooled=self._is_pooled)

    def best(self, cases: Sequence[Case], kind: Kind) -> ReplayDoubt:
        """Return the doubt of the highest score; the default's where no case is of the kind."""
        sources: dict[str, list[Case]] = {}
        for case in cases:
            if case.kind is kind:
                sources.setdefault(case.source, []).append(case)
        if not sources:
            return DOUBTS[0]
        return max(
            DOUBTS,
            key=lambda doubt: math.fsum(
                math.fsum(self._score(case, doubt) for case in rows) / len(rows)
                for rows in sources.values()
            ),
        )

    def _score(self, case: Case, doubt: ReplayDoubt) -> float:
        key = (id(case), doubt)
        if key not in self._known:
            look = _doubting(case, doubt, is_pooled=self._is_pooled)
            self._known[key] = (case, _log_score(look, case.truth))
        return self._known[key][1]


def _log_score(look: GainForecast, truth: Effect) -> float:
    sd = math.hypot(look.sd, truth.gain_se)
    odds = min(max(look.odds, 0.01), 0.99)
    density = -math.log(sd) - 2.5 * math.log1p(((truth.gain - look.mean) / sd) ** 2 / 4)
    return density + math.log(odds if truth.gain > 0 else 1 - odds)


TEMPERATURES = tuple(math.exp(math.log(10) * step / 46) for step in range(47))
CLIPPED = 0.003
"""Odds nearer to 0 or 1 than this count as this near."""


def tempered(odds: float, temperature: float) -> float:
    """Return odds with their logarithm divided by a temperature: above 1 they are less sure.

    >>> round(tempered(0.95, 2.0), 3)
    0.813
    """
    sure = min(max(odds, CLIPPED), 1 - CLIPPED)
    return float(1 / (1 + ((1 - sure) / sure) ** (1 / temperature)))


class TemperedOdds:
    """The atoms' forecasts with odds that are as sure as other sources' truths let them be.

    One temperature a kind of change: the one under which the signs seen on the other sources were
    likeliest, sources alike. Means and intervals stay as they are.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Case, GainForecast]] = {}

    def __call__(self, cases: Sequence[Case]) -> Forecaster:
        """Return the forecaster that these cases teach."""
        at = {kind: self.temperature(cases, kind) for kind in Kind}

        def forecast(case: Case) -> GainForecast:
            look = self._look(case)
            return replace(look, odds=tempered(look.odds, at[case.kind]))

        return forecast

    def temperature(self, cases: Sequence[Case], kind: Kind) -> float:
        """Return a kind's temperature; 1 where no case is of it."""
        sources: dict[str, list[tuple[float, bool]]] = {}
        for case in cases:
            if case.kind is kind:
                seen = (self._look(case).odds, case.truth.gain > 0)
                sources.setdefault(case.source, []).append(seen)
        return likeliest_temperature(list(sources.values()))

    def _look(self, case: Case) -> GainForecast:
        if id(case) not in self._known:
            self._known[id(case)] = case, by_atoms(case.effects, case.truth.position, case.kind)
        return self._known[id(case)][1]


def likeliest_temperature(sources: Sequence[Sequence[tuple[float, bool]]]) -> float:
    """Return the temperature of the highest mean log score; 1 without a case.

    Parameters
    ----------
    sources
        By source, (odds of a gain, whether one came).
    """

    def score(temperature: float) -> float:
        return math.fsum(
            math.fsum(
                math.log(told if came else 1 - told)
                for odds, came in rows
                for told in (tempered(odds, temperature),)
            )
            / len(rows)
            for rows in sources
        )

    return max(TEMPERATURES, key=score)


LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "atoms": lambda: fixed(as_forecaster(by_atoms)),
    "atoms, bowl": lambda: fixed(by_atoms_and_bowl),
    "atoms, doubt learned": LearnedDoubt,
    "atoms, bowl, doubt learned": lambda: LearnedDoubt(is_pooled=True),
    "atoms, odds tempered": TemperedOdds,
    "trend": lambda: fixed(as_forecaster(by_trend)),
    "carried over": lambda: fixed(carried),
    "one retention": lambda: fixed(retained),
    "law per arm": lambda: fixed(by_law_per_arm),
}
