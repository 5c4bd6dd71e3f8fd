"""Checks of what the first runs of a baseline left: seeds, sizes, caps, files."""

import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from miniscale.preflight.check import PreflightCheck, Standing
from miniscale.preflight.reading_checks import check_readings
from miniscale.preflight.written_checks import names_used
from miniscale.setting.rung import Rung
from miniscale.setting.setting import Setting
from miniscale.setting.trial import TrialResult

NEAR = 0.7
"""assumption: a run that takes so much of a cap will meet it on a busy day."""
MUCH_BYTES = 10_000_000
"""assumption: files of a trial that are worth a word; logs and results take some kilobytes."""
_OURS = ("spec.json", "result.json", "log.txt")
_MOST_FILES = 10_000


@dataclass(frozen=True)
class BaselineRun:
    """One run of a baseline, and the folder it left, if that is still there."""

    rung: str
    seed: int
    result: TrialResult
    folder: Path | None = None


def check_measured(
    setting: Setting, rungs: Sequence[Rung], runs: Sequence[BaselineRun], *, n_trials: int = 0
) -> list[PreflightCheck]:
    """Look at what runs of the baseline left.

    Parameters
    ----------
    setting, rungs
        What was run; rungs from low to high.
    runs
        In any order; a rung may have none.
    n_trials
        Trials that a study would run, for what they will leave on the disk; 0 if not known.
    """
    if not runs:
        return []
    by_rung = {rung.name: [run for run in runs if run.rung == rung.name] for rung in rungs}
    failed = [_check_failure(run) for run in runs if not run.result.is_complete]
    return [
        *failed[:1],
        *check_readings(setting, [(run.result, run.folder) for run in runs]),
        _check_seeds(setting, by_rung, is_seed_passed="seed" in names_used(setting, rungs)),
        _check_sizes(setting, rungs, by_rung),
        *_check_limits(rungs, by_rung),
        _check_files(runs, n_trials),
    ]


def _check_failure(run: BaselineRun) -> PreflightCheck:
    result = run.result
    words = (result.reason.strip().splitlines() or ["no reason given"])[-1][-300:]
    found = f"{run.rung}, seed {run.seed}: {result.state} {result.cause}".rstrip() + f": {words}"
    remedy = f"read {run.folder / 'log.txt'}" if run.folder else "mend the setting"
    return PreflightCheck("runs", Standing.BAD, found, remedy)


def _values(runs: Sequence[BaselineRun]) -> list[float]:
    return [run.result.value for run in runs if run.result.value is not None]


def _check_seeds(
    setting: Setting, by_rung: Mapping[str, Sequence[BaselineRun]], *, is_seed_passed: bool
) -> PreflightCheck:
    several = {name: v for name, runs in by_rung.items() if len(v := _values(runs)) > 1}
    if not several:
        return PreflightCheck("seeds", Standing.UNKNOWN, "no rung has two runs yet")
    copies = {name: values for name, values in several.items() if len(set(values)) == 1}
    if setting.deterministic:
        if copies.keys() == several.keys():
            return PreflightCheck(
                "seeds", Standing.GOOD, "agree to the last digit, as the setting says"
            )
        found = "differ, though the setting says 'deterministic: true'"
        return PreflightCheck("seeds", Standing.BAD, found, "setting: drop 'deterministic: true'")
    # two equal values happen to a coarse metric: where seeds are heard elsewhere, it takes three
    are_deaf = copies.keys() == several.keys()
    copies = {name: values for name, values in copies.items() if are_deaf or len(values) > 2}
    if copies:
        name, values = next(iter(copies.items()))
        found = f"{name}: {len(values)} seeds give {values[0]:.10g}, equal to the last digit"
        return PreflightCheck("seeds", Standing.BAD, found, _seed_remedy(is_passed=is_seed_passed))
    name, values = next((n, v) for n, v in several.items() if len(set(v)) > 1)
    spread = statistics.stdev(values)
    found = (
        f"{name}: {len(values)} seeds give {min(values):.5g} to {max(values):.5g}, sd {spread:.2g}"
    )
    return PreflightCheck("seeds", Standing.GOOD, found)


def _seed_remedy(*, is_passed: bool) -> str:
    """Say how copies end: the program hears its seed, or the setting says that there is none."""
    if is_passed:
        why = "it is passed on, so the program does not use it: seed what is random in it"
        return f"{why}; if nothing is, setting: 'deterministic: true', one run an arm"
    why = 'setting.command: add "--seed={seed}"'
    return f"{why}; if nothing is random, setting: 'deterministic: true', one run an arm"


