"""Checks of what the first runs of a baseline printed: is each number there, is the last the end.

A trainer that prints its number as it goes leaves one behind also where it stops half way.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from miniscale.preflight.check import PreflightCheck, Standing
from miniscale.process.logs import LOG_BYTES, terminal_lines
from miniscale.process.number_token import compile_pattern, find_number
from miniscale.setting.read_metrics import ReadingError, read_plain
from miniscale.setting.setting import Setting
from miniscale.setting.trial import MetricSource, TrialResult

LONGEST = 400
"""Characters of a line that are looked at: a number with its name is shorter."""


def check_readings(
    setting: Setting, runs: Sequence[tuple[TrialResult, Path | None]]
) -> Iterator[PreflightCheck]:
    """Yield what is to be said of a setting's readings; nothing where all is well.

    Parameters
    ----------
    setting
        What was run.
    runs
        Results of a baseline with the folders they left, where those are still there.
    """
    complete = [(result, folder) for result, folder in runs if result.is_complete]
    for name in setting.metrics:
        if any(name not in result.metrics for result, _ in complete):
            found = f"{name}: some runs of the baseline do not tell it"
            remedy = f"correct metrics.{name}, or let the program print it at the end of every run"
            yield PreflightCheck("metrics", Standing.BAD, found, remedy)
    logs = [folder / "log.txt" for _, folder in complete if folder is not None]
    if logs and _may_be_older(setting):
        yield from _check_end(setting.objective.reading, logs[0])


def _may_be_older(setting: Setting) -> bool:
    reading = setting.objective.reading
    is_last_line = bool(reading.line) and not reading.file and reading.take == "last"
    return is_last_line and not reading.final and not setting.evaluator


def _check_end(reading: MetricSource, log: Path) -> Iterator[PreflightCheck]:
    """Yield a doubt where a run prints its number as it goes."""
    try:
        lines = terminal_lines(read_plain(str(log), limit_bytes=2 * LOG_BYTES))
    except ReadingError:
        return
    patterns = compile_pattern(reading.line)
    matched = [line[-LONGEST:] for line in lines if find_number(line[-LONGEST:], patterns)]
    if len(matched) > 1:
        found = (
            f"{len(matched)} lines of a run match {reading.line!r}, the last {matched[-1][:80]!r}: "
            "of a run that stops early an older number would be taken"
        )
        remedy = "objective: add final: 'TEXT' with what only the end of a run prints"
        yield PreflightCheck("end", Standing.DOUBTFUL, found, remedy)
