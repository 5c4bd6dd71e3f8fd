"""Members of a stack: what its measured sum and its leave-one-out parts say of each of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfer.belief.mixture import Mixture, normal_forecast
from transfer.belief.posterior import Belief
from transfer.belief.prior import DECADES, Array
from transfer.belief.utility import Utility
from transfer.events import Effect, GainForecast

COMMON, COMMON_GROWTH = 0.15, 0.40
"""Error that all forecasts share, as a share of them at the lowest rung and three decades above."""
INTERACTION = 0.3
"""Sd of what a member is worth in the stack around what it is worth alone, as a share of it."""
BEYOND = 0.12
"""Doubt per nat of a stack's gain beyond its highest measured rung, as a share of it."""
HELD = 0.7
"""Share of its forecast below which a stack is doubtful."""
VISIBLE = 1.5
"""Sd that a typical member's gain must be worth on a rung for leaving it out to show."""
AGAINST = -1.28
"""Sd below what was expected of it from which leaving a member out contradicts it."""
SURPRISING = 3.0
"""Sd from what was believed of a member beyond which its leave-one-out makes it doubtful."""
# assumption: luck does that once in 370 parts; a study has a dozen
UNLUCKY = 0.8
"""Sd below its forecast from which that share counts."""


@dataclass(frozen=True)
class Normal:
    """A joint normal: mean (d,) and covariance (d, d)."""

    mean: Array
    covariance: Array

    def marginal(self, place: int) -> tuple[float, float]:
        """Return mean and sd of one state."""
        variance = max(float(self.covariance[place, place]), 1e-18)
        return float(self.mean[place]), math.sqrt(variance)

    def given(self, rows: Array, seen: Array, noise: Array) -> "Normal":
        """Condition on ``seen = rows @ x + e``, ``e ~ N(0, noise)``: one Kalman update.

            K = C H' (H C H' + R)^-1,   mean + K (y - H mean),   (I - K H) C

        Parameters
        ----------
        rows, seen, noise
            (n, d), (n,) and (n, n).

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        if rows.shape != (seen.size, self.mean.size) or noise.shape != (seen.size, seen.size):
            raise ValueError(
                f"given: rows {rows.shape}, seen {seen.shape}, noise {noise.shape} do not fit a "
                f"state of {self.mean.size}; one row a measurement, one column a state"
            )
        cross = self.covariance @ rows.T
        gain = np.linalg.solve(rows @ cross + noise, cross.T).T
        left = np.eye(self.mean.size) - gain @ rows
        # Joseph's form stays symmetric and positive where (I - K H) C does not
        covariance = left @ self.covariance @ left.T + gain @ noise @ gain.T
        return Normal(self.mean + gain @ (seen - rows @ self.mean), covariance)


@dataclass(frozen=True)
class Part:
    """What leaving one member out did: the stack's gain less the rest's, on one rung; nats.

    A negative ``gain`` says that the stack is better without the member. ``whole_sd`` is the
    stack's own error where it ran anew for its parts; else the stack's effect there has it too.
    """

    arm: str
    rung: str
    gain: float
    sd: float
    whole_sd: float | None = None

    @property
    def z(self) -> float:
        """The gain in units of its error."""
        return self.gain / self.sd


@dataclass(frozen=True)
class Claim:
    """What is claimed of a stack at the target, and how its forecast did.

    ratio
        Measured over predicted gain on the stack's rungs, weighted by precision; NaN unmeasured.
    short
        By how many sd the stack falls short of its forecast on its highest rung.
    falls_at
        The lowest rung on which it falls short: by more than 2 sd, or below .7 of the forecast by
        more than luck; empty for none.
    members
        Arm -> what is believed of its part at the target.
    before
        What was claimed at the target before the stack was measured.
    predicted
        Rung -> what was forecast of the stack there.
    """

    gain_forecast: GainForecast
    ratio: float
    short: float
    falls_at: str
    members: Mapping[str, Mixture]
    before: GainForecast
    predicted: Mapping[str, GainForecast]

    @property
    def is_doubtful(self) -> bool:
        """Whether the exam asks for another look at the members."""
        return bool(self.falls_at) or (math.isfinite(self.ratio) and self.ratio < HELD)


def together(
    beliefs: Sequence[Belief], positions: Sequence[float], *, interaction: float = INTERACTION
) -> Normal:
    """Return the joint belief of members' parts over positions; states run member by member.

    Blocks are each member's posterior moments, widened by an interaction of 30 % of its mean that
    is the same at all positions. On top lies the error that all forecasts share,

        Cov(g_i(x), g_j(y)) += m_i(x) m_j(y) (.15^2 + .40^2 x y / 6.91^2)
    """
    n, width = len(beliefs), len(positions)
    mean = np.empty(n * width)
    covariance = np.zeros((n * width, n * width))
    for place, belief in enumerate(beliefs):
        block = slice(place * width, (place + 1) * width)
        mean[block], inner = belief.moments(positions)
        covariance[block, block] = inner
        if n > 1:
            own = interaction * mean[block]
            covariance[block, block] += np.outer(own, own)
    at = np.array(positions)
    grown = COMMON**2 + COMMON_GROWTH**2 * np.outer(at, at) / DECADES**2
    covariance += np.outer(mean, mean) * np.tile(grown, (n, n))
    return Normal(mean, covariance)


def examine(
    arms: Sequence[str],
    beliefs: Sequence[Belief],
    *,
    measured: Sequence[Effect],
    parts: Sequence[Part],
    positions: Mapping[str, float],
    target: float,
    earlier: Sequence[tuple[Sequence[str], Sequence[Effect]]] = (),
) -> Claim:
    """Update members by their stack's gains and by leave-one-out, and claim the stack's gain.

    Parameters
    ----------
    arms, beliefs
        The members, in the same order.
    measured
        The stack's effects, against the baseline of its members.
    parts
        Leave-one-out differences of these members.
    positions, target
        Rung -> position of every rung, from the lowest; position of the target.
    earlier
        Some of the members and what they gained together on other runs: known to the forecast.
    """
    width = len(positions) + 1
    places = {name: place for place, name in enumerate(positions)}
    alone = together(beliefs, [*positions.values(), target])
    stretches = _stretches(alone, arms, parts, places)
    wide = _stretched(alone, stretches, width)
    total = np.tile(np.eye(width), (1, len(arms)))
    forecast = _with_earlier(alone, arms, earlier, places)
    ratio, short, falls_at = _against_forecast(forecast, total, measured, places)
    state = _with_earlier(wide, arms, earlier, places)
    if measured or parts:
        state = state.given(*_observations(arms, measured, parts, places, total))
    stacked = [effect.position for _, effects in earlier for effect in effects]
    last = max(stacked or [belief.last for belief in beliefs])
    top = max((effect.position for effect in measured), default=last)
    ends = range(width - 1, width * len(arms), width)
    members = {
        arm: belief.at(target).stretched(factor).moved(wide.marginal(i), state.marginal(i))
        for i, arm, belief, factor in zip(ends, arms, beliefs, stretches, strict=True)
    }
    widen = beliefs[0].model.conformal
    return Claim(
        *(_whole(state, total[-1], target - top, widen=widen), ratio, short, falls_at, members),
        before=_whole(forecast, total[-1], target - last, widen=widen),
        predicted={name: _whole(forecast, total[at], 0.0) for name, at in places.items()},
    )


def _stretches(
    alone: Normal, arms: Sequence[str], parts: Sequence[Part], places: Mapping[str, int]
) -> list[float]:
    """Return by how much members' sd must grow for their parts to lie within 3 sd; 1 for none.

    One whose part lies beyond was known worse than thought, on all rungs: so it answers for what
    the stack falls short, and not those that did as was expected.
    """
    factors = dict.fromkeys(arms, 1.0)
    for part in parts:
        offset = list(arms).index(part.arm) * (len(places) + 1)
        mean, sd = alone.marginal(offset + places[part.rung])
        square = (part.gain - mean) ** 2 / SURPRISING**2 - part.sd**2
        factors[part.arm] = max(factors[part.arm], math.sqrt(max(square, 0.0)) / sd)
    return list(factors.values())


def _stretched(state: Normal, factors: Sequence[float], width: int) -> Normal:
    """Return the state with members' sd so many times as large; what they share stays."""
    covariance = state.covariance.copy()
    for place, factor in enumerate(factors):
        block = slice(place * width, (place + 1) * width)
        covariance[block, block] *= factor**2
    return Normal(state.mean, covariance)


