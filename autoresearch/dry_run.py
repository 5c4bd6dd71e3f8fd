"""``dry_run=true``: rungs, costs, what they can resolve, and the bill, before anything is spent."""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.build_study import StudyJob
from autoresearch.console import Console
from autoresearch.model_bill import bill_lines
from autoresearch.preflight import calibrate_command
from miniscale.box import choose
from miniscale.preflight.check import table_lines
from miniscale.run import prepare_data
from miniscale.run.progress import progress
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.rung import Folders, Rung, trial_spec
from miniscale.setting.trial import TrialSpec
from miniscale.tree.workspace import workspace_of
from transfer.arm import FIRST_BASELINE
from transfer.audit.archive import stored_audit
from transfer.audit.audit_result import Audit, RungAudit
from transfer.audit.calibrate import (
    Calibration,
    RungCalibration,
    gain_words,
    noise_words,
    power_line,
    stored_calibration,
)
from transfer.audit.preflight import preflight_checks
from transfer.audit.resolution import known_noise, resolve_rung
from transfer.commands.audit import machine
from transfer.ladder import design_line

PROBE_S = 2.0
PATIENCE_S = 60.0
SURVIVAL = 0.5
"""assumption: half of the changes tried on a rung go on to the next one."""


@dataclass(frozen=True)
class Speed:
    """What a probe saw: seconds of one trial on the lowest rung, and trials side by side."""

    seconds: float
    slots: int


