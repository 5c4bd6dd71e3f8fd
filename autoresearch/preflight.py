"""What is said before money is spent: in a dry run, and by a study's first runs."""

import sys
from collections.abc import Sequence

from autoresearch.build_study import StudyJob
from autoresearch.console import Console
from miniscale.preflight.check import table_lines
from miniscale.run.runner.protocol import Runner
from miniscale.setting.compose import FLAGS_WITH_VALUE
from miniscale.setting.decode import InputError
from transfer.arm_table import BASELINE
from transfer.audit.archive import stored_audit
from transfer.audit.calibrate import (
    Calibration,
    calibrate,
    checks_of,
    store_calibration,
    stored_calibration,
)
from transfer.audit.load_panel_runs import Run
from transfer.audit.preflight import preflight_checks
from transfer.audit.resolution import check_sight, resolve_rung, resolve_study, sight_lines
from transfer.audit.run_panel import baseline_wants
from transfer.commands.audit import machine
from transfer.journal.trial_ledger import Trial
from transfer.study.loop import Observer, run_trials
from transfer.study.proposer_protocol import Session
from transfer.study.schedule import seeds_of
from transfer.study.study import Study

MOST_SHARE = 0.1
"""assumption: of a study's budget, what its first runs may take; they are the baseline's own."""


def opening_lines(job: StudyJob, study: Study, *, is_resumed: bool) -> list[str]:
    """Return what a study begins with: the table of checks, or what it has come to see so far."""
    if is_resumed:
        return sight_lines(resolve_study(study.ladder, study.state))
    root = job.folder.parent
    audit, _ = stored_audit(root, job.ladder)
    known = stored_calibration(root, job.ladder, machine())
    return table_lines(preflight_checks(job.ladder, known, audit))


def calibrate_command(argv: Sequence[str] | None = None) -> str:
    """Return the command that calibrates the ladder of a command line.

    >>> calibrate_command(["--config-dir", "lab", "+ladder=mine", "dry_run=true"])
    'python -m transfer calibrate --config-dir lab +ladder=mine'
    """
    words = list(sys.argv[1:] if argv is None else argv)
    kept = [
        word
        for place, word in enumerate(words)
        if word.startswith(("+ladder=", "ladder", "setting", *FLAGS_WITH_VALUE, "study.root="))
        or (place > 0 and words[place - 1] in FLAGS_WITH_VALUE)
    ]
    return " ".join(["python -m transfer calibrate", *kept])


def is_known(job: StudyJob) -> bool:
    """Whether anything was ever measured of each rung's noise: here, by an audit, or elsewhere."""
    root = job.folder.parent
    return (
        all(rung.noise for rung in job.ladder.rungs)
        or stored_calibration(root, job.ladder, machine()) is not None
        or stored_audit(root, job.ladder)[0] is not None
    )


def first_trials(job: StudyJob, study: Study) -> list[Trial]:
    """Return the baseline's own runs that calibrate a ladder, those that the budget bears."""
    left, trials = MOST_SHARE * job.plan.budget, list[Trial]()
    wants = baseline_wants(job.ladder)
    for rung in job.ladder.rungs:
        n = sum(want.rung == rung.name for want in wants)
        left -= n * rung.cost
        if left < 0:
            break
        trials += [(study.state.first_base, rung.name, s) for s in seeds_of(job.plan.seed, n)]
    return trials


def fly_first_runs(
    job: StudyJob,
    study: Study,
    runner: Runner,
    *,
    session: Session,
    observers: list[Observer],
    console: Console,
) -> None:
    """Run the baseline of a ladder that was never calibrated here, and say what came of it.

    What is run is the study's own and stands in its journal; a study that has changes, or a ladder
    that is known, is left alone.

    Parameters
    ----------
    runner, session, observers
        As in the loop.
    console
        Where the table is printed.
    """
    if len(study.state.changes) or is_known(job):
        return
    trials = first_trials(job, study)
    study.request_trials(trials)
    n_left = len(study.unfinished())
    console.lines(
        [
            f"first    {n_left} of {len(trials)} runs of the baseline, for {job.ladder.name} was "
            "never calibrated here; they are the study's own"
        ]
    )
    if run_trials(study, runner, study.unfinished(), session, observers) is None:
        console.lines(judge_first_runs(job, study, trials))


def judge_first_runs(job: StudyJob, study: Study, trials: Sequence[Trial]) -> list[str]:
    """Keep what the first runs showed for later commands, and return it as lines."""
    ended = study.state.trials.ended
    there = [(rung, seed, result) for arm, rung, seed in trials
             if (result := ended.get((arm, rung), {}).get(seed)) is not None]  # fmt: skip
    results = [result for *_, result in there]
    runs = [
        Run(BASELINE, rung, seed, result.value, result.seconds, result.reason)
        for rung, seed, result in there
    ]
    found: Calibration | None = None
    try:
        found = calibrate(
            job.ladder, runs, results, machine=machine(), trials=job.folder / "trials"
        )
    except InputError:  # every run failed: the loop says so next
        return table_lines(checks_of(job.ladder, runs, results, job.folder / "trials"))
    store_calibration(job.folder.parent, job.ladder, found)
    sight = [resolve_rung(rung, found.rung(rung.name)) for rung in job.ladder.rungs]
    is_copied = job.ladder.setting.deterministic
    return table_lines([*found.checks, check_sight(sight, is_deterministic=is_copied)])