def is_contradicted(
    part: Part, belief: Belief, *, position: float, target: float, utility: Utility
) -> bool:
    """Whether a member adds so much less than alone that nothing is left of it at the target.

    One that was known to lose on the rung, and to win above, is not contradicted by losing there.

    Parameters
    ----------
    part
        What leaving the member out did.
    belief
        What its own rungs say of it.
    position, target
        Of the part's rung and of the target, nats above the lowest rung.
    utility
        What is left must be worth its complexity.
    """
    mean, covariance = belief.moments([position])
    missing = part.gain - float(mean[0])
    sd = math.hypot(part.sd, math.sqrt(float(covariance[0, 0])))
    left = belief.at(target).mean + missing
    return missing < AGAINST * sd and left < utility.complexity_cost


def _whole(state: Normal, row: Array, beyond: float, *, widen: float = 1.0) -> GainForecast:
    """Return a sum's forecast, with .12 of itself a nat as doubt beyond the highest rung."""
    mean = float(row @ state.mean)
    doubt = BEYOND * abs(mean) * max(beyond, 0.0)
    sd = math.sqrt(max(float(row @ state.covariance @ row), 1e-18) + doubt**2)
    return normal_forecast(mean, sd, widen=widen)


def _with_earlier(
    state: Normal,
    arms: Sequence[str],
    earlier: Sequence[tuple[Sequence[str], Sequence[Effect]]],
    places: Mapping[str, int],
) -> Normal:
    width = len(places) + 1
    for members, effects in earlier:
        rows = np.zeros((len(effects), state.mean.size))
        for row, effect in zip(rows, effects, strict=True):
            row[[arms.index(arm) * width + places[effect.rung] for arm in members]] = 1.0
        if effects:
            noise = np.diag([effect.gain_se**2 for effect in effects])
            state = state.given(rows, np.array([effect.gain for effect in effects]), noise)
    return state