def probe(job: StudyJob, scratch: Path) -> Speed:
    """Train on the lowest rung for two seconds, on all slots at once, and extrapolate."""
    setting, rung = job.ladder.setting, job.ladder.rungs[0]
    folders = Folders(scratch / "trials", scratch / "cache")
    digests = prepare_data.prepare(setting, folders.cache)
    trees = workspace_of(setting, scratch)
    tree = trees.checkout(FIRST_BASELINE, parent=trees.first(), patch="", knobs={})
    runner = LocalRunner(job.slots, box=choose(job.box))
    try:
        slots = max(runner.slots // rung.threads, 1)
        specs = [
            trial_spec(
                setting, rung, arm=FIRST_BASELINE, seed=s, tree=tree, data=digests, folders=folders
            )
            for s in range(slots)
        ]
        started = time.monotonic()
        runner.submit(specs)
        seconds = _watch(runner, specs[0], started)
    finally:
        runner.close()
    return Speed(seconds, slots)


def _watch(runner: LocalRunner, spec: TrialSpec, started: float) -> float:
    """Wait for two seconds of steps, or for the whole trial, and return seconds a trial."""
    first: tuple[float, int] | None = None
    while time.monotonic() - started < PATIENCE_S:
        if any(result.identity == spec.identity for result in runner.poll(0.1)):
            return time.monotonic() - started
        seen, now = progress(Path(spec.out)), time.monotonic()
        if seen is None:
            continue
        if first is None:
            first = (now, seen.step)
        elif now - first[0] >= PROBE_S and seen.step > first[1]:
            pace = (now - first[0]) / (seen.step - first[1])
            return now - started + pace * (seen.steps - seen.step)
    return time.monotonic() - started


def seconds_by_rung(job: StudyJob, speed: Speed) -> dict[str, float]:
    """Return seconds a trial takes here by rung: the ladder's own times, scaled by the probe."""
    lowest = job.ladder.rungs[0]
    seconds = {}
    for rung in job.ladder.rungs:
        relative = rung.cost / lowest.cost
        if rung.seconds and lowest.seconds:
            relative = rung.seconds / lowest.seconds
        seconds[rung.name] = speed.seconds * relative
    return seconds


def forecast_seconds(job: StudyJob, by_rung: dict[str, float], slots: int) -> float:
    """Forecast the wall time of a study that spends its budget."""
    spent = seconds = 0.0
    for number, rung in enumerate(job.ladder.rungs):
        trials = job.limits.changes * SURVIVAL**number * rung.seeds + rung.baseline_seeds
        spent += trials * rung.cost
        seconds += trials * by_rung[rung.name]
    share = min(1.0, job.plan.budget / spent)
    return seconds * share / slots


def rung_line(rung: Rung, seconds: float, known: RungCalibration | RungAudit | None = None) -> str:
    """Say a rung in a line: what was measured of its noise, else what its ladder says."""
    found = resolve_rung(rung, known)
    noise = noise_words(found.noise) + ("?" if found.is_assumed else "")
    return (
        f"{rung.name:<10}{rung.scale:>10.2g}{seconds:>9.1f}{rung.seeds:>7}"
        f"{noise:>10}{gain_words(found.gain):>10}"
    )


def calibration_lines(known: Calibration | None, audit: Audit | None, unit: str) -> list[str]:
    """Say what the default budget can find, where a calibration tells."""
    if known is None:
        return [f"power    not calibrated here: {calibrate_command()}"]
    measured = [(rung, known_noise(rung.rung, known, audit)) for rung in known.rungs]
    rungs = tuple(
        replace(rung, noise=best.noise, noise_df=best.noise_df, rho=best.rho)
        for rung, best in measured
        if best is not None
    )
    return [power_line(replace(known, rungs=rungs), unit)]


def noise_source(calibration: Calibration | None, audit: Audit | None) -> str:
    """Say where the noise that is shown comes from."""
    sources = [f"the audit's {audit.n} changes"] if audit is not None else []
    sources += ["the calibration here"] if calibration is not None else []
    return f"as {' or '.join(sources)} showed" if sources else "as the ladder states"


def show(job: StudyJob) -> int:
    """Print the dry run; leaves nothing behind."""
    console = Console(sys.stdout, limits=job.limits)
    ladder = job.ladder
    with tempfile.TemporaryDirectory(prefix="dry-run-") as scratch:
        speed = probe(job, Path(scratch))
    by_rung = seconds_by_rung(job, speed)
    root = job.folder.parent
    known, (audit, _) = stored_calibration(root, ladder, machine()), stored_audit(root, ladder)
    lines = [
        f"dry run  {ladder.name}: {ladder.names}, target {ladder.target_name} "
        f"({ladder.target:.2g} {ladder.unit}); nothing is spent",
        f"{'rung':<10}{ladder.unit:>10}{'s/trial':>9}{'seeds':>7}{'noise':>10}{'resolves':>10}",
    ]
    lines += [
        rung_line(rung, by_rung[rung.name], known_noise(rung.name, known, audit))
        for rung in ladder.rungs
    ]
    total = forecast_seconds(job, by_rung, speed.slots)
    lines += [
        f"noise    of one run, in compute (? = assumed), {noise_source(known, audit)}; resolves: "
        "gain in compute that the seeds tell from none",
        f"panel    {len(ladder.panel)} changes, then {job.proposer.name}; "
        f"at most {job.limits.changes}, {job.plan.in_flight} in flight",
        f"bill     {job.plan.budget:.2g} {ladder.unit}, about {total / 60:.0f} min on "
        f"{speed.slots} slots by a probe of {PROBE_S:.0f} s",
        *bill_lines(job.proposer, ladder, job.limits, in_flight=job.plan.in_flight),
        *calibration_lines(known, audit, ladder.unit),
        f"audit    {job.audit}",
        *([f"design   {designed}"] if (designed := design_line(ladder)) else []),
        *[f"matched  {text}" for text in ladder.matches],
        *[f"differs  {text}" for text in ladder.unmatched],
        *[f"limit    {constraint.words}" for constraint in ladder.constraints],
        *[f"warning  {text}" for text in ladder.warnings()],
    ]
    console.lines([*lines, *table_lines(preflight_checks(ladder, known, audit)), *_next(known)])
    return 0


def _next(known: Calibration | None) -> list[str]:
    """Say how what takes runs is measured, where nothing was yet."""
    if known is not None:
        return []
    return [f"           measured at a study's first start, or now by: {calibrate_command()}"]
