"""What ``python -m transfer design`` does, from a composed configuration."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from miniscale.box import choose, policy_for
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.compose import conf_folder, read_group
from miniscale.setting.decode import InputError, Node, nearest
from miniscale.setting.setting import Setting, decode_setting
from scaling.present.axes import render_png
from transfer.change import Change, decode_change
from transfer.design import design_text
from transfer.design.answer import answer
from transfer.design.bill import plan
from transfer.design.design_file import keep, ladder_yaml, record
from transfer.design.design_plot import frontier
from transfer.design.lab.local_lab import BenchLab
from transfer.design.lab.table_lab import TableLab
from transfer.design.propose_panel import panel_yaml
from transfer.design.race.layout import Ask
from transfer.design.run_design import FEWEST_HELD, DesignRun, design
from transfer.design.space.dials import Shrinkable, decode_design
from transfer.design.space.paths import Path as Way
from transfer.design.space.paths import decode_path
from transfer.ladder import Ladder

Progress = Callable[[int, int, str], None]


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


def decode(config: Mapping[str, Any], folders: Sequence[Path]) -> DesignRequest:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    roots = [*folders, Path.cwd()]
    node = Node(config, "config")
    setting = decode_setting(Node(node.raw("setting"), "setting"), roots=roots)
    changes = _changes(node.raw("panel") or {}, setting, roots)
    study, runner = node.child("study"), node.child("runner")
    runner.text("name", "local")
    source = node.child("from")
    name = node.text("name", f"{setting.name}_small")
    table, out = node.text("table", ""), node.text("out", "")
    asked = DesignRequest(
        ladder=_carrier(name, setting, tuple(changes.values())),
        form=decode_design(setting),
        paths={n: decode_path(n, data) for n, data in read_group("path", folders).items()},
        changes=changes,
        ask=_ask(node, tuple(changes)),
        root=Path(study.text("root", "studies")).expanduser().resolve(),
        out=Path(out).expanduser() if out else folders[0] if folders else Path("designs"),
        table=Path(table).expanduser() if table else None,
        slots=runner.whole("slots", least=1) if "slots" in runner else runner.raw("slots"),
        box=policy_for(runner.text("box", "prefer"), setting),
        is_dry=node.flag("dry_run", False),
        setting_file=source.text("setting", setting.name),
        panel_file=source.text("panel", ""),
    )
    for part in (study, runner, source, node):
        part.finish()
    return asked


def _changes(
    panel: Mapping[str, Any], setting: Setting, roots: Sequence[Path]
) -> dict[str, Change]:
    """Return the panel's changes by name, null changes left out: they say nothing of transfer."""
    node = Node(panel, "panel")
    found = {
        name: decode_change(name, child, setting=setting, roots=roots)
        for name, child in node.children("changes")
    }
    node.finish()
    return {name: change for name, change in found.items() if not change.is_control}


def _carrier(name: str, setting: Setting, panel: tuple[Change, ...]) -> Ladder:
    """Return a ladder without rungs that carries the setting and the name of its place."""
    return Ladder(
        name=name, about="", setting=setting, rungs=(), target_name="target", target=1.0,
        scale_name="cost", unit="units", budget=1.0, panel=panel,
    )  # fmt: skip


def _ask(node: Node, arms: tuple[str, ...]) -> Ask:
    trial, budget = node.child("trial"), node.child("budget")
    seconds = trial.optional_number("seconds", above=0.0)
    compute = trial.optional_number("compute", above=0.0)
    if (seconds is None) == (compute is None):
        raise InputError(
            "trial: say what a trial of the lowest rung may cost, in one of the two: "
            "trial.seconds=120 or trial.compute=1e12"
        )
    hours, spend = (
        budget.optional_number("hours", above=0.0),
        budget.optional_number("compute", above=0.0),
    )
    by_seconds = seconds is not None
    if (hours is not None and not by_seconds) or (spend is not None and by_seconds):
        raise InputError(
            "budget: counts in what trial counts in; give budget.hours with trial.seconds, "
            "budget.compute with trial.compute"
        )
    ask = Ask(
        limit=float(seconds or compute or 0.0),
        by_seconds=by_seconds,
        budget=hours * 3600 if hours is not None else spend if spend is not None else float("inf"),
        seeds=node.whole("seeds", 2, least=1),
        sizes=node.whole("sizes", 3, least=1),
        ratio=node.number("ratio", 4.0, above=1.5),
        rungs=node.whole("rungs", 3, least=1),
        paths=node.texts("paths"),
        holdout=_holdout(node, arms),
        checks_rules=node.flag("check_rules", False),
    )
    for part in (trial, budget):
        part.finish()
    return ask


def _holdout(node: Node, arms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the changes to hold out: by name, or every n-th."""
    raw = node.raw("holdout_changes")
    if raw is None:
        return ()
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw < 2:
            raise InputError(f"holdout_changes: got {raw}, every n-th needs n of at least 2")
        return arms[raw - 1 :: raw]
    named = tuple(dict.fromkeys(node.texts("holdout_changes")))
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
        found = design(asked.ladder, asked.form, asked.paths, asked.changes, lab, known,
                       say=say, table=lab)  # fmt: skip
        return _written(asked, found, slots=1)
    threads = round(asked.form.limits.get("threads", 1))
    with LocalRunner(asked.slots, threads=threads, box=choose(asked.box)) as runner:
        bench = BenchLab(asked.ladder, asked.form, asked.root, runner, progress)
        found = design(
            asked.ladder, asked.form, asked.paths, asked.changes, bench, asked.ask, say=say
        )
        return _written(asked, found, slots=runner.slots)


def _written(asked: DesignRequest, found: DesignRun, *, slots: int) -> list[str]:
    """Write ladder, record and picture; return the words."""
    said = answer(found, measured_only=asked.table is not None, slots=slots)
    told = design_text.lines(found, said, asked.ladder)
    name = asked.ladder.name
    home = asked.out / "design" / name
    keep(home / "design.json", json.dumps(record(found, said, asked.ladder, told), indent=1))
    (home / "frontier.png").write_bytes(render_png(frontier(found)))
    told += [f"kept     {home / 'design.json'}", f"picture  {home / 'frontier.png'}"]
    if said is None:
        return told
    path = asked.out / "ladder" / f"{name}.yaml"
    keep(path, ladder_yaml(found, said, asked.ladder, setting=asked.setting_file,
                           panel=asked.panel_file))  # fmt: skip
    return [
        *told,
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
    keep(path, text)
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
