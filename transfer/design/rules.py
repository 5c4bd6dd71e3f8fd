"""Rules for optimizer knobs: a bowl in the knob's logarithm whose optimum drifts with size.

At size i and factor x_j = ln(value / default), with z_i = ln(dial_i / expensive's),

    loss_ij = a_i + c_i (x_j - o - p z_i)^2 + noise,   c_i > 0

a_i (one a seed, since seeds are shared) and c_i are solved for; (o, p) are weighed on a grid with
the field's known exponent as the prior of p. The rule is the drift alone, a factor of
(dial / expensive's)^p: a baseline off its optimum by o at the target is off by o on every size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miniscale.setting import Kind
from transfer.audit.runs import BASELINE
from transfer.change import Change
from transfer.design.cells import Book, Cell, Trial
from transfer.design.dials import Role, Shrinkable

Array = NDArray[np.float64]

FACTORS = (0.5, 1.0, 2.0)
STEPS_OUT = 2
"""How often a sweep goes on by another factor of two where the best lies at its edge."""
DOUBT, DOUBT_FREE = 0.4, 0.6
"""sd of the prior on an exponent around the field's, and around 0 where the field has none."""
OFFSETS = np.linspace(-3.0, 3.0, 61)
EXPONENTS = np.linspace(-2.0, 2.0, 81)
OPTIMA = np.linspace(-7.0, 7.0, 281)
PRIOR_DF = 2.0
ASYMMETRY = 0.05
"""assumption: a real bowl departs from a parabola by this share of its spread."""


@dataclass(frozen=True)
class Rule:
    """How the optimum of a knob goes with one dial: exponent, 80 % interval, what was known.

    ``told`` is how much narrower than the prior's the interval is; near 0 the sweep said nothing.
    """

    knob: str
    dial: str
    exponent: float
    low: float
    high: float
    prior: float | None
    told: float
    n: int

    @property
    def is_needed(self) -> bool:
        """Whether the interval leaves out 0: otherwise the knob stays as it is."""
        return not self.low <= 0 <= self.high

    def factor(self, ratio: float) -> float:
        """Return the factor on the knob where the dial is ``ratio`` times the expensive form's."""
        return ratio**self.exponent if self.is_needed else 1.0

    def words(self) -> str:
        """Say the rule in a line."""
        ends = f"{self.exponent:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"
        known = f"; the field takes {self.prior:+.2f}" if self.prior is not None else ""
        said = "" if self.told > 0.15 else "; the sweep says next to nothing"
        if not self.is_needed:
            return f"{self.knob} needs no rule: {self.dial}^({ends}) covers 0{known}{said}"
        return f"{self.knob} goes as {self.dial}^({ends}), {self.n} trials{known}{said}"


@dataclass(frozen=True)
class Point:
    """One trial of a sweep: z of its size, x of its knob, seed and loss."""

    z: float
    x: float
    seed: int
    loss: float


def arm_of(knob: str, factor: float) -> str:
    """Return the name of a sweep's arm; the baseline's at a factor of 1."""
    return BASELINE if factor == 1 else f"{knob}*{factor:g}"


def axis_of(form: Shrinkable, knob: str) -> tuple[str, float | None]:
    """Return the dial that a rule follows and the exponent that the field takes, if any.

    The dial of the prior, else the scale dial with the largest share of the parameters.
    """
    known = form.priors.get(knob)
    if known:
        dial, exponent = next(iter(known.items()))
        return dial, exponent
    scale = form.of(Role.SCALE) or tuple(form.dials.values())
    return max(scale, key=lambda d: d.power * math.log(d.value / d.low)).name, None


def sweep(
    book: Book,
    form: Shrinkable,
    knob: str,
    default: float,
    cells: Sequence[Cell],
    *,
    seeds: int,
    sign: float,
) -> list[Point]:
    """Run a knob at a few values on a few sizes; where the best is an edge, go on beyond it.

    Values that crash or diverge are left out; losses are such that lower is better.
    """
    dial, _ = axis_of(form, knob)
    factors = {cell.name: list(FACTORS) for cell in cells}
    for _ in range(STEPS_OUT + 1):
        for factor in {f for known in factors.values() for f in known} - {1.0}:
            name = arm_of(knob, factor)
            book.changes[name] = Change(
                f"{knob} x {factor:g}", category=knob, kind=Kind.HYPERPARAMETER,
                knobs={knob: default * factor},
            )  # fmt: skip
        book.run(
            [Trial(cell, arm_of(knob, f), seed)
             for cell in cells for f in factors[cell.name] for seed in range(seeds)]
        )  # fmt: skip
        moved = [_reach_out(book, knob, cell, factors[cell.name], sign) for cell in cells]
        if not any(moved):
            break
    return [
        Point(
            math.log(cell.dials[dial] / form.dials[dial].value),
            math.log(f),
            seed,
            sign * float(s.value),
        )
        for cell in cells
        for f in factors[cell.name]
        for seed in range(seeds)
        if (s := book.seen.get((cell.name, arm_of(knob, f), seed))) and s.value is not None
    ]