def _against_forecast(
    state: Normal, total: Array, measured: Sequence[Effect], places: Mapping[str, int]
) -> tuple[float, float, str]:
    if not measured:
        return math.nan, 0.0, ""
    rows = np.stack([total[places[effect.rung]] for effect in measured])
    forecast = rows @ state.mean
    gains = np.array([effect.gain for effect in measured])
    errors = np.array([effect.gain_se for effect in measured])
    scale = float((forecast**2 / errors**2).sum())
    ratio = float((gains * forecast / errors**2).sum()) / scale if scale > 0 else math.nan
    spread = np.sqrt(np.einsum("ni,ij,nj->n", rows, state.covariance, rows) + errors**2)
    short = (forecast - gains) / spread
    is_short = (short > 2) | ((short > UNLUCKY) & (gains < HELD * forecast))
    falls = [effect.rung for effect, falls in zip(measured, is_short, strict=True) if falls]
    return ratio, float(short[-1]), falls[0] if falls else ""


def _observations(
    arms: Sequence[str],
    measured: Sequence[Effect],
    parts: Sequence[Part],
    places: Mapping[str, int],
    total: Array,
) -> tuple[Array, Array, Array]:
    """Return rows, values and noise of all that was measured of the stack.

    A part is the stack less the rest, so the stack's own error on that rung is in both, and in
    all parts there.
    """
    width = len(places) + 1
    own = {e.rung: max(e.gain_se**2 - e.shared_se**2, 1e-18) for e in measured}
    rows = [total[places[effect.rung]] for effect in measured]
    seen = [effect.gain for effect in measured]
    noise = np.diag([effect.gain_se**2 for effect in measured] + [part.sd**2 for part in parts])
    for part in parts:
        row = np.zeros(total.shape[1])
        row[list(arms).index(part.arm) * width + places[part.rung]] = 1.0
        rows.append(row)
        seen.append(part.gain)
    offset = len(measured)
    for i, part in enumerate(parts, start=offset):
        if part.whole_sd is None:
            for j, effect in enumerate(measured):
                if effect.rung == part.rung:
                    noise[i, j] = noise[j, i] = min(own[part.rung], 0.9 * part.sd**2)
        for j, other in enumerate(parts, start=offset):
            if j != i and other.rung == part.rung:
                apart = part.whole_sd
                shared = own.get(part.rung, 0.0) if apart is None else apart**2
                noise[i, j] = min(shared, 0.9 * part.sd * other.sd)
    return np.array(rows).reshape(len(seen), total.shape[1]), np.array(seen), noise
