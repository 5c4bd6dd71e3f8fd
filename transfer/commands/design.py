"""What ``python -m transfer design`` does, from a composed configuration."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from miniscale.box import choose, policy_for
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.compose import conf_folder, read_group
from miniscale.setting.decode import (
    Above,
    Count,
    InputError,
    Key,
    Positive,
    decode,
    nearest,
    read_value,
)
from miniscale.setting.keys import RootKeys, RunnerKeys
from miniscale.setting.records import replace_file
from miniscale.setting.setting import Setting, decode_setting
from scaling.present.axes import render_png
from transfer.change import Change, PanelKeys
from transfer.commands.progress import Progress
from transfer.design import design_text
from transfer.design.chosen_ladder import answer
from transfer.design.design_bill import plan
from transfer.design.design_file import ladder_yaml, record
from transfer.design.design_plot import frontier
from transfer.design.lab.runs_from_table import TableLab
from transfer.design.lab.runs_on_machine import BenchLab
from transfer.design.propose_panel import panel_yaml
from transfer.design.race.race_setup import Ask
from transfer.design.run_design import FEWEST_HELD, DesignRun, design
from transfer.design.space.shrink_dials import Shrinkable, decode_design
from transfer.design.space.shrink_rules import Path as Way
from transfer.design.space.shrink_rules import decode_path
from transfer.ladder import Ladder


@dataclass(frozen=True)
class DesignRequest:
    """A command, decoded."""

    ladder: Ladder
    form: Shrinkable
    paths: Mapping[str, Way]
    changes: Mapping[str, Change]
    ask: Ask
    root: Path
    out: Path
    table: Path | None
    slots: int | None
    box: str
    is_dry: bool
    setting_file: str
    panel_file: str


def arguments(argv: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Complete a command: name the files that were asked for, add the panel of the same name.

    Raises
    ------
    InputError
        If no setting is named, or there is none of the name.
    """
    words_ = [f"+{a}" if a.startswith(("setting=", "panel=")) else a for a in argv]
    named = {a[1:].partition("=")[0]: a.partition("=")[2] for a in words_ if a.startswith("+")}
    known = _names("setting", folders)
    if "setting" not in named:
        raise InputError(
            f"no setting given; there are {', '.join(known)}: "
            "type 'python -m transfer design +setting=nanochat trial.seconds=10'"
        )
    setting = named["setting"]
    if setting not in known:
        raise InputError(
            f"setting '{setting}' does not exist; {nearest(setting, known)} "
            "(yours is found with --config-dir FOLDER)"
        )
    panel = named.get("panel", setting if setting in _names("panel", folders) else "")
    extra = [f"+panel={panel}"] if panel and "panel" not in named else []
    return [*words_, *extra, f"from.setting={setting}", *([f"from.panel={panel}"] if panel else [])]


def _names(group: str, folders: Sequence[Path]) -> list[str]:
    places = [folder / group for folder in (*folders, conf_folder())]
    return sorted({path.stem for place in places for path in place.glob("*.yaml")})


@dataclass(frozen=True)
class TrialPrice:
    """What a trial of the lowest rung may cost: one of the two."""

    seconds: Positive | None = None
    compute: Positive | None = None


@dataclass(frozen=True)
class DesignSpend:
    """What a design may spend; absent: whatever it takes."""

    hours: Positive | None = None
    compute: Positive | None = None


@dataclass(frozen=True)
class FromKeys:
    """Names of the files that were asked for; filled in by :func:`arguments`."""

    setting: str = ""
    panel: str = ""


@dataclass(frozen=True)
class DesignKeys:
    """What ``conf/design.yaml`` holds."""

    setting: Mapping[str, Any]
    panel: PanelKeys = field(default_factory=PanelKeys)
    trial: TrialPrice = field(default_factory=TrialPrice)
    budget: DesignSpend = field(default_factory=DesignSpend)
    paths: tuple[str, ...] = ()
    rungs: Count = 3
    seeds: Count = 2
    sizes: Count = 3
    ratio: Annotated[float, Above(1.5)] = 4.0
    holdout_changes: Any = None
    """Names, or n for every n-th."""
    check_rules: bool = False
    table: str = ""
    dry_run: bool = False
    name: str = ""
    out: str = ""
    study: RootKeys = field(default_factory=RootKeys)
    runner: RunnerKeys = field(default_factory=RunnerKeys)
    source: Annotated[FromKeys, Key("from")] = field(default_factory=FromKeys)


def decode_request(config: Mapping[str, Any], folders: Sequence[Path]) -> DesignRequest:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    roots = [*folders, Path.cwd()]
    keys = decode(DesignKeys, config, "config")
    setting = decode_setting(keys.setting, "setting", roots=roots)
    panel = keys.panel.build(setting, roots, path="panel")
    # null changes say nothing of transfer
    changes = {name: change for name, change in panel.items() if not change.is_control}
    out = Path(keys.out).expanduser() if keys.out else folders[0] if folders else Path("designs")
    return DesignRequest(
        ladder=_carrier(keys.name or f"{setting.name}_small", setting, tuple(changes.values())),
        form=decode_design(setting),
        paths={n: decode_path(n, data) for n, data in read_group("path", folders).items()},
        changes=changes,
        ask=_ask(keys, tuple(changes)),
        root=Path(keys.study.root).expanduser().resolve(),
        out=out,
        table=Path(keys.table).expanduser() if keys.table else None,
        slots=keys.runner.slots,
        box=policy_for(keys.runner.box, setting),
        is_dry=keys.dry_run,
        setting_file=keys.source.setting or setting.name,
        panel_file=keys.source.panel,
    )


