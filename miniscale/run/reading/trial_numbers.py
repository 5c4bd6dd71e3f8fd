"""The objective and the other numbers of a trial, each where its setting says it is found."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from miniscale.process.logs import shown_end
from miniscale.run.reading.files import matching_files, number_in_files
from miniscale.run.reading.printed import LineSearch, Printed
from miniscale.run.trial_folder import remove
from miniscale.setting.read_metrics import ReadingError

OBJECTIVE = ""
"""The name of the number that decides, among the others."""
_OURS = ("spec.json", "result.json", "log.txt")
_STREAMS = {
    "stdout": "standard output",
    "stderr": "standard error",
    "both": "standard output and error",
}


class ProgramWatch:
    """What is looked for in the two outputs of one program, by the name of the reading."""

    def __init__(self, readings: Mapping[str, Mapping[str, str]]) -> None:
        printed = {name: r for name, r in readings.items() if not r["file"]}
        self.lines = {
            name: LineSearch(r["line"], take=r["take"], final=r["final"])
            for name, r in printed.items()
        }
        self.output, self.errors = (
            Printed(*(self.lines[n] for n, r in printed.items() if r["stream"] in (name, "both")))
            for name in ("stdout", "stderr")
        )

    def finish(self) -> None:
        """Search last lines that lack their end."""
        self.output.finish()
        self.errors.finish()


class TrialNumbers:
    """The numbers that a trial leaves, in what its programs print and in its output folder.

    Parameters
    ----------
    spec
        The trial's spec as plain data.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._readings = {OBJECTIVE: spec["reading"], **spec["extra_readings"]}
        self._has_evaluator = bool(spec["evaluator"])
        self._out: str = spec["out"]
        self._watches = {who: ProgramWatch(self._readings) for who in ("trainer", "evaluator")}

    def watch(self, who: str) -> ProgramWatch:
        """Return what is to see the output of the ``trainer`` or the ``evaluator``."""
        return self._watches[who]

    def remove_scores(self) -> None:
        """Remove a score that lies there before the evaluation: the trainer made it."""
        remove(os.path.join(self._out, "evaluation.json"))
        name = self._readings[OBJECTIVE]["file"]
        try:
            for path in matching_files(self._out, name) if name else ():
                remove(path)
        except ReadingError:
            return  # there is none

    def number(self, name: str) -> float:
        """Return a number; it may be non-finite. With an evaluator its objective is its own word.

        Raises
        ------
        ReadingError
            If it is not where its reading says, or is no number.
        """
        reading = self._readings[name]
        if reading["file"] in _OURS:
            raise ReadingError(f"file {reading['file']!r} is ours; name another")
        if reading["file"]:
            return number_in_files(self._out, reading, events=_read_events)
        line = self._watches["trainer"].lines[name]
        outside = self._watches["evaluator"].lines[name]
        if self._has_evaluator and (name == OBJECTIVE or outside.has_match):
            line = outside
        return line.number(where=_STREAMS[reading["stream"]])


def _read_events(paths: Sequence[str], key: str, take: str) -> float:
    from miniscale.run.reading.event_files import read_events  # few settings need it

    return read_events(paths, key, take)


def said_at_the_end(printed: bytes, errors: bytes) -> str:
    """Quote how both outputs of a program ended."""
    ends = (("standard output", printed), ("standard error", errors))
    parts = [f"{name} ended with\n{shown_end(text)}" for name, text in ends if text.strip()]
    return "\n".join(parts) or "nothing was printed"
