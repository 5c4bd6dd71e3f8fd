"""What a size costs: a log-linear law over the dials, on top of seconds that no size saves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.design.space.shrink_dials import Dial, DialRole, Shrinkable
from transfer.measure.trend import Z80

Array = NDArray[np.float64]

DOUBT = 0.3
"""sd of the prior on each exponent around its nominal one."""
SCATTER = 0.15
"""assumption: prices of equal trials scatter by this share; machines are shared."""
FLAT = 0.35
"""Elasticity of seconds over work below which a step down saves next to nothing."""
OVERHEADS = 41


@dataclass(frozen=True)
class Priced:
    """One observation: a size and what a trial there came to."""

    dials: Mapping[str, float]
    amount: float


@dataclass(frozen=True)
class Law:
    """``amount = floor + exp(a) prod (dial / expensive)^b``, with the doubt of its exponents.

    exponents, doubts
        b by dial and the standard error of each.
    floor
        What no size saves (start-up, dispatch); 0 for a count of work.
    scatter
        sd of ln(amount) around the law.
    """

    expensive: Mapping[str, float]
    log_top: float
    exponents: Mapping[str, float]
    doubts: Mapping[str, float]
    floor: float
    scatter: float

    def __call__(self, dials: Mapping[str, float]) -> float:
        """Return what a size costs."""
        return self.floor + math.exp(self.log_top + self._moved(dials))

    def _moved(self, dials: Mapping[str, float]) -> float:
        return sum(b * math.log(dials[n] / self.expensive[n]) for n, b in self.exponents.items())

    def overhead(self, dials: Mapping[str, float]) -> float:
        """Return the share of a size's cost that is floor."""
        return self.floor / self(dials)

    def words(self, unit: str) -> str:
        """Say the law in a line; exponents with their 80 % intervals."""
        parts = [
            f"{name}^{b:.2f} [{b - Z80 * self.doubts[name]:.2f}, {b + Z80 * self.doubts[name]:.2f}]"
            for name, b in self.exponents.items()
        ]
        start = f"{self.floor:.2g} + " if self.floor else ""
        return f"{unit} = {start}{math.exp(self.log_top):.3g} · {' · '.join(parts)}"


def nominal(form: Shrinkable, dial: Dial) -> float:
    """Return the exponent with which work is expected to go with a dial."""
    if form.cost in form.dials:
        return float(dial.name == form.cost or dial.role is DialRole.SCHEDULE)
    return {DialRole.SCALE: dial.power, DialRole.POOL: 0.0}.get(dial.role, 1.0)


def work(form: Shrinkable, dials: Mapping[str, float]) -> float:
    """Return the nominal work of a size as a share of the expensive form's."""
    return math.exp(
        sum(nominal(form, d) * math.log(dials[n] / d.value) for n, d in form.dials.items())
    )


def fit_price(form: Shrinkable, seen: Sequence[Priced], *, has_floor: bool) -> Law:
    """Fit the law by least squares in logarithms, exponents drawn to their nominal values.

    The floor is the one of smallest penalised squares, from none to all of the cheapest amount.

    Raises
    ------
    ValueError
        With nothing seen.
    """
    if not seen:
        raise ValueError("price: nothing seen; run probes first")
    amounts = np.array([one.amount for one in seen])
    x = np.array(
        [[math.log(one.dials[n] / d.value) for n, d in form.dials.items()] for one in seen]
    )
    least = float(amounts.min())
    floors = np.linspace(0, 0.98, OVERHEADS) * least if has_floor and len(seen) > 1 else [0.0]
    fits = [_ridge(form, x, amounts, float(floor)) for floor in floors]
    best = min(range(len(fits)), key=lambda i: fits[i][2])
    coefficients, spread, _ = fits[best]
    names = list(form.dials)
    told = floors[best] + np.exp(coefficients[0] + x @ coefficients[1:])
    residual = np.log(amounts / told)
    n_free = max(len(seen) - 1 - len(names), 1)
    return Law(
        expensive=form.expensive,
        log_top=float(coefficients[0]),
        exponents={n: float(b) for n, b in zip(names, coefficients[1:], strict=True)},
        doubts={n: float(s) for n, s in zip(names, spread[1:], strict=True)},
        floor=float(floors[best]),
        scatter=math.sqrt((SCATTER**2 + float(residual @ residual)) / (1 + n_free)),
    )


def _ridge(form: Shrinkable, x: Array, amounts: Array, floor: float) -> tuple[Array, Array, float]:
    """Return intercept and exponents, their standard errors, and the penalised squares.

    Residuals are of ln(amount): what lies above the floor weighs as its share of the whole.
    """
    weight = (amounts - floor) / amounts
    y = np.log(amounts - floor) * weight
    prior = np.array([nominal(form, dial) for dial in form.dials.values()])
    tight = np.array([DOUBT if nominal(form, d) else DOUBT / 3 for d in form.dials.values()])
    plan = np.column_stack([np.ones(len(x)), x]) * weight[:, None]
    penalty = np.diag([0.0, *(SCATTER / tight) ** 2])
    gram = plan.T @ plan + penalty
    found: Array = np.linalg.solve(gram, plan.T @ y + penalty @ np.array([0.0, *prior]))
    residual = y - plan @ found
    off = (found[1:] - prior) / tight
    total = float(residual @ residual) / SCATTER**2 + float(off @ off)
    spread: Array = SCATTER * np.sqrt(np.diag(np.linalg.inv(gram)))
    return found, spread, total


def exactly(form: Shrinkable, dial: str) -> Law:
    """Return the law of a setting whose cost is a dial, times the share of it that is run."""
    none = dict.fromkeys(form.dials, 0.0)
    whole = {name: nominal(form, known) for name, known in form.dials.items()}
    top = math.log(form.dials[dial].value)
    return Law(form.expensive, top, whole, none, floor=0.0, scatter=0.0)


def elasticity(form: Shrinkable, small: Priced, large: Priced) -> float | None:
    """Return d ln(amount) / d ln(nominal work) between two sizes; None if they do as much work."""
    moved = math.log(work(form, large.dials) / work(form, small.dials))
    if moved < 0.2:
        return None
    return math.log(large.amount / small.amount) / moved
