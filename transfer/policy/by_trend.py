"""The plain policy: promote what is not clearly worse, accept by the trend over the rungs."""

import math
from dataclasses import dataclass, field

from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind
from transfer.belief.utility import Utility
from transfer.events import Action, Effect, GainForecast, Outcome
from transfer.measure.trend import NORMAL, TrendPrior, gain_forecast
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import CERTIFIED_SPAN, opening


@dataclass(frozen=True)
class TrendPolicy:
    """Stop when the odds at the target are poor, accept when they are good, climb in between.

    futility
        Odds of a gain at the target below which a change is stopped, by rung from the lowest; the
        last one holds for all higher rungs. Low at the bottom: a loss there is weak evidence.
    confidence
        Odds from which a change on the highest rung is accepted.
    hopeful
        Odds from which an undecided change on the highest rung gets more seeds.
    min_gain
        Gain at the target, in nats of compute, below which code is not worth carrying.
    """

    futility: tuple[float, ...] = (0.25, 0.45)
    confidence: float = 0.95
    hopeful: float = 0.7
    min_gain: float = 0.004
    prior: TrendPrior = field(default_factory=TrendPrior)
    name: str = "trend"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        odds = (*self.futility, self.confidence, self.hopeful, self.prior.confidence)
        for one in odds:
            if not 0 < one < 1:
                raise ValueError(f"policy: got {one}, odds must lie between 0 and 1")
        if not self.futility:
            raise ValueError("policy.futility: empty; give odds for the lowest rung at least")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Predict the gain on a rung from the rungs below it."""
        if not evidence.effects:
            return None
        position = evidence.ladder.position(evidence.ladder.rung(rung).scale)
        return gain_forecast(evidence.effects, position, prior=self.prior)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        ladder = evidence.ladder
        first = opening(evidence, seeds=ladder.rungs[0].seeds)
        if first is not None:
            return first
        target = ladder.position(ladder.target)
        forecast = gain_forecast(evidence.effects, target, prior=self.prior)
        effect = evidence.effects[-1]
        rung_index = ladder.index(effect.rung)
        rung = ladder.rungs[rung_index]
        floor = self.futility[min(rung_index, len(self.futility) - 1)]
        if forecast.odds < floor:
            reason = f"odds {forecast.odds:.2f} at the target are below {floor:.2f}"
            return self._refuse(evidence, forecast, reason)
        if rung is ladder.rungs[-1]:
            return self._at_top(evidence, forecast, rung, effect)
        if forecast.odds < floor + 0.05 and effect.n < rung.max_seeds:
            return Decision(
                Action.REPEAT, rung.name, ("close to being stopped",), forecast, seeds=effect.n + 1
            )
        upper = ladder.rungs[rung_index + 1]
        reason = f"odds {forecast.odds:.2f} at the target: not clearly worse"
        return Decision(Action.PROMOTE, upper.name, (reason,), forecast, seeds=upper.seeds)

    def _at_top(
        self, evidence: Evidence, forecast: GainForecast, rung: Rung, effect: Effect
    ) -> Decision:
        if forecast.odds >= self.confidence and forecast.mean >= self.min_gain:
            outcome, reason = _change_view(evidence)
            return Decision(Action.ACCEPT, rung.name, (reason,), forecast, outcome=outcome)
        if forecast.odds >= self.hopeful and effect.n < rung.max_seeds:
            reason = f"odds {forecast.odds:.2f} are short of {self.confidence:.2f}"
            return Decision(Action.REPEAT, rung.name, (reason,), forecast, seeds=effect.n + 1)
        reason = f"odds {forecast.odds:.2f} at the target are short of {self.confidence:.2f}"
        return self._refuse(evidence, forecast, reason)

    def _refuse(self, evidence: Evidence, forecast: GainForecast, reason: str) -> Decision:
        """Say why a change is not accepted: it wins only at the bottom, nowhere, or unclearly."""
        last = evidence.effects[-1].rung
        best = max(evidence.effects[:-1], key=_z, default=None)
        if best is not None and _z(best) > NORMAL.inv_cdf(0.95) and forecast.odds < 0.5:
            reasons = (reason, f"wins on {best.rung} ({best.gain:+.3f}) but not at the target")
            return Decision(Action.STOP, last, reasons, forecast, outcome=Outcome.SCALE_BOUND)
        is_top = last == evidence.ladder.rungs[-1].name
        if is_top and forecast.odds >= 0.5 and forecast.high > self.min_gain:
            price = _price(evidence, forecast, self.confidence)
            return Decision(
                Action.STOP, last, (reason,), forecast, outcome=Outcome.UNDECIDED, price=price
            )
        return Decision(Action.STOP, last, (reason,), forecast, outcome=Outcome.REJECTED)


def _z(effect: Effect) -> float:
    return effect.gain / effect.gain_se


def _change_view(evidence: Evidence) -> tuple[Outcome, str]:
    """Say whether an accept is certified: three rungs or more, over 15x of compute or more."""
    n = len(evidence.effects)
    span = math.exp(evidence.effects[-1].position - evidence.effects[0].position)
    if n >= 3 and span >= CERTIFIED_SPAN * 0.999:
        return Outcome.CERTIFIED, f"measured on {n} rungs over {span:.0f}x of compute"
    if n == 1 and evidence.change.kind is not Kind.STRUCTURAL:
        return Outcome.UNDECIDED, "one rung says nothing of a hyper-parameter's drift"
    return Outcome.PROVISIONAL, f"measured on {n} rung(s) over {span:.0f}x only"


def _price(evidence: Evidence, forecast: GainForecast, confidence: float) -> float:
    """Estimate what more pairs on the highest rung would bring the odds to ``confidence``.

    Noise falls as 1/sqrt(n): the present sd must shrink to mean / z.
    """
    effect = evidence.effects[-1]
    rung = evidence.ladder.rung(effect.rung)
    needed = max(forecast.mean, 1e-9) / NORMAL.inv_cdf(confidence)
    more = effect.n * min(max((forecast.sd / needed) ** 2 - 1, 1 / effect.n), 64.0)
    return math.ceil(more) * rung.cost