def _carrier(name: str, setting: Setting, panel: tuple[Change, ...]) -> Ladder:
    """Return a ladder without rungs that carries the setting and the name of its place."""
    return Ladder(
        name=name, about="", setting=setting, rungs=(), target_name="target", target=1.0,
        scale_name="cost", unit="units", budget=1.0, panel=panel,
    )  # fmt: skip


def _ask(keys: DesignKeys, arms: tuple[str, ...]) -> Ask:
    seconds, compute = keys.trial.seconds, keys.trial.compute
    hours, spend = keys.budget.hours, keys.budget.compute
    if (seconds is None) == (compute is None):
        raise InputError(
            "trial: say what a trial of the lowest rung may cost, in one of the two: "
            "trial.seconds=120 or trial.compute=1e12"
        )
    by_seconds = seconds is not None
    if (hours is not None and not by_seconds) or (spend is not None and by_seconds):
        raise InputError(
            "budget: counts in what trial counts in; give budget.hours with trial.seconds, "
            "budget.compute with trial.compute"
        )
    return Ask(
        limit=float(seconds or compute or 0.0),
        by_seconds=by_seconds,
        budget=hours * 3600 if hours is not None else spend if spend is not None else float("inf"),
        seeds=keys.seeds,
        sizes=keys.sizes,
        ratio=keys.ratio,
        rungs=keys.rungs,
        paths=keys.paths,
        holdout=_holdout(keys.holdout_changes, arms),
        checks_rules=keys.check_rules,
    )


def _holdout(written: Any, arms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the changes to hold out: by name, or every n-th."""
    if written is None:
        return ()
    if isinstance(written, int) and not isinstance(written, bool):
        if written < 2:
            raise InputError(f"holdout_changes: got {written}, every n-th needs n of at least 2")
        return arms[written - 1 :: written]
    named = tuple(dict.fromkeys(read_value(tuple[str, ...], written, "holdout_changes")))
    for name in named:
        if name not in arms:
            raise InputError(
                f"holdout_changes: '{name}' is not in the panel; {nearest(name, arms)}"
            )
    if 0 < len(named) < FEWEST_HELD:
        raise InputError(
            f"holdout_changes: got {len(named)}, at least {FEWEST_HELD} say something; name more,"
            " or give 3 for every third"
        )
    return named


def run(asked: DesignRequest, progress: Progress, say: Callable[[str], None]) -> list[str]:
    """Design a ladder, or show the plan, or propose a panel; return the words."""
    if not asked.changes:
        return _propose(asked)
    if asked.is_dry:
        return plan(asked.ladder, asked.form, asked.paths, asked.changes, asked.ask)
    if asked.table is not None:
        lab = TableLab(asked.table, asked.form, asked.ladder.setting.objective.name)
        known = replace(asked.ask, seeds=max(asked.ask.seeds, 8), top_seeds=8)
        designed = design(asked.ladder, asked.form, asked.paths, asked.changes, lab, known,
                       say=say, table=lab)  # fmt: skip
        return _written(asked, designed, slots=1)
    threads = round(asked.form.limits.get("threads", 1))
    with LocalRunner(asked.slots, threads=threads, box=choose(asked.box)) as runner:
        bench = BenchLab(asked.ladder, asked.form, asked.root, runner, progress)
        designed = design(
            asked.ladder, asked.form, asked.paths, asked.changes, bench, asked.ask, say=say
        )
        return _written(asked, designed, slots=runner.slots)


def _written(asked: DesignRequest, designed: DesignRun, *, slots: int) -> list[str]:
    """Write ladder, record and picture; return the words."""
    answered = answer(designed, measured_only=asked.table is not None, slots=slots)
    report = design_text.lines(designed, answered, asked.ladder)
    name = asked.ladder.name
    home = asked.out / "design" / name
    replace_file(
        home / "design.json", json.dumps(record(designed, answered, asked.ladder, report), indent=1)
    )
    (home / "frontier.png").write_bytes(render_png(frontier(designed)))
    report += [f"kept     {home / 'design.json'}", f"picture  {home / 'frontier.png'}"]
    if answered is None:
        return report
    path = asked.out / "ladder" / f"{name}.yaml"
    replace_file(path, ladder_yaml(designed, answered, asked.ladder, setting=asked.setting_file,
                           panel=asked.panel_file))  # fmt: skip
    return [
        *report,
        f"ladder   {path}",
        f"next     python -m transfer audit --config-dir {asked.out} +ladder={name}, then "
        f"python -m autoresearch --config-dir {asked.out} +ladder={name}",
    ]


def _propose(asked: DesignRequest) -> list[str]:
    """Write a panel for a setting that has none, and say what it would cost."""
    text, n = panel_yaml(asked.ladder.setting)
    path = asked.out / "panel" / f"{asked.setting_file}.yaml"
    if n < 1:
        raise InputError(
            f"setting {asked.ladder.setting.name} has neither a panel nor knobs to make one of; "
            "write one: 'changes: {name: {patch: my.diff}, …}'"
        )
    replace_file(path, text)
    seconds = asked.form.seconds
    known = f"; {(n + 2) * seconds:.0f} s of them" if seconds else ""
    return [
        f"panel    {asked.ladder.setting.name} has none: {n} edits of its knobs are proposed",
        f"kept     {path}",
        f"costs    {n + 2} trials of the expensive form{known}, and about "
        f"{(n + 1) * asked.ask.seeds} of {asked.ask.limit:g} or less on every path",
        f"next     look at it, drop what makes no sense, add patches; then type the same with "
        f"--config-dir {asked.out}",
        *(["note     fewer than eight changes decide nothing: add some"] if n < 8 else []),
    ]
