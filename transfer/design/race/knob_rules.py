"""Rules for optimizer knobs: a bowl in the knob's logarithm whose optimum drifts with size.

At size i and factor x_j = ln(value / default), with z_i = ln(dial_i / expensive's),

    loss_ij = a_i + c_i u^2 (1 + k u / (1 + |u|)) + noise,   u = x_j - o - p z_i,   c_i > 0

a_i and c_i are solved for, seeds evened out first. The offset o, the drift p and how lopsided the
bowl is, k, the same at all sizes, are weighed on a grid, with the field's known exponent as the
prior of p. The rule is the drift alone, a factor of (dial / expensive's)^p: a baseline off its
optimum by o at the target is off by o on every size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from miniscale.setting.setting import Kind
from transfer.arm_table import BASELINE
from transfer.change import Change
from transfer.design.space.candidate_sizes import Book, Cell, Trial
from transfer.design.space.shrink_dials import DialRole, Shrinkable

Array = NDArray[np.float64]

FACTORS = (0.5, 1.0, 2.0)
STEPS_OUT = 2
"""How often a sweep goes on by another factor of two where the best lies at its edge."""
DOUBT, DOUBT_FREE = 0.4, 0.6
"""sd of the prior on an exponent around the field's, and around 0 where the field has none."""
OFFSETS = np.linspace(-3.0, 3.0, 61)
EXPONENTS = np.linspace(-2.0, 2.0, 81)
OPTIMA = np.linspace(-7.0, 7.0, 281)
SKEWS, SKEW_SD = np.linspace(-0.75, 0.75, 13), 0.3
"""Grid and prior of how much steeper the bowl is above its optimum than below."""
SHAPE = 0.2
"""assumption: at a point the bowl departs from this shape by such a share of its height there."""
NOISE_DF, NOISE_SHARE = 2.0, 0.03
"""Prior of a size's noise: trials it is worth, and sd as a share of the spread of its losses."""


@dataclass(frozen=True)
class FittedRule:
    """How the optimum of a knob goes with one dial: exponent, 80 % interval, what was known.

    ``told`` is how much narrower than the prior's the interval is; near 0 the sweep said nothing.
    ``own`` is the exponent that the program applies by itself, to which the fitted one is added.
    """

    knob: str
    dial: str
    exponent: float
    low: float
    high: float
    prior: float | None
    told: float
    n: int
    own: float = 0.0

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
        own = f" beyond the program's own {self.dial}^{self.own:+.2f}" if self.own else ""
        if not self.is_needed:
            return (
                f"{self.knob} needs no rule{own}: {self.dial}^({ends}) covers 0, {self.n} trials"
                f"{known}{said}"
            )
        return f"{self.knob} goes as {self.dial}^({ends}){own}, {self.n} trials{known}{said}"


@dataclass(frozen=True)
class Check:
    """A rule against what sweeping its knob at the reference itself finds.

    ``direct`` is fitted to the smallest size swept and the reference alone.
    """

    rule: FittedRule
    direct: FittedRule
    top: str

    @property
    def is_covered(self) -> bool:
        """Whether the rule's interval holds the direct exponent."""
        return self.rule.low <= self.direct.exponent <= self.rule.high

    def words(self) -> str:
        """Say the check in a line."""
        found = f"{self.direct.exponent:+.2f} [{self.direct.low:+.2f}, {self.direct.high:+.2f}]"
        where = "inside" if self.is_covered else "OUTSIDE"
        return (
            f"{self.rule.knob} swept at {self.top} too: {self.rule.dial}^({found}), {where} the "
            "rule's interval"
        )


