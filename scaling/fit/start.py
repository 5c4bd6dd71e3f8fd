"""First guess of a power law ``E + A C^-alpha``: A is linear given alpha, alpha is solved given E.

The floor E is what a ladder knows least about. So it is profiled: for every E of a grid, the best
alpha and A (variable projection: Golub and Pereyra, 1973) and how well they fit. That profile is
both the point estimate and the doubt.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from scaling.law.power_law import PowerLaw

Array = NDArray[np.float64]

ALPHA_LOW, ALPHA_HIGH = 0.02, 0.6
_ALPHAS = np.geomspace(ALPHA_LOW, ALPHA_HIGH, 33)
_N_FLOORS = 41
_NEGLIGIBLE = 12.0
"""Floors this far below the best log likelihood are left out of the profile."""


@dataclass(frozen=True)
class Means:
    """Mean losses by scale, one row a scale in ascending compute.

    ``t`` is ln compute counted from ``centre``; ``variance`` is that of the mean; ``df`` is the
    degrees of freedom of the noise behind it.
    """

    t: Array
    loss: Array
    variance: Array
    centre: float
    lowest_floor: float
    df: float


@dataclass(frozen=True)
class Profile:
    """For each floor of a grid: the best law, its doubt, and the floor's weight (sum 1)."""

    floor: Array
    alpha: Array
    amplitude: Array
    sd_alpha: Array
    weight: Array

    @property
    def mean_floor(self) -> float:
        """The floor averaged over its doubt."""
        return float(self.weight @ self.floor)

    @property
    def sd_floor(self) -> float:
        """Standard deviation of the floor."""
        return float(np.sqrt(self.weight @ (self.floor - self.mean_floor) ** 2))


def profile_floors(means: Means) -> Profile:
    """Profile the floor over everything the data allow, narrowing the grid twice.

    The grid is even in the square root of the floor: the prior leans to low floors, so that an
    error that can vanish (E = 0) keeps its coverage.
    """
    base, reach = means.lowest_floor, float(means.loss.min()) - means.lowest_floor
    low, high = 0.0, 0.9995
    for last in (False, False, True):
        root = np.linspace(low, high, _N_FLOORS)
        profile = _profile(means, base + reach * root**2)
        if not last:
            kept = np.flatnonzero(profile.weight > profile.weight.max() * np.exp(-_NEGLIGIBLE))
            low, high = root[max(kept[0] - 1, 0)], root[min(kept[-1] + 1, _N_FLOORS - 1)]
    return profile


def best_law(means: Means) -> PowerLaw:
    """Least squares in all three: E and A linear given alpha, alpha by a narrowing grid."""
    low, high = ALPHA_LOW, ALPHA_HIGH
    for _ in range(8):
        alphas = np.geomspace(low, high, 33)
        floors, misfit = _linear(means, alphas)
        best = int(np.argmin(misfit))
        low, high = alphas[max(best - 1, 0)], alphas[min(best + 1, 32)]
    floor, alpha = np.array([floors[best]]), np.array([alphas[best]])
    amplitude, _, _ = _amplitude(means, floor, alpha)
    return law_of(means, float(floor[0]), float(alpha[0]), float(amplitude[0]))


def law_at_floor(means: Means, floor: float) -> PowerLaw:
    """Return the best law among those of one floor."""
    profile = _profile(means, np.array([floor]))
    return law_of(means, floor, float(profile.alpha[0]), float(profile.amplitude[0]))


def law_of(means: Means, floor: float, alpha: float, amplitude: float) -> PowerLaw:
    """Return the law whose amplitude was counted at the centre of the data."""
    return PowerLaw(E=floor, A=amplitude * float(np.exp(alpha * means.centre)), alpha=alpha)


