"""What a person sees while a study runs: lines of verdicts, and the trials running now."""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from miniscale.run.progress import Progress
from miniscale.run.progress import progress as read_progress
from miniscale.run.runner.protocol import Runner
from miniscale.setting.trial import TrialSpec
from transfer.arm import FIRST_BASELINE
from transfer.events import (
    AblationConcluded,
    AblationRequested,
    Accepted,
    BaselineSet,
    Confirmed,
    Deferred,
    Dropped,
    Effect,
    Event,
    ExamRequested,
    Outcome,
    Proposed,
    Refused,
    StepChosen,
    Stopped,
    TrialFinished,
    VerdictReached,
)
from transfer.journal.change_counts import count_changes
from transfer.measure.effect import gain_unit
from transfer.report.findings import score_rung_forecast, survey
from transfer.report.text import claim_lines, exam_lines, loss_words
from transfer.study.limits import Limits, spend_words
from transfer.study.study import Study
from transfer.units import GainUnit

LONGEST_WHY = 200
"""assumption: characters of reasons that are read on one line."""
PLAIN_EVERY_S = 30.0
"""assumption: between lines on running trials without a terminal; a third in the first minute."""


def header(study: Study, folder: Path, *, is_resumed: bool) -> list[str]:
    """Return the first lines of a study."""
    ladder, state = study.ladder, study.state
    better = "lower" if ladder.setting.objective.is_minimized else "higher"
    counts = count_changes(state)
    word = f"resumed: {counts.n_tried} changes, {counts.branch_words}"
    target = f"target {ladder.target_name} ({ladder.target:.2g} {ladder.unit})"
    lines = [
        f"study    {folder}   {word if is_resumed else 'new'}",
        f"ladder   {ladder.name}: {ladder.about}",
        f"rungs    {ladder.names}, {target}, {ladder.setting.objective.name} {better} is better",
    ]
    source = state.started.environment.get("source") if state.started is not None else ""
    lines += [f"source   {source}"] if source else []
    lines += [f"matched  {text}" for text in ladder.matches]
    lines += [f"limit    {constraint.words}" for constraint in ladder.constraints]
    lines += [f"warning  {text}" for text in ladder.warnings()]
    return lines


