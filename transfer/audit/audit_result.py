"""What an audit found, as data that is stored and read by later studies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transfer.belief.panel_prior import TopForecast
from transfer.ladder_trust import Light, Trust

VERSION = 1


@dataclass(frozen=True)
class Slope:
    """How much of a gain is left at the target: slope of upper on lower gains, 80 % interval."""

    kind: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RungAudit:
    """One rung against the one that plays the target; gains in nats of compute.

    accuracy, low, high
        Share of pairs of changes ordered alike, with its 80 % interval over interventions.
    transfer, transfer_low
        The same with the noise of both rungs removed, and the lower end of its interval; None where
        a rung shows no more than noise.
    noise, noise_df
        Of one run; degrees of freedom behind it.
    planned_se
        Of the comparison that a study would make here.
    detectable
        Smallest gain that the planned seeds tell from none.
    signal
        Spread of the true effects, noise removed.
    """

    rung: str
    scale: float
    cost: float
    n: int
    noise: float
    noise_df: int
    rho: float
    seeds: int
    baseline_seeds: int
    planned_se: float
    detectable: float
    signal: float
    slope: float
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    transfer: float | None = None
    transfer_low: float | None = None
    spearman: float | None = None
    won_then_lost: int = 0
    """Changes that win here by more than 2 standard errors and lose so at the target."""
    lost_then_won: int = 0
    n_clear: int = 0
    """Changes beyond 2 standard errors on both rungs."""
    drift: float | None = None
    """sd of the change of a gain per nat of compute from here to the target, noise removed."""
    persistence: tuple[Slope, ...] = ()
    light: Light = Light.AMBER
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drifter:
    """A change whose effect on the lowest rung is clear and does not last: it falls or crosses."""

    arm: str
    category: str
    kind: str
    first: float
    last: float
    z: float
    """Standard errors of the change between them."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit; ``rungs`` from the lowest up, the last one plays the target.

    misfit, misfit_low, misfit_high
        Error of a rung that replicates do not remove, nats, with its 80 % interval.
    drift
        Doubt per nat of compute beyond the highest rung seen.
    conformal
        Factor on intervals, by leaving one intervention out; None with too few to say.
    scores
        Forecasts of the target from all rungs below it, learned without the change in question.
    start
        The cheapest rung on which decisions may begin; empty if none is.
    """

    ladder: str
    digest: str
    panel: str
    target: str
    n: int
    rungs: tuple[RungAudit, ...]
    misfit: float
    misfit_low: float
    misfit_high: float
    effect_scale: float
    drift: float
    conformal: float | None
    scores: tuple[TopForecast, ...]
    drifters: tuple[Drifter, ...]
    start: str
    light: Light
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    notes: tuple[str, ...] = ()
    version: int = VERSION
    content: Mapping[str, Any] = field(default_factory=dict)
    """The ladder's content that was audited, so that a later reader can say what changed."""

    @property
    def trust(self) -> Trust:
        """What a policy takes from it."""
        default = Trust()
        if self.n < 8 or len(self.rungs) < 3:
            return Trust(light=self.light, source=self.digest)
        return Trust(
            light=self.light,
            drift=max(self.drift, 0.5 * default.drift),
            misfit=max(self.misfit, 0.5 * default.misfit),
            conformal=max(1.0, self.conformal or 1.0),
            source=self.digest,
        )