@dataclass(frozen=True)
class SweepTrial:
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
    scale = form.of(DialRole.SCALE) or tuple(form.dials.values())
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
    tried: Sequence[float] = FACTORS,
) -> list[SweepTrial]:
    """Run a knob at a few values on a few sizes; where the best is an edge, go on beyond it.

    Values that crash or diverge are left out; losses are such that lower is better.
    """
    dial, _ = axis_of(form, knob)
    factors = {cell.name: list(tried) for cell in cells}
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
        SweepTrial(
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


def fit_rule(form: Shrinkable, knob: str, points: Sequence[SweepTrial]) -> FittedRule:
    """Weigh offset and drift of the optimum; losses must be such that lower is better."""
    dial, prior = axis_of(form, knob)
    centre, doubt = (prior, DOUBT) if prior is not None else (0.0, DOUBT_FREE)
    logs = -0.5 * ((EXPONENTS[None, :] - centre) / doubt) ** 2 - 0.5 * OFFSETS[:, None] ** 2
    logs = logs - 0.5 * (SKEWS[:, None, None] / SKEW_SD) ** 2
    if len({p.z for p in points}) > 1:
        logs = logs + np.array([_likelihood(points, skew) for skew in SKEWS])
    weights = np.exp(logs - logs.max()).sum(axis=0)
    of_exponent = weights.sum(axis=0) / weights.sum()
    total = np.cumsum(of_exponent) - 0.5 * of_exponent
    low, middle, high = (float(np.interp(q, total, EXPONENTS)) for q in (0.1, 0.5, 0.9))
    told = 1 - (high - low) / (2 * 1.2816 * doubt)
    own = form.built_in.get(knob, {}).get(dial, 0.0)
    return FittedRule(knob, dial, middle, low, high, prior, max(told, 0.0), len(points), own)


def _likelihood(points: Sequence[SweepTrial], skew: float) -> Array:
    """Return the log likelihood of (offset, exponent).

    Sizes share nothing but the optimum, o + p z, and the skew: what an optimum m leaves at one size
    is tabulated once. Losses high up the bowl say little of where its bottom is, since no bowl has
    exactly this shape: their variance grows by ``(SHAPE height)^2``.
    """
    total: Array = np.zeros((len(OFFSETS), len(EXPONENTS)))
    for z in sorted({p.z for p in points}):
        x, y, noise, df = _means([p for p in points if p.z == z])
        off = x - OPTIMA[:, None]
        bowls = off**2 * (1 + skew * off / (1 + abs(off)))
        left = _squares(bowls, y, 1 / (noise + (SHAPE * (y - y.min())) ** 2))
        logs = -0.5 * (df + NOISE_DF + len(x) - 2) * np.log(df + NOISE_DF + left)
        total += np.interp(OFFSETS[:, None] + EXPONENTS[None, :] * z, OPTIMA, logs)
    return total


def _means(points: Sequence[SweepTrial]) -> tuple[Array, Array, Array, int]:
    """Return the values of one size, their losses with seeds evened out, variances, and df."""
    values, seeds = sorted({p.x for p in points}), sorted({p.seed for p in points})
    y = np.array([p.loss for p in points])
    plan = np.array([[float(p.x == x) for x in values] + [float(p.seed == s) for s in seeds[1:]]
                     for p in points])  # fmt: skip
    found, _, rank, _ = np.linalg.lstsq(plan, y, rcond=None)
    left, df = y - plan @ found, len(y) - int(rank)
    means = found[: len(values)]
    prior = NOISE_DF * (NOISE_SHARE * float(np.std(means))) ** 2 + 1e-300
    noise = (prior + float(left @ left)) / (NOISE_DF + df)
    return np.array(values), means, noise / plan[:, : len(values)].sum(axis=0), df


def _squares(bowls: Array, y: Array, weights: Array) -> Array:
    """Return the weighted squares left by a level and each bowl (one a row), none downward."""
    own = y - np.average(y, weights=weights)
    shapes = bowls - np.average(bowls, axis=1, weights=weights)[:, None]
    along, size = shapes @ (weights * own), (shapes**2) @ weights + 1e-300
    found: Array = (weights * own) @ own - np.maximum(along, 0.0) ** 2 / size
    return np.maximum(found, 0.0)


@dataclass(frozen=True)
class Sweeper:
    """How knobs are swept: on which sizes of one path, from which values, with how many seeds.

    ``sign`` is 1 where the objective is minimised, -1 where it is maximised; ``tried`` holds the
    factors of a knob that a table has runs of.
    """

    book: Book
    form: Shrinkable
    cells: tuple[Cell, ...]
    defaults: Mapping[str, float]
    seeds: int
    sign: float
    top_seeds: int = 1
    tried: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def points(self, knob: str, cells: Sequence[Cell]) -> list[SweepTrial]:
        """Return the trials of a knob's sweep on some sizes."""
        return sweep(
            self.book, self.form, knob, self.defaults[knob], cells, seeds=self.seeds,
            sign=self.sign, tried=self.tried.get(knob, FACTORS),
        )  # fmt: skip

    def rules(self) -> tuple[FittedRule, ...]:
        """Sweep every knob that may need a rule, and fit it; nothing where there is no size."""
        knobs = self.form.rules if self.cells else ()
        return tuple(fit_rule(self.form, knob, self.points(knob, self.cells)) for knob in knobs)

    def checks(self, rules: Sequence[FittedRule], top: Cell) -> tuple[Check, ...]:
        """Sweep the knobs of rules at the reference; one that leaves nothing there is left out."""
        found = []
        for rule in rules:
            there = replace(self, seeds=self.top_seeds).points(rule.knob, [top])
            if len({point.x for point in there}) < len(FACTORS):
                continue
            least = min(self.cells, key=lambda cell: cell.dials[rule.dial])
            points = [*self.points(rule.knob, [least]), *there]
            found.append(Check(rule, fit_rule(self.form, rule.knob, points), top.name))
        return tuple(found)


def are_needed(form: Shrinkable, rules: Sequence[FittedRule]) -> bool:
    """Whether some knob needs a rule, has one in its program, or may need one not yet fitted."""
    if form.built_in or not rules:
        return bool(form.rules)
    return any(rule.is_needed for rule in rules)


def factors(
    form: Shrinkable, rules: Sequence[FittedRule], dials: Mapping[str, float], *, uses_rules: bool
) -> dict[str, float]:
    """Return the factor on each knob at a size: of the rules, or what undoes the program's own.

    Parameters
    ----------
    form
        The expensive form: its dials and what may shrink.
    rules
        Fitted rules.
    dials
        Value of each dial.
    uses_rules
        Whether the path uses rules.
    """
    ratio = {name: dials[name] / dial.value for name, dial in form.dials.items()}
    if uses_rules:
        found = {rule.knob: rule.factor(ratio[rule.dial]) for rule in rules if rule.is_needed}
    else:
        found = {
            knob: math.prod(ratio[dial] ** -power for dial, power in powers.items())
            for knob, powers in form.built_in.items()
        }
    return {knob: round(factor, 4) for knob, factor in found.items() if factor != 1}
