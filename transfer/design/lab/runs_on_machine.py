"""A lab that runs trials on this machine; what is there is not run again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from miniscale.run.runner.protocol import Runner
from miniscale.setting.decode import InputError, nearest
from miniscale.setting.trial import TrialResult
from transfer.audit import run_panel
from transfer.change import Change
from transfer.design.space.candidate_sizes import Cell, Seen, Trial
from transfer.design.space.shrink_dials import Shrinkable
from transfer.ladder import Ladder

Progress = Callable[[int, int, str], None]


class BenchLab:
    """Runs trials through a runner, in the place where an audit of the designed ladder looks."""

    def __init__(
        self, ladder: Ladder, form: Shrinkable, root: Path, runner: Runner, progress: Progress
    ) -> None:
        self._ladder = ladder
        self._form = form
        self._runner = runner
        self._progress = progress
        self._bench = run_panel.open_bench(root, ladder)

    def run(self, wants: Sequence[Trial], changes: Mapping[str, Change]) -> list[Seen | None]:
        """Run trials to their end."""
        cells = {want.cell.name: want.cell for want in wants}
        ladder = replace(self._ladder, rungs=tuple(cell.rung for cell in cells.values()))
        asked = [run_panel.Want(_named(want.arm), want.cell.name, want.seed) for want in wants]
        named = {_named(arm): change for arm, change in changes.items()}
        _, results = run_panel.run_all(
            ladder, asked, named,
            bench=self._bench, runner=self._runner, progress=self._progress,
        )  # fmt: skip
        return [self._seen(w.cell, result) for w, result in zip(wants, results, strict=True)]

    def _seen(self, cell: Cell, result: TrialResult) -> Seen:
        cost = cost_of(self._form, cell, result)
        return Seen(result.value, result.seconds, cost, result.reason)


def _named(arm: str) -> str:
    """Return an arm's name as a folder may be called: a sweep's ``lr*0.5`` is not."""
    return arm.replace("*", "-x")


def cost_of(form: Shrinkable, cell: Cell, result: TrialResult) -> float:
    """Return what a trial cost in the setting's own unit.

    Raises
    ------
    InputError
        If a complete trial does not report the number that the setting says it costs.
    """
    if form.cost == "seconds":
        return result.seconds
    if form.cost in result.metrics:
        return result.metrics[form.cost]
    if form.cost in form.dials:
        return form.own_cost(cell.dials)
    if result.is_complete:
        raise InputError(
            f"setting.design.cost: trials do not report '{form.cost}'; "
            f"{nearest(form.cost, result.metrics)}; or count in 'seconds' or by a dial's name"
        )
    return 0.0