def _check_sizes(
    setting: Setting, rungs: Sequence[Rung], by_rung: Mapping[str, Sequence[BaselineRun]]
) -> PreflightCheck:
    measured = [(rung, values) for rung in rungs if (values := _values(by_rung[rung.name]))]
    if len(measured) < 2:
        return PreflightCheck("sizes", Standing.UNKNOWN, "fewer than two rungs were run")
    for (low, below), (high, above) in pairwise(measured):
        if same := set(below) & set(above):
            found = f"{low.name} and {high.name} both give {same.pop():.10g}: the size is not heard"
            remedy = f"ladder.rungs.{high.name}.params must reach the program (setting.command)"
            return PreflightCheck("sizes", Standing.BAD, found, remedy)
    (low, below), (high, above) = measured[0], measured[-1]
    loss = setting.objective.loss
    gained = loss(statistics.fmean(below)) - loss(statistics.fmean(above))
    doubt = _standard_error(below, above, measured)
    found = (
        f"{setting.objective.name} {statistics.fmean(below):.5g} on {low.name}, "
        f"{statistics.fmean(above):.5g} on {high.name}"
    )
    if gained <= -2 * doubt:
        found += ": it gets no better with size, so no law goes through it"
        remedy = "is setting.objective.direction right? Else choose other sizes (ladder.rungs)"
        return PreflightCheck("law", Standing.BAD, found, remedy)
    if gained <= 2 * doubt:
        found += f": a difference that seeds make too (± {doubt:.2g}); the law is flat"
        return PreflightCheck(
            "law", Standing.BAD, found, "ladder.rungs: larger steps, or more seeds a rung"
        )
    return PreflightCheck("law", Standing.GOOD, f"{found}: it gets better with size")


def _standard_error(
    below: Sequence[float], above: Sequence[float], measured: Sequence[tuple[Rung, list[float]]]
) -> float:
    """Return the standard error of a difference of two rungs, by the spread pooled over all."""
    squares = df = 0.0
    for _, values in measured:
        mean = statistics.fmean(values)
        squares += math.fsum((value - mean) ** 2 for value in values)
        df += len(values) - 1
    return math.sqrt(squares / df * (1 / len(below) + 1 / len(above))) if df else 0.0


def _check_limits(
    rungs: Sequence[Rung], by_rung: Mapping[str, Sequence[BaselineRun]]
) -> Iterator[PreflightCheck]:
    """Hold time, memory and disk of the trials against each rung's caps."""
    limits: Mapping[str, tuple[str, str, Callable[[TrialResult], float]]] = {
        "time": ("timeout_s", "s", lambda result: result.seconds),
        "memory": ("memory_gb", "GB", lambda result: result.metrics.get("peak_memory_gb", 0.0)),
        "disk": ("disk_gb", "GB", lambda result: result.metrics.get("peak_disk_gb", 0.0)),
    }
    for name, (key, unit, read) in limits.items():
        most = {rung.name: max((read(run.result) for run in by_rung[rung.name]), default=0.0)
                for rung in rungs}  # fmt: skip
        tight = [rung for rung in rungs if most[rung.name] > NEAR * getattr(rung, key)]
        used = ", ".join(f"{rung} {n:.3g}" for rung, n in most.items() if n)
        if tight:
            worst = tight[-1]
            cap = getattr(worst, key)
            found = f"{used} {unit} a trial: near the cap {key}={cap:g} of {worst.name}"
            remedy = f"ladder.rungs.{worst.name}.{key}: {_rounded(3 * most[worst.name])}"
            yield PreflightCheck(name, Standing.DOUBTFUL, found, remedy)
        elif used:
            yield PreflightCheck(name, Standing.GOOD, f"{used} {unit} a trial, well below the caps")


def _rounded(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def _check_files(runs: Sequence[BaselineRun], n_trials: int) -> PreflightCheck:
    left = [files for run in runs if run.folder is not None and (files := left_files(run.folder))]
    total = max((sum(files.values()) for files in left), default=0)
    if total < MUCH_BYTES:
        return PreflightCheck("files", Standing.GOOD, f"a trial leaves {total / 1e3:.0f} kB")
    largest = max(left, key=lambda files: sum(files.values()))
    names = sorted(largest, key=lambda name: -largest[name])[:3]
    listed = ", ".join(f"{name} {largest[name] / 1e6:.3g} MB" for name in names)
    found = f"{total / 1e6:.3g} MB left by a trial ({listed})"
    found += f", {total * n_trials / 1e9:.2g} GB by some {n_trials} of them" if n_trials else ""
    remedy = f"setting.command: have it save nothing, or write {names[0]} elsewhere than {{out}}"
    return PreflightCheck("files", Standing.DOUBTFUL, found, remedy)


def left_files(folder: Path) -> dict[str, int]:
    """Return name -> bytes of what a trial left in its folder, our own files apart."""
    found: dict[str, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            relative = str(path.relative_to(folder))
            if relative not in _OURS and not path.is_symlink():
                found[relative] = path.lstat().st_size
            if len(found) >= _MOST_FILES:
                return found
    return found