def draw_laws(means: Means, profile: Profile, n: int) -> tuple[PowerLaw, ...]:
    """Return n laws, equally likely given the data; no randomness, evenly spread quantiles.

    Standard deviations are widened for noise that is itself estimated, as Student's are.
    """
    uniform, normal = _spread(n)
    normal = normal * np.sqrt((means.df + 1) / (means.df - 1))
    at = np.minimum(np.searchsorted(np.cumsum(profile.weight), uniform), _N_FLOORS - 1)
    floor = profile.floor[at]
    alpha = profile.alpha[at] + profile.sd_alpha[at] * normal[0]
    alpha = np.clip(alpha, ALPHA_LOW, ALPHA_HIGH)
    amplitude, sd, _ = _amplitude(means, floor, alpha)
    amplitude = np.maximum(amplitude + sd * normal[1], 1e-3 * amplitude)
    return tuple(law_of(means, *row) for row in np.stack([floor, alpha, amplitude], 1).tolist())


def _profile(means: Means, floor: Array) -> Profile:
    """Solve alpha and A for every floor: the best of a grid, then four Gauss-Newton steps."""
    z = np.exp(-_ALPHAS[:, None] * means.t)
    weight = 1 / means.variance
    above = means.loss - floor[:, None]
    amplitude = ((above * weight) @ z.T) / (weight * z**2).sum(1)
    residual = above[:, None, :] - amplitude[:, :, None] * z
    alpha = _ALPHAS[np.argmin((weight * residual**2).sum(-1), axis=1)]
    for _ in range(4):
        step, _ = _step(means, floor, alpha)
        moved = np.clip(alpha + step, ALPHA_LOW, ALPHA_HIGH)
        better = _amplitude(means, floor, moved)[2] < _amplitude(means, floor, alpha)[2]
        alpha = np.where(better, moved, alpha)
    _, information = _step(means, floor, alpha)
    best, _, misfit = _amplitude(means, floor, alpha)
    log_weight = -0.5 * (means.df + len(means.t)) * np.log1p(misfit / means.df)
    likely = np.exp(log_weight - log_weight.max())
    return Profile(floor, alpha, best, 1 / np.sqrt(information), likely / likely.sum())


def _amplitude(means: Means, floor: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """Return the best amplitude, its standard deviation and chi square, by (floor, alpha)."""
    z = np.exp(-alpha[:, None] * means.t)
    above = means.loss - floor[:, None]
    information = (z**2 / means.variance).sum(1)
    amplitude = (z * above / means.variance).sum(1) / information
    misfit = ((above - amplitude[:, None] * z) ** 2 / means.variance).sum(1)
    return amplitude, 1 / np.sqrt(information), misfit


def _step(means: Means, floor: Array, alpha: Array) -> tuple[Array, Array]:
    """Gauss-Newton step of alpha with A projected out, and the information about alpha."""
    z = np.exp(-alpha[:, None] * means.t)
    amplitude, sd, _ = _amplitude(means, floor, alpha)
    residual = means.loss - floor[:, None] - amplitude[:, None] * z
    push = -means.t * amplitude[:, None] * z
    along = (push * z / means.variance).sum(1) * sd**2
    push = push - along[:, None] * z
    information = (push**2 / means.variance).sum(1) + 1e-300
    return (residual * push / means.variance).sum(1) / information, information


def _linear(means: Means, alphas: Array) -> tuple[Array, Array]:
    """Return the best floor and chi square for every alpha; floors are kept above the lowest."""
    weight = 1 / means.variance
    z = np.exp(-alphas[:, None] * means.t)
    zbar = (weight * z).sum(1) / weight.sum()
    ybar = float(weight @ means.loss) / weight.sum()
    spread = (weight * (z - zbar[:, None]) ** 2).sum(1)
    amplitude = (weight * (z - zbar[:, None]) * (means.loss - ybar)).sum(1) / spread
    floor = np.clip(ybar - amplitude * zbar, means.lowest_floor, means.loss.min())
    return floor, _amplitude(means, floor, alphas)[2]


@lru_cache(maxsize=8)
def _spread(n: int) -> tuple[Array, Array]:
    """Return n even quantiles and, spread evenly against them, n pairs of normal quantiles."""
    index = np.arange(n)
    pairs = [(0.5 + index * step) % 1 for step in (0.7548776662466927, 0.5698402909980532)]
    inverse = NormalDist().inv_cdf
    normal = np.array([[inverse(min(max(u, 1e-6), 1 - 1e-6)) for u in row] for row in pairs])
    return (index + 0.5) / n, normal
