"""Running a panel or a baseline as trials through a runner; what is there is not run again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.run import prepare_data
from miniscale.run.runner.protocol import Runner
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Folders, Tree, trial_spec
from miniscale.setting.trial import Cause, Scalar, TrialResult, TrialSpec, digest
from miniscale.tree.workspace import PatchRefused, workspace_of
from transfer.arm_table import BASELINE
from transfer.audit.load_panel_runs import Run
from transfer.change import Change
from transfer.ladder import Ladder
from transfer.study.arm_trees import Trees

CHEAP, MOST_RUNS = 0.01, 6
"""assumption: the share of a budget that a rung's noise is worth, and the runs that tell it: with
five degrees of freedom its standard deviation is known to a third."""


@dataclass(frozen=True)
class Want:
    """One trial that is wanted."""

    arm: str
    rung: str
    seed: int


@dataclass(frozen=True)
class Bench:
    """Where measured trials of a ladder lie, shared by calibration and audit."""

    trees: Trees
    folders: Folders
    data: Mapping[str, str]

    @property
    def data_digest(self) -> str:
        """Name of the data behind its trials."""
        return digest(dict(self.data)) if self.data else ""


def open_bench(root: Path, ladder: Ladder) -> Bench:
    """Return a ladder's own place for measured trials under a studies root; made if need be."""
    setting = ladder.setting
    cache = root / ".cache" / setting.name
    digests = prepare_data.prepare(setting, cache)
    home = root / ".measured" / ladder.name
    trees = workspace_of(setting, home)
    return Bench(trees, Folders(home / "trials", cache), digests)


def panel_wants(ladder: Ladder, panel: Sequence[str], *, top_seeds: int = 1) -> list[Want]:
    """Return the trials of an audit, the cheapest rung first, seeds shared by all arms.

    A rung is run with its planned seeds, two at most: a panel says more by more changes. The
    baseline gets its own number of seeds.
    """
    found = []
    for rung in ladder.rungs:
        is_top = rung is ladder.rungs[-1]
        seeds = top_seeds if is_top and len(ladder.rungs) > 1 else min(rung.seeds, 2)
        for seed in range(max(seeds, rung.baseline_seeds)):
            found.append(Want(BASELINE, rung.name, seed))
        for seed in range(seeds):
            found += [Want(arm, rung.name, seed) for arm in panel]
    return found


def baseline_wants(ladder: Ladder, seeds: int | None = None) -> list[Want]:
    """Return the baseline's trials of a calibration: more where runs are cheap.

    Three at least on the lowest rung and two elsewhere, since noise that was never measured is only
    assumed; up to six where they are cheap, for two runs say little of it.
    """
    found = []
    for place, rung in enumerate(ladder.rungs):
        least = max(rung.baseline_seeds, 3 if place == 0 else 2)
        cheap = min(int(CHEAP * ladder.budget / rung.cost), MOST_RUNS)
        found += [Want(BASELINE, rung.name, seed) for seed in range(seeds or max(least, cheap))]
    return found


def run_all(
    ladder: Ladder,
    wants: Sequence[Want],
    changes: Mapping[str, Change],
    *,
    bench: Bench,
    runner: Runner,
    progress: Callable[[int, int, str], None] = lambda done, n, words: None,
) -> tuple[list[Run], list[TrialResult]]:
    """Run trials to their end and return them as runs and as results, in the order wanted.

    Parameters
    ----------
    ladder
        Carries the setting, its objective and a name.
    wants
        (arm, rung, seed) to run.
    changes
        The panel by name.
    bench
        Where trials are run.
    runner
        What runs them.
    progress
        Told of each that ends.

    Raises
    ------
    InputError
        If a change does not apply, or the machine could not run a trial.
    """
    specs = {want: _spec(ladder, want, changes, bench) for want in wants}
    by_identity: dict[str, TrialResult] = {}
    runner.submit(list({spec.identity: spec for spec in specs.values()}.values()))
    n = len({spec.identity for spec in specs.values()})
    names = {spec.identity: want for want, spec in specs.items()}
    while len(by_identity) < n:
        for result in runner.poll(0.5):
            if result.cause is Cause.INFRASTRUCTURE:
                raise InputError(f"a trial could not be run ({result.reason}); type it again")
            by_identity[result.identity] = result
            want = names[result.identity]
            progress(len(by_identity), n, f"{want.arm} on {want.rung}, seed {want.seed}")
    results = [by_identity[specs[want].identity] for want in wants]
    return [_run(want, result) for want, result in zip(wants, results, strict=True)], results


def _run(want: Want, result: TrialResult) -> Run:
    return Run(want.arm, want.rung, want.seed, result.value, result.seconds, result.reason)


def _spec(ladder: Ladder, want: Want, changes: Mapping[str, Change], bench: Bench) -> TrialSpec:
    patch, knobs = "", dict[str, Scalar]()
    if want.arm != BASELINE:
        patch, knobs = changes[want.arm].patch, dict(changes[want.arm].knobs)
    try:
        tree: Tree = bench.trees.checkout(
            want.arm, parent=bench.trees.first(), patch=patch, knobs=knobs
        )
    except PatchRefused as error:
        raise InputError(f"panel change '{want.arm}': {error}; mend or drop it") from None
    return trial_spec(
        ladder.setting,
        ladder.rung(want.rung),
        arm=want.arm,
        seed=want.seed,
        tree=tree,
        data=bench.data,
        folders=bench.folders,
    )
