"""``python -m miniscale init PATH``: a setting and a ladder for a repository, checked."""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from miniscale.preflight.check import PreflightCheck, table_lines
from miniscale.preflight.measured_checks import BaselineRun, check_measured
from miniscale.preflight.written_checks import check_written
from miniscale.setting.compose import conf_folder
from miniscale.setting.decode import InputError
from miniscale.setting.rung import Rung, decode_rungs
from miniscale.setting.setting import Setting, decode_setting
from miniscale.setting.trial import TrialResult
from miniscale.starter.draft import Draft, draft_setting, split_run
from miniscale.starter.guess_objective import rank_metrics
from miniscale.starter.show_run import ShownRun, show_run
from miniscale.starter.write_yaml import ladder_yaml, setting_yaml

USAGE = """\
  python -m miniscale init ~/nanoGPT --run 'python train.py --device=cpu --max_iters=20'
"""


GROUPS = ("setting", "ladder")


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m miniscale init",
        description=__doc__,
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="the repository")
    parser.add_argument("--run", default="", help="a command that runs it at a small size; is run")
    parser.add_argument("--out", type=Path, default=Path("conf"), help="folder (default: conf)")
    parser.add_argument("--name", default="", help="of setting and ladder (default: the folder's)")
    parser.add_argument("--timeout", type=float, default=600.0, help="of the run, in seconds")
    return parser.parse_args(argv)


def write_starter(argv: Sequence[str]) -> Iterator[str]:
    """Yield what there is to say, as it comes, while files are written and trials run.

    Raises
    ------
    InputError
        If there is no program, the run fails, or the files are there already.
    """
    asked = parse_arguments(argv)
    out: Path = asked.out.expanduser().resolve()
    draft = draft_setting(asked.path, asked.run, name=asked.name)
    if is_shipped(draft.name):
        yield f"named    {draft.name}_own, for a {draft.name} ships and would be found first"
        draft = replace(draft, name=f"{draft.name}_own")
    paths = [out / group / f"{draft.name}.yaml" for group in GROUPS]
    for path in paths:
        if path.exists():
            raise InputError(f"{path}: is there already; give another --name, or remove it")
    yield from found_lines(draft)
    if asked.run:
        yield f"running  {asked.run}   (in {draft.source}, once, {asked.timeout:g} s at most)"
        words = list(split_run(asked.run))[len(draft.env) :]
        shown = show_run(words, draft.source, env=draft.env, timeout_s=asked.timeout)
        draft = with_run(draft, shown)
        yield f"ended    after {shown.seconds:.1f} s; {objective_words(draft)}"
    for path, text in zip(paths, (setting_yaml(draft, out), ladder_yaml(draft)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        yield f"wrote    {path}   {len(text.splitlines())} lines"
    setting, rungs = load_written(paths, out)
    yield from table_lines(check_written(setting, rungs))
    if asked.run and draft.dials:
        where = f"two seeds on {rungs[0].name}, one on {rungs[1].name}"
        yield f"trials   {where}, in a box as in a study"
        yield from table_lines(first_checks(setting, rungs))
    where = f"--config-dir {shlex.quote(os.path.relpath(out))} +ladder={draft.name}"
    yield f"next     look at both files, then: python -m autoresearch {where} dry_run=true"


def is_shipped(name: str) -> bool:
    """Whether a setting or a ladder of this name ships: it would hide the user's."""
    return any((conf_folder() / group / f"{name}.yaml").exists() for group in GROUPS)


def found_lines(draft: Draft) -> list[str]:
    """Say what was read off the source."""
    sizes = [
        f"{dial.option.key} {' → '.join(f'{value:g}' for value in dial.values)}"
        for dial in draft.dials
    ]
    return [
        f"program  {draft.program} in {draft.source}",
        f"sizes    {', '.join(sizes) or 'none found'}",
        f"knobs    {', '.join(knob.key for knob in draft.knobs) or 'none found'}",
        *[f"look     {note}" for note in draft.notes],
    ]


def with_run(draft: Draft, shown: ShownRun) -> Draft:
    """Return a draft that knows what a run printed, and how long it took.

    Raises
    ------
    InputError
        If it did not end well.
    """
    if shown.code != 0:
        how = "ran past --timeout" if shown.code is None else f"ended with exit code {shown.code}"
        words = shown.last_words.replace("\n", "\n  ")
        raise InputError(f"--run: {how}; mend it by hand first. It printed last:\n  {words}")
    metrics = tuple(rank_metrics(shown.output))
    notes = draft.notes
    if not metrics:
        last = (shown.last_words.splitlines() or ["nothing"])[-1]
        notes = (*notes, f"objective: no number is called a loss or a score; its last line: {last}")
    return replace(draft, metrics=metrics, seconds=shown.seconds, notes=notes)


def objective_words(draft: Draft) -> str:
    """Say which number was taken for the objective."""
    if not draft.metrics:
        return "it printed no number that looks like an objective"
    metric = draft.metrics[0]
    better = "lower" if metric.is_minimized else "higher"
    return f"objective {metric.name} = {metric.value}, {better} is better"


def load_written(paths: Sequence[Path], out: Path) -> tuple[Setting, list[Rung]]:
    """Read the files back as any command does, or as nearly as one can without composing."""
    from omegaconf import OmegaConf

    setting, ladder = (OmegaConf.to_container(OmegaConf.load(path)) for path in paths)
    if not isinstance(setting, dict) or not isinstance(ladder, dict):
        raise InputError(f"{paths[0]}: holds no mapping; remove it and type the command again")
    plain = {str(key): value for key, value in ladder.items()}
    return decode_setting(setting, "setting", roots=[out]), list(decode_rungs(plain).values())


def first_checks(setting: Setting, rungs: Sequence[Rung]) -> list[PreflightCheck]:
    """Run two seeds on the lowest rung and one above it, and hold them against the rules."""
    from miniscale.box import choose
    from miniscale.run import prepare_data
    from miniscale.run.runner.local import LocalRunner
    from miniscale.setting.rung import Folders, trial_spec
    from miniscale.tree.workspace import workspace_of

    with tempfile.TemporaryDirectory(prefix="init-") as scratch:
        folders = Folders(Path(scratch) / "trials", Path(scratch) / "cache")
        digests = prepare_data.prepare(setting, folders.cache)
        trees = workspace_of(setting, Path(scratch))
        tree = trees.checkout("b0", parent=trees.first(), patch="", knobs={})
        wants = [(rungs[0], 0), (rungs[0], 1), *((rung, 0) for rung in rungs[1:2])]
        specs = {
            (rung.name, seed): trial_spec(
                setting, rung, arm="b0", seed=seed, tree=tree, data=digests, folders=folders
            )
            for rung, seed in wants
        }
        with LocalRunner(box=choose("prefer")) as runner:
            wanted = {spec.identity: spec for spec in specs.values()}  # rungs may be alike
            runner.submit(list(wanted.values()))
            results = dict[str, TrialResult]()
            while len(results) < len(wanted):
                results |= {result.identity: result for result in runner.poll(0.5)}
        runs = [
            BaselineRun(*key, result, Path(spec.out) if result.is_complete else None)
            for key, spec in specs.items()
            for result in (results[spec.identity],)
        ]
        return check_measured(setting, rungs, runs)


def run_init(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        for line in write_starter(argv):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0
