"""The smallest gain that a ladder can see, by noise that was measured; and when it is blind."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from miniscale.preflight.check import PreflightCheck, Standing
from miniscale.setting.rung import Rung
from transfer.audit.agreement import detectable
from transfer.audit.audit_result import Audit, RungAudit
from transfer.audit.calibrate import (
    MOST,
    Calibration,
    RungCalibration,
    gain_words,
    noise_words,
)
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.measure.noise import PRIOR_NOISE, PRIOR_RHO
from transfer.measure.study_effects import Analysis

DIM, BLIND = math.log1p(0.05), math.log1p(0.25)
"""assumption: most changes that hold are worth a few percent of compute, hardly any a quarter;
``docs/ladder.md`` has what was accepted and measured at the target: 1.01x to 1.13x."""


MOST_SEEDS = 16
"""assumption: more pairs on a rung are dearer than a better rung."""


class KnownNoise(Protocol):
    """Noise of one run in nats of compute; ``noise_df`` 0 means assumed."""

    @property
    def noise(self) -> float:
        """Standard deviation."""

    @property
    def noise_df(self) -> int:
        """Degrees of freedom behind it."""

    @property
    def rho(self) -> float:
        """Share that runs with the same seed have in common."""


@dataclass(frozen=True)
class Resolution:
    """What a rung's planned pairs tell from none; in nats of compute."""

    rung: str
    noise: float
    is_assumed: bool
    """Whether nobody ever measured that noise, here or where the ladder was made."""
    gain: float
    """The smallest gain."""
    seeds: int
    """Pairs that are planned."""


def known_noise(
    rung: str, calibration: Calibration | None, audit: Audit | None
) -> RungCalibration | RungAudit | None:
    """Return what was measured of a rung's noise, by the more degrees of freedom; None if nothing.

    An audit pools the noise of its changes with the baseline's, which is all a calibration has.
    """
    rungs: list[RungCalibration | RungAudit] = []
    rungs += [one for one in (audit.rungs if audit is not None else ()) if one.rung == rung]
    rungs += [one for one in (calibration.rungs if calibration else ()) if one.rung == rung]
    return max(rungs, key=lambda one: one.noise_df, default=None)


def resolve_rung(rung: Rung, known: KnownNoise | None = None) -> Resolution:
    """Return what a rung resolves: by what was measured, else by what its ladder says of it.

    Where neither tells, one run's noise is taken to be 2 % of compute, with rho = .5.
    """
    noise = known.noise if known is not None else rung.noise or PRIOR_NOISE
    is_assumed = not (known.noise_df if known is not None else rung.noise)
    rho = known.rho if known is not None else PRIOR_RHO
    gain = detectable(noise, rho, seeds=rung.seeds, baseline_seeds=rung.baseline_seeds)
    return Resolution(rung.name, min(noise, MOST), is_assumed, min(gain, MOST), rung.seeds)


def resolve_study(ladder: Ladder, state: StudyState) -> tuple[Resolution, ...]:
    """Return what the rungs of a study resolve, by the noise of all its runs so far."""
    analysis = Analysis(ladder, state)
    run = [rung for rung in ladder.rungs if analysis.losses(state.first_base, rung.name)]
    slopes = analysis.baseline_law(state.first_base).slopes if run else {}
    found = []
    for rung in run:
        noise, slope = analysis.noise(rung.name), slopes[rung.name]
        found.append(resolve_rung(rung, _StudyNoise(noise.sd / slope, noise.df, noise.rho)))
    return tuple(found)


@dataclass(frozen=True)
class _StudyNoise:
    noise: float
    noise_df: int
    rho: float


def sight_words(rungs: Sequence[Resolution]) -> str:
    """Say the smallest gain that is seen, on which rung, and the noise of every rung."""
    best = min(rungs, key=lambda each: each.gain)
    noise = ", ".join(
        f"{each.rung} {noise_words(each.noise)}{'?' if each.is_assumed else ''}" for each in rungs
    )
    return (
        f"gains in compute of {gain_words(best.gain)} and more, on {best.rung}; "
        f"noise of one run: {noise}"
    )


def sight_warning(rungs: Sequence[Resolution]) -> str:
    """Say that a ladder is blind for what most changes are worth; empty if it is not."""
    best = min(rungs, key=lambda each: each.gain, default=None)
    if best is None or best.gain <= DIM:
        return ""
    word = "blind" if best.gain > BLIND else "short-sighted"
    return (
        f"this ladder is {word}: with the seeds planned, a gain of less than "
        f"{gain_words(best.gain)} of compute looks like none"
    )


def sight_lines(rungs: Sequence[Resolution]) -> list[str]:
    """Say the smallest gain that is seen, with a warning where a ladder is blind."""
    if not rungs:
        return []
    warning = sight_warning(rungs)
    return [f"sees     {sight_words(rungs)}", *([f"warning  {warning}"] if warning else [])]


def check_sight(rungs: Sequence[Resolution], *, is_deterministic: bool = False) -> PreflightCheck:
    """Say what a ladder sees as a line of the preflight table."""
    if is_deterministic:
        found = "none between runs, as the setting says: what is doubtful is how effects go on"
        return PreflightCheck("noise", Standing.GOOD, found)
    best = min(rungs, key=lambda each: each.gain)
    if best.gain >= MOST:
        found = "cannot be told in compute: the baseline follows no law here, or all seeds agree"
        return PreflightCheck("noise", Standing.BAD, found, "mend seeds, sizes and law first")
    found = sight_words(rungs)
    if any(each.is_assumed for each in rungs):
        return PreflightCheck("noise", Standing.UNKNOWN, f"{found} (? = assumed)")
    if best.gain <= DIM:
        return PreflightCheck("noise", Standing.GOOD, found)
    wanted = math.ceil(best.seeds * (best.gain / DIM) ** 2)
    more = f"ladder.rungs.{best.rung}.seeds: {wanted}, or " if wanted <= MOST_SEEDS else ""
    remedy = f"{more}quieter runs: longer ones, a metric averaged over more held-out data"
    standing = Standing.BAD if best.gain > BLIND else Standing.DOUBTFUL
    return PreflightCheck("noise", standing, f"{found}: {sight_warning(rungs)}", remedy)