def _reach_out(book: Book, knob: str, cell: Cell, factors: list[float], sign: float) -> bool:
    """Add a factor beyond the edge if the best mean loss lies there; say whether."""
    means = {}
    for factor in factors:
        values = [s.value for s in book.of(cell.name, arm_of(knob, factor)) if s.value is not None]
        if values:
            means[factor] = sign * math.fsum(values) / len(values)
    if len(means) < 2 or len(factors) >= len(FACTORS) + STEPS_OUT:
        return False
    best = min(means, key=lambda f: means[f])
    beyond = {min(means): min(factors) / 2, max(means): max(factors) * 2}.get(best)
    if beyond is None or beyond in factors:
        return False
    factors.append(beyond)
    return True


def fit_rule(form: Shrinkable, knob: str, points: Sequence[Point]) -> Rule:
    """Weigh offset and drift of the optimum; losses must be such that lower is better."""
    dial, prior = axis_of(form, knob)
    centre, doubt = (prior, DOUBT) if prior is not None else (0.0, DOUBT_FREE)
    logs = -0.5 * ((EXPONENTS[None, :] - centre) / doubt) ** 2 - 0.5 * OFFSETS[:, None] ** 2
    if len({p.z for p in points}) > 1:
        logs = logs + _likelihood(points)
    weights = np.exp(logs - logs.max())
    of_exponent = weights.sum(axis=0) / weights.sum()
    total = np.cumsum(of_exponent) - 0.5 * of_exponent
    low, middle, high = (float(np.interp(q, total, EXPONENTS)) for q in (0.1, 0.5, 0.9))
    told = 1 - (high - low) / (2 * 1.2816 * doubt)
    return Rule(knob, dial, middle, low, high, prior, max(told, 0.0), len(points))


def _likelihood(points: Sequence[Point]) -> Array:
    """Return the log likelihood of (offset, exponent), each size's noise integrated out.

    Sizes share nothing but the optimum, o + p z: the squares that an optimum m leaves at one size
    are tabulated once, ``-.5 (df + 2) ln(2 s0^2 + squares(m))``.
    """
    total: Array = np.zeros((len(OFFSETS), len(EXPONENTS)))
    for z in sorted({p.z for p in points}):
        here = [p for p in points if p.z == z]
        x, y = np.array([p.x for p in here]), np.array([p.loss for p in here])
        seeds = sorted({p.seed for p in here})
        ones = np.array([[float(p.seed == seed) for seed in seeds] for p in here])
        left = np.array([_squares(ones, (x - m) ** 2, y) for m in OPTIMA])
        df = max(len(here) - len(seeds) - 2, 0)
        floor = PRIOR_DF * (ASYMMETRY * float(np.std(y))) ** 2 + 1e-300
        logs = -0.5 * (df + PRIOR_DF) * np.log(floor + left)
        total += np.interp(OFFSETS[:, None] + EXPONENTS[None, :] * z, OPTIMA, logs)
    return total


def _squares(ones: Array, bowl: Array, y: Array) -> float:
    """Return the squares left by levels and a bowl; one that would open downward is none."""
    plan = np.column_stack([ones, bowl])
    found = np.linalg.lstsq(plan, y, rcond=None)[0]
    if found[-1] < 0:
        plan = ones
        found = np.linalg.lstsq(plan, y, rcond=None)[0]
    left = y - plan @ found
    return float(left @ left)


def find_rules(
    book: Book,
    form: Shrinkable,
    defaults: Mapping[str, float],
    cells: Sequence[Cell],
    *,
    seeds: int,
    sign: float,
) -> tuple[Rule, ...]:
    """Sweep every knob that may need a rule on some sizes of one path, and fit it.

    Parameters
    ----------
    sign
        1 where the objective is minimised, -1 where it is maximised.
    """
    found = []
    for knob in form.rules:
        points = sweep(book, form, knob, defaults[knob], cells, seeds=seeds, sign=sign)
        found.append(fit_rule(form, knob, points))
    return tuple(found)


def are_needed(form: Shrinkable, rules: Sequence[Rule]) -> bool:
    """Whether some knob needs a rule, or may need one that nobody has fitted."""
    return any(rule.is_needed for rule in rules) if rules else bool(form.rules)


def factors(
    form: Shrinkable, rules: Sequence[Rule], dials: Mapping[str, float]
) -> dict[str, float]:
    """Return the factor on each knob that needs a rule at a size."""
    return {
        rule.knob: round(rule.factor(dials[rule.dial] / form.dials[rule.dial].value), 4)
        for rule in rules
        if rule.is_needed and dials[rule.dial] != form.dials[rule.dial].value
    }
