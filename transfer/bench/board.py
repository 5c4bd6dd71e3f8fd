"""The scoreboard: policies by suite, paired by world, with standard errors."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from transfer.bench.score import BINS, StatementTally, StudyScore
from transfer.bench.worlds.world import GENERATOR

RIVALS = ("greedy", "ttest")
"""Policies that all others are paired against."""
MOST_ERROR, LEAST_COVER = 0.08, 0.65
"""A policy beyond these is listed as uncalibrated."""
NAN = math.nan


@dataclass(frozen=True)
class BoardRow:
    """One policy over the worlds of one suite; gains in nats of compute at the target.

    utility, utility_se, p10
        Mean over worlds with its standard error, and the worst tenth.
    beyond
        Rival -> (mean, standard error) of the difference in utility, world by world.
    precision, useful, harm, recall
        Of what is in the head: gained over its baseline; the head is worse without it; harms by
        more than .005. Of what was worth carrying: is in the head.
    price
        Lowest-rung runs spent for one accept that gained.
    cover, width, error
        Of 80 % intervals over all verdicts, and the mean |stated - realised| over tenths of odds.
    n_certified, certified, certified_gap, n_provisional, provisional, provisional_gap
        Accepts by kind, how many of them gained, stated minus realised.
    stack_error, stack_cover
        Mean |claimed - true| of the head's whole gain, and how often its interval held the truth.
    cpu_s, seconds
        A world: of the policy, and of the whole study.
    """

    suite: str
    policy: str
    n: int
    utility: float
    utility_se: float
    p10: float
    beyond: Mapping[str, tuple[float, float]]
    precision: float
    useful: float
    harm: float
    recall: float
    accepted: float
    price: float
    cover: float
    width: float
    error: float
    n_certified: int
    certified: float
    certified_gap: float
    n_provisional: int
    provisional: float
    provisional_gap: float
    stack_error: float
    stack_cover: float
    cpu_s: float
    seconds: float

    @property
    def is_uncalibrated(self) -> bool:
        """Whether its words are not to be trusted; not said of one that states nothing."""
        return self.error > MOST_ERROR or self.cover < LEAST_COVER


def rows(scores: Sequence[StudyScore]) -> list[BoardRow]:
    """Return one row a suite and policy, in the order of the scores."""
    groups: dict[tuple[str, str], list[StudyScore]] = {}
    for score in scores:
        groups.setdefault((score.suite, score.policy), []).append(score)
    return [_row(group, groups) for group in groups.values()]


def _row(group: list[StudyScore], groups: Mapping[tuple[str, str], list[StudyScore]]) -> BoardRow:
    suite, policy = group[0].suite, group[0].policy
    utility = np.array([score.utility for score in group])
    accepted = _sum(group, "n_accepted")
    every, certified, provisional = (
        _together(getattr(score, name) for score in group)
        for name in ("all", "certified", "provisional")
    )
    claims = [score for score in group if score.n_accepted]
    inside = [s.stack_low <= s.stack_true <= s.stack_high for s in claims]
    return BoardRow(
        suite=suite,
        policy=policy,
        n=len(group),
        utility=float(utility.mean()),
        utility_se=_se(utility),
        p10=float(np.quantile(utility, 0.1)),
        beyond={
            rival: _paired(group, groups[suite, rival])
            for rival in RIVALS
            if rival != policy and (suite, rival) in groups
        },
        precision=_ratio(_sum(group, "n_right"), accepted),
        useful=_ratio(_sum(group, "n_useful"), accepted),
        harm=_ratio(_sum(group, "n_harm"), accepted),
        recall=_ratio(_sum(group, "n_found"), _sum(group, "n_good")),
        accepted=accepted / len(group),
        price=_ratio(_sum(group, "spent"), _sum(group, "n_right")),
        cover=_ratio(every.covered, every.n),
        width=_ratio(every.width, every.n),
        error=calibration_error(group),
        n_certified=certified.n,
        certified=_ratio(certified.right, certified.n),
        certified_gap=_ratio(certified.odds - certified.right, certified.n),
        n_provisional=provisional.n,
        provisional=_ratio(provisional.right, provisional.n),
        provisional_gap=_ratio(provisional.odds - provisional.right, provisional.n),
        stack_error=_ratio(sum(abs(s.stack - s.stack_true) for s in claims), len(claims)),
        stack_cover=_ratio(sum(inside), len(claims)),
        cpu_s=_sum(group, "cpu_s") / len(group),
        seconds=_sum(group, "seconds") / len(group),
    )


def _sum(group: Iterable[StudyScore], name: str) -> float:
    return math.fsum(getattr(score, name) for score in group)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN


def _se(values: Any) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else NAN


def _paired(group: Sequence[StudyScore], rival: Sequence[StudyScore]) -> tuple[float, float]:
    """Return mean and standard error of the difference over worlds that both were played in."""
    theirs = {score.seed: score.utility for score in rival}
    found = np.array([s.utility - theirs[s.seed] for s in group if s.seed in theirs])
    return (float(found.mean()), _se(found)) if len(found) else (NAN, NAN)


def _together(told: Iterable[StatementTally]) -> StatementTally:
    parts = [asdict(one) for one in told]
    return StatementTally(
        **{name: sum(part[name] for part in parts) for name in asdict(StatementTally())}
    )


def calibration_error(group: Iterable[StudyScore]) -> float:
    """Return the mean over statements of |stated - realised| by tenths of the stated odds."""
    bins = np.zeros((BINS, 3))
    for score in group:
        bins += np.array(score.bins)
    n = bins[:, 0].sum()
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / n) if n else NAN


def uncalibrated(scores: Sequence[StudyScore]) -> list[str]:
    """Name the policies whose odds or intervals fail over all worlds played."""
    found = []
    for policy in dict.fromkeys(score.policy for score in scores):
        group = [score for score in scores if score.policy == policy]
        every = _together(score.all for score in group)
        error, cover = calibration_error(group), _ratio(every.covered, every.n)
        if error > MOST_ERROR or cover < LEAST_COVER:
            found.append(f"{policy} (calibration error {error:.3f}, coverage {cover:.2f})")
    return found


def as_json(scores: Sequence[StudyScore]) -> dict[str, Any]:
    """Return the scoreboard as plain data; what does not exist is null."""
    found = [{**asdict(row), "is_uncalibrated": row.is_uncalibrated} for row in rows(scores)]
    return {
        "generator": GENERATOR,
        "seeds": sorted({score.seed for score in scores}),
        "rows": [_without_nan(row) for row in found],
        "uncalibrated": uncalibrated(scores),
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return value
