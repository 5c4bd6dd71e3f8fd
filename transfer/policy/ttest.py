"""A test on the lowest rung: k runs, a t-test, and a bound on false discoveries if wanted."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from scipy.special import stdtr

from transfer.belief.utility import Utility
from transfer.events import Effect, GainForecast
from transfer.measure.noise import PRIOR_DF
from transfer.policy.protocol import Decision, Evidence
from transfer.policy.simple_policy import accept, carried, opening, refuse


class Control(StrEnum):
    """How the level of a test depends on the tests before it."""

    NONE = "none"
    SPENDING = "spending"
    LORD = "lord"


@dataclass(frozen=True)
class TTestPolicy:
    """Accept what is better on the lowest rung by a one-sided t-test.

    The statistic is gain over its standard error with the noise pooled over all replicates of the
    rung, so its degrees of freedom are the pool's, not Welch's for two small samples.

    seeds
        Runs of a change.
    level
        Of each test, or of all together under ``control``.
    control
        ``none``; ``spending`` splits the level over tests as 6/(pi^2 t^2), so that no false accept
        in the whole study has probability ``level``; ``lord`` is LORD++ (Ramdas et al. 2017,
        "Online control of the false discovery rate with decaying memory"), which bounds the false
        discovery *rate* by ``level``. Both speak of the lowest rung: neither knows of the target.
    """

    seeds: int = 4
    level: float = 0.05
    control: Control = Control.NONE
    name: str = "ttest"
    utility: Utility = field(default_factory=Utility)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds: got {self.seeds}, must be at least 1")
        if not 0 < self.level < 1:
            raise ValueError(f"level: got {self.level}, must lie between 0 and 1")

    def foresee(self, evidence: Evidence, rung: str) -> GainForecast | None:
        """Expect the same everywhere."""
        return carried(evidence.effects[-1]) if evidence.effects else None

    def decide(self, evidence: Evidence) -> Decision:
        """Return the next step for a change."""
        first = opening(evidence, seeds=self.seeds)
        if first is not None:
            return first
        effect = evidence.effects[0]
        p, level = p_value(effect, _df(evidence, effect)), self._level(evidence)
        reason = f"p {p:.4f} on {effect.rung} against a level of {level:.4f}"
        return (accept if p < level else refuse)(effect, carried(effect), reason)

    def _level(self, evidence: Evidence) -> float:
        """Return this test's level; tests are numbered in the order that changes came in."""
        if self.control is Control.NONE:
            return self.level
        arms = [arm for arm, s in evidence.view.change_views.items() if not s.change.members]
        t = arms.index(evidence.arm) + 1
        if self.control is Control.SPENDING:
            return self.level * 6 / (math.pi * t) ** 2
        rejections = []
        for n, arm in enumerate(arms[: t - 1], start=1):
            verdict = evidence.view.change_views[arm].verdict
            if verdict is not None and verdict.outcome.is_accepted:
                rejections.append(n)
        return lord_level(t, rejections, level=self.level)


def _df(evidence: Evidence, effect: Effect) -> float:
    noise = evidence.view.noise.get(effect.rung)
    return PRIOR_DF + (noise.df if noise is not None else effect.n + effect.n_baseline - 2)


def p_value(effect: Effect, df: float) -> float:
    """Return the probability of a gain this large or larger where there is none."""
    return float(stdtr(df, -effect.gain / effect.gain_se))


def _gamma(t: int) -> float:
    """Share of the wealth for the t-th test, .0772 ln(max(t, 2)) / (t exp(sqrt(ln t)))."""
    return 0.0772 * math.log(max(t, 2)) / (t * math.exp(math.sqrt(math.log(t))))


def lord_level(t: int, rejections: list[int], *, level: float) -> float:
    """Return LORD++'s level of the t-th test, given the numbers of the tests that rejected.

    With w0 = level / 2 and discoveries at tau_1 < tau_2 < ...,

        w0 gamma(t) + (level - w0) gamma(t - tau_1) + level sum_{j >= 2} gamma(t - tau_j)
    """
    start = level / 2
    total = start * _gamma(t)
    for j, tau in enumerate(rejections):
        total += (level - start if j == 0 else level) * _gamma(t - tau)
    return total
