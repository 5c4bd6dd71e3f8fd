"""What a ladder resolves on this machine: noise, cost, speed and power, from runs of its baseline.

Nothing here runs anything; :mod:`transfer.audit.run_panel` does.
"""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from miniscale.preflight.check import PreflightCheck
from miniscale.preflight.measured_checks import BaselineRun, check_measured
from miniscale.setting.decode import InputError
from miniscale.setting.records import decode_record, encode_record, replace_file
from miniscale.setting.rung import Rung
from miniscale.setting.trial import TrialResult
from transfer.arm import FIRST_BASELINE
from transfer.audit.agreement import detectable, planned_se
from transfer.audit.load_panel_runs import Run, Runs
from transfer.ladder import Ladder
from transfer.ladder_trust import Trust
from transfer.measure.noise import Noise
from transfer.measure.study_effects import Analysis
from transfer.measure.trend import NORMAL
from transfer.units import times

GAINS = (0.01, 0.03, 0.10)
"""Gains in compute whose power is told."""
SEEDS = (1, 2, 4, 8)
SURVIVAL = 0.5
"""assumption: half of the changes tried on a rung go on to the next one."""
MOST = math.log(1000)
"""Nats beyond which a gain is off any ladder's scale."""
ALARM = 0.05
"""Error of the test whose power is told, one-sided."""


@dataclass(frozen=True)
class RungCalibration:
    """One rung as its baseline runs showed it; noise in nats of compute.

    ``noise_df`` 0 means assumed. ``cost`` is of one run in the ladder's unit, ``seconds`` and
    ``memory_gb`` are medians, None where no run told.
    """

    rung: str
    n: int
    value: float
    """Mean of the objective, in its own direction."""
    noise: float
    noise_df: int
    rho: float
    cost: float
    seconds: float | None
    memory_gb: float | None
    seeds: int
    baseline_seeds: int

    @property
    def throughput(self) -> float | None:
        """Cost done in a second."""
        return self.cost / self.seconds if self.seconds else None

    def resolves(self, seeds: int) -> float:
        """Return the smallest gain that so many pairs tell from none, nats."""
        base = max(self.baseline_seeds, seeds)
        return min(detectable(self.noise, self.rho, seeds=seeds, baseline_seeds=base), MOST)


@dataclass(frozen=True)
class Calibration:
    """A ladder on one machine."""

    ladder: str
    digest: str
    machine: str
    law: str
    """How the fit of the baseline's law ended, with advice."""
    rungs: tuple[RungCalibration, ...]
    budget: float
    notes: tuple[str, ...] = ()
    checks: tuple[PreflightCheck, ...] = ()
    """What the same runs say of seeds, sizes, caps and files."""

    def rung(self, name: str) -> RungCalibration | None:
        """Return one rung, or None if it was not calibrated."""
        return next((rung for rung in self.rungs if rung.rung == name), None)

    @property
    def n_changes(self) -> int:
        """How many changes the default budget tries, half of them going on from each rung."""
        base = sum(rung.baseline_seeds * rung.cost for rung in self.rungs)
        each = sum(r.seeds * r.cost * SURVIVAL**place for place, r in enumerate(self.rungs))
        return max(int((self.budget - base) / each), 0)

    def power(self, gain: float) -> float:
        """Return the probability that a change worth so much compute everywhere is found.

        Measured with the planned seeds on every rung, g = ln(1 + gain) is tested one-sided at
        5 % by all rungs together: ``Phi(g / se - 1.64)``, ``se^-2 = sum (se_r^2 + m_r^2)^-1`` with
        the misfit ``m_r = hypot(.2 g, .004)``.
        """
        nats = math.log1p(gain)
        misfit = (0.2 * nats) ** 2 + Trust().misfit ** 2
        weight = 0.0
        for rung in self.rungs:
            plan = {"seeds": rung.seeds, "baseline_seeds": rung.baseline_seeds}
            weight += 1 / (planned_se(rung.noise, rung.rho, **plan) ** 2 + misfit)
        return NORMAL.cdf(nats * math.sqrt(weight) - NORMAL.inv_cdf(1 - ALARM))