class Console:
    """Prints a study's events as lines; on a terminal it also shows running trials live.

    Parameters
    ----------
    out
        Where to print; colours and the live part appear only where it is a terminal.
    limits
        What the study may spend.
    """

    def __init__(self, out: TextIO = sys.stdout, *, limits: Limits) -> None:
        from rich.console import Console as RichConsole

        self._rich = RichConsole(file=out, highlight=False, soft_wrap=True)
        self._limits = limits
        self._started = time.monotonic()
        self._live: object | None = None
        self._next_plain = -math.inf
        self._printed: set[tuple[str, str, int]] = set()

    def lines(self, texts: list[str]) -> None:
        """Print plain lines."""
        for text in texts:
            self._rich.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._rich.print(f"warning  {text}", style="yellow", markup=False)

    def note(self, text: str) -> None:
        """Print a remark by the way."""
        self._rich.print(f"note     {text}", style="dim", markup=False)

    def event(self, study: Study, event: Event) -> None:
        """Print what an event means to a person, if anything."""
        match event:
            case Proposed():
                again = f"  (again: {event.rescreens})" if event.rescreens else ""
                self._line(event.arm, event.change.title, f"new   {event.change.kind}{again}")
            case Refused():
                self._line("--", event.title, f"refused: {event.reason}", style="dim")
            case StepChosen():
                self._decided(study, event)
            case VerdictReached():
                self._judged(study, event)
            case Confirmed():
                self._line(event.arm, "", f"confirmed by a person {event.why}".strip())
            case Accepted():
                self._line(event.arm, "", f"commit {event.commit[:7]}", style="green")
            case Deferred():
                self._line(event.arm, "", f"waits for the next baseline: {event.reason}")
            case BaselineSet():
                title = (
                    "first baseline"
                    if event.arm == FIRST_BASELINE
                    else "new baseline: the working head"
                )
                self._line(event.arm, title, f"commit {event.commit[:7]}")
            case TrialFinished() if not event.result.is_complete:
                reason = (event.result.reason.strip().splitlines() or [""])[-1]
                self._line("", "", f"trial {event.result.state}: {reason}", style="red")
            case ExamRequested():
                seeds = ", ".join(f"{rung} {len(each)}" for rung, each in event.seeds.items())
                text = f"exam on fresh seeds against the first baseline: {seeds}"
                self._line(event.arm, "the working head", text)
            case AblationRequested():
                text = f"the exam fell short: each change left out, {event.rung}, "
                self._line(event.arm, "the working head", f"{text}{len(event.seeds)} fresh seeds")
            case AblationConcluded() if not event.verdicts:
                self._line(event.arm, "the working head", "no change fails by itself")
            case Dropped():
                self._line(event.arm, "", f"off the branch: {event.reason}", style="red")
            case Stopped():
                findings = survey(study.ladder, study.state)
                closing = [*claim_lines(findings), *exam_lines(findings)]
                self.lines([*closing, f"stopped  {event.reason}"])

    def _line(self, arm: str, title: str, text: str, style: str = "") -> None:
        self._rich.print(f"{arm:<4} {title:<36.36} {text}", style=style, markup=False)

    def _decided(self, study: Study, event: StepChosen) -> None:
        change = study.state.changes[event.arm]
        for effect in event.effects:
            key = (event.arm, effect.rung, effect.n)
            if key in self._printed:
                continue
            self._printed.add(key)
            text = f"{effect.rung:<6} {loss_words(effect)}"
            if effect is event.effects[-1]:
                text += f"  {event.action}"
                text += self._hit(study, event.arm, effect)
            self._line(event.arm, change.change.title, text)

    def _hit(self, study: Study, arm: str, effect: Effect) -> str:
        forecast = study.state.forecasts.get((arm, effect.rung))
        if forecast is None:
            return ""
        scored = score_rung_forecast(study.state.changes[arm].change, forecast, effect)
        word = "hit" if scored.is_hit else "missed"
        unit = _unit(study, study.state.changes[arm].base)
        return f"   forecast {unit.times(forecast.mean)}, came {unit.times(effect.gain)} {word}"

    def _judged(self, study: Study, event: VerdictReached) -> None:
        forecast = event.gain_forecast
        where = f"at {study.ladder.target_name} "
        text = ""
        if forecast is not None:
            unit = _unit(study, study.state.changes[event.arm].base)
            gain = unit.span(forecast.low, forecast.mean, forecast.high)
            text = f"{where}{gain}, odds {forecast.odds:.2f}"
        outcome = str(event.outcome)
        style = "dim"
        if event.outcome.is_accepted:
            outcome, style = outcome.upper(), "bold green"
        if event.outcome is Outcome.SUSPICIOUS:
            outcome, style = outcome.upper(), "bold magenta"
        why = deciding_words(event.reasons)
        if event.price:
            why += f"; deciding it would take {event.price:.2g} {study.ladder.unit}"
        title = study.state.changes[event.arm].change.title
        line = f"{outcome}  {text}  ({why})" if text else f"{outcome}  ({why})"
        self._line(event.arm, title, line, style=style)

    def progress(self, study: Study, runner: Runner) -> None:
        """Show the running trials: live on a terminal, else a line now and then."""
        running = runner.running()
        if self._rich.is_terminal:
            self._show_live(study, running)
        elif running and time.monotonic() > self._next_plain:
            now = time.monotonic()
            every = PLAIN_EVERY_S / 3 if now - self._started < 60 else PLAIN_EVERY_S
            self._next_plain = now + every
            words = ", ".join(_trial_words(spec) for spec in running)
            left = len(study.state.trials.pending())
            self.lines([f"running  {words}; {left} to go · {budget_words(study, self._limits)}"])

    def _show_live(self, study: Study, running: list[TrialSpec]) -> None:
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=self._rich, auto_refresh=False, transient=True)
            self._live.start()
        text = Text(f"budget   {budget_words(study, self._limits)}\n", style="bold")
        for spec in running:
            text.append(f"running  {_trial_words(spec)}\n")
        assert isinstance(self._live, Live)
        self._live.update(text, refresh=True)

    def close(self, study: Study) -> None:
        """Take the live part away."""
        from rich.live import Live

        if isinstance(self._live, Live):
            self._live.stop()
            self._live = None


def _unit(study: Study, base: str) -> GainUnit:
    """Return what gains over a baseline are written in; it has a run wherever there is a gain."""
    return gain_unit(study.ladder, study.analysis.baseline_law(base))


def deciding_words(reasons: Sequence[str], most: int = LONGEST_WHY) -> str:
    """Say why, the reason that decided first, and of the others what fits whole.

    >>> deciding_words(["wins 2 % at d2", "of such 20 % lose", "the budget ends"], most=32)
    'the budget ends; wins 2 % at d2'
    """
    words = ""
    for reason in (*reasons[-1:], *reasons[:-1]):
        longer = f"{words}; {reason}" if words else reason
        if words and len(longer) > most:
            break
        words = longer
    return words


def budget_words(study: Study, limits: Limits) -> str:
    """Say what is spent: ``24 of 40 changes · 1.1e13 of 3e13 FLOPs · $0.12 of $5.00``."""
    ladder, state = study.ladder, study.state
    counts = count_changes(state)
    words = (
        f"{counts.n_tried} of {limits.changes} changes",
        counts.rescreen_words,
        f"{state.spent:.2g} of {study.plan.budget:.2g} {ladder.unit}",
        counts.branch_words,
        spend_words(state, limits),
    )
    return " · ".join(word for word in words if word)


def _trial_words(spec: TrialSpec) -> str:
    progress: Progress | None = read_progress(Path(spec.out))
    name = f"{spec.arm} {spec.rung} seed {spec.seed}"
    if progress is None:
        return f"{name} starting"
    filled = round(12 * progress.step / max(progress.steps, 1))
    bar = "━" * filled + "─" * (12 - filled)
    loss = "" if progress.loss is None else f" loss {progress.loss:.3f}"
    return f"{name} {bar} {progress.step}/{progress.steps}{loss}"