def calibrate(
    ladder: Ladder,
    runs: Sequence[Run],
    results: Sequence[TrialResult],
    *,
    machine: str,
    trials: Path | None = None,
) -> Calibration:
    """Read a calibration off the baseline's runs.

    Parameters
    ----------
    results
        Of the same trials in the same order, for cost, time and memory.
    machine, trials
        Where they ran; where each left its folder, named by its identity.

    Raises
    ------
    InputError
        If the baseline left no number anywhere.
    """
    done = _complete(ladder, runs)
    names = [rung.name for rung in ladder.rungs if any(r.rung == rung.name for r in done)]
    notes = [f"{r.name}: no run of the baseline left a number"
             for r in ladder.rungs if r.name not in names]  # fmt: skip
    usable = replace(ladder, rungs=tuple(r for r in ladder.rungs if r.name in names))
    analysis = Analysis(usable, Runs({}, tuple(done)).state(usable))
    baseline_law = analysis.baseline_law(FIRST_BASELINE)
    rungs = []
    for rung in usable.rungs:
        there = [result for run, result in zip(runs, results, strict=True)
                 if run.rung == rung.name and result.is_complete]  # fmt: skip
        noise, slope = analysis.noise(rung.name), baseline_law.slopes[rung.name]
        rungs.append(_rung(ladder, rung, noise, slope, there))
    return Calibration(
        ladder.name,
        ladder.digest,
        machine,
        f"{baseline_law.fit.status}: {baseline_law.fit.status.advice}",
        tuple(rungs),
        ladder.budget,
        tuple(notes),
        tuple(checks_of(ladder, runs, results, trials)),
    )


def _complete(ladder: Ladder, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that left a number."""
    if done := [run for run in runs if run.value is not None]:
        return done
    why = next((run.reason for run in runs if run.reason), "no reason given")
    raise InputError(
        f"calibrate {ladder.name}: every run of the baseline failed "
        f"({why.strip()[-200:]}); mend the setting first"
    )


def checks_of(
    ladder: Ladder, runs: Sequence[Run], results: Sequence[TrialResult], trials: Path | None
) -> list[PreflightCheck]:
    """Hold the baseline's runs against what a ladder takes for granted.

    Parameters
    ----------
    runs, results
        The same trials in the same order.
    trials
        Where each left its folder, named by its identity; None if they are gone.
    """
    left = [
        BaselineRun(run.rung, run.seed, result, trials / result.identity if trials else None)
        for run, result in zip(runs, results, strict=True)
    ]
    return check_measured(ladder.setting, ladder.rungs, left, n_trials=planned_trials(ladder))


def planned_trials(ladder: Ladder) -> int:
    """Forecast how many trials the default budget runs, half of all changes going on a rung up."""
    base = sum(rung.baseline_seeds * rung.cost for rung in ladder.rungs)
    each = [(rung.seeds * SURVIVAL**place, rung.cost) for place, rung in enumerate(ladder.rungs)]
    n_changes = max(ladder.budget - base, 0.0) / sum(n * cost for n, cost in each)
    n_baseline = sum(rung.baseline_seeds for rung in ladder.rungs)
    return round(n_baseline + n_changes * sum(n for n, _ in each))


def _rung(
    ladder: Ladder, rung: Rung, noise: Noise, slope: float, done: Sequence[TrialResult]
) -> RungCalibration:
    return RungCalibration(
        rung=rung.name,
        n=len(done),
        value=statistics.fmean(r.value for r in done if r.value is not None),
        noise=noise.sd / slope,
        noise_df=noise.df,
        rho=noise.rho,
        cost=_cost(ladder, done, rung.cost),
        seconds=statistics.median(r.seconds for r in done) or None,
        memory_gb=_median(done, "peak_memory_gb"),
        seeds=rung.seeds,
        baseline_seeds=rung.baseline_seeds,
    )


def _cost(ladder: Ladder, results: Sequence[TrialResult], stated: float) -> float:
    told = [result.flops for result in results if result.flops is not None]
    return statistics.median(told) if told and ladder.unit == "FLOPs" else stated


def _median(results: Sequence[TrialResult], name: str) -> float | None:
    values = [result.metrics[name] for result in results if name in result.metrics]
    return statistics.median(values) if values else None


# -- kept ----------------------------------------------------------------------------------


def calibration_path(root: Path, ladder: Ladder, machine: str) -> Path:
    """Return where the calibration of a ladder on a machine lies."""
    return root / ".calibrations" / f"{ladder.name}-{ladder.digest}-{machine}.json"


def store_calibration(root: Path, ladder: Ladder, calibration: Calibration) -> Path:
    """Keep a calibration; an earlier one of the same ladder and machine is replaced."""
    path = calibration_path(root, ladder, calibration.machine)
    replace_file(path, json.dumps(encode_record(calibration), indent=1))
    return path


def stored_calibration(root: Path, ladder: Ladder, machine: str) -> Calibration | None:
    """Return the calibration of exactly this ladder on this machine, None if there is none."""
    path = calibration_path(root, ladder, machine)
    if not path.exists():
        return None
    try:
        return decode_record(Calibration, json.loads(path.read_text()))
    except ValueError as error:
        advice = "delete it, calibrate again"
        raise InputError(f"{path}: is no calibration ({error}); {advice}") from None


# -- words ---------------------------------------------------------------------------------


def lines(calibration: Calibration, unit: str) -> list[str]:
    """Tell a calibration: rungs, what each resolves, and what the default budget finds."""
    head = "".join(f"{f'{n} seed' + ('s' if n > 1 else ''):>9}" for n in SEEDS)
    rows = [
        f"calibrated {calibration.ladder} ({calibration.digest}) on machine {calibration.machine}",
        f"{'rung':<10}{'runs':>5}{'value':>10}{'noise':>8}{'s/run':>8}{unit + '/s':>12}"
        f"{'GB':>6}   resolves:{head}",
        *[rung_line(rung) for rung in calibration.rungs],
        "noise    of one run, in compute (? = assumed); resolves: smallest gain told from none",
        f"law      {calibration.law}",
        power_line(calibration, unit),
        *[f"note     {note}" for note in calibration.notes],
    ]
    return rows


def noise_words(noise: float) -> str:
    """Write one run's noise, in nats, as a share of compute."""
    return "off scale" if noise >= MOST else f"{noise:.1%}"


def gain_words(gain: float) -> str:
    """Write a gain in nats as a share of compute, a large one as a multiple.

    >>> gain_words(0.0296), gain_words(1.4), gain_words(9.0)
    ('3.0%', '4.1x', 'over 1000x')
    """
    if gain >= MOST:
        return "over 1000x"
    return f"{math.expm1(gain):.1%}" if gain < 1 else times(gain, digits=1)


def rung_line(rung: RungCalibration) -> str:
    """Say one rung in a line of the table."""
    seconds = f"{rung.seconds:.1f}" if rung.seconds else "—"
    speed = f"{rung.throughput:.2e}" if rung.throughput else "—"
    memory = f"{rung.memory_gb:.2f}" if rung.memory_gb else "—"
    resolves = "".join(f"{gain_words(rung.resolves(n)):>9}" for n in SEEDS)
    known = " " if rung.noise_df else "?"
    return (
        f"{rung.rung:<10}{rung.n:>5}{rung.value:>10.4g}{noise_words(rung.noise):>7}{known}{seconds:>8}"
        f"{speed:>12}{memory:>6}            {resolves}"
    )


def power_line(calibration: Calibration, unit: str) -> str:
    """Say what the default budget can find."""
    powers = ", ".join(f"{gain:.0%}: {calibration.power(gain):.0%}" for gain in GAINS)
    return (
        f"power    {calibration.budget:.2g} {unit} try about {calibration.n_changes} changes; "
        f"a gain that holds everywhere is found with a probability of {powers}"
    )
