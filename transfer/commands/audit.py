"""What ``python -m transfer audit`` and ``calibrate`` do, from a composed configuration."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from miniscale.box import choose, policy_for
from miniscale.preflight.check import table_lines
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.decode import Count, InputError, decode, nearest
from miniscale.setting.keys import RootKeys, RunnerKeys
from miniscale.setting.trial import digest
from scaling.present.axes import render_png
from transfer.audit import audit_text, calibrate, run_panel
from transfer.audit.archive import store
from transfer.audit.audit_plot import forecasts
from transfer.audit.judge_panel import audit
from transfer.audit.load_panel_runs import Runs, checked, named_panel, read_runs
from transfer.audit.preflight import preflight_checks
from transfer.change import Change
from transfer.commands.progress import Progress
from transfer.ladder import Ladder, decode_ladder, design_line


@dataclass(frozen=True)
class AuditRequest:
    """A command, decoded: the ladder as it is, and the rungs that the audit looks at."""

    ladder: Ladder
    audited: Ladder
    panel: Mapping[str, Change]
    root: Path
    table: Path | None
    seeds: int | None
    slots: int | None
    box: str = "prefer"


def machine() -> str:
    """Return a short name of this machine, the same every time."""
    return digest([platform.node(), platform.machine(), os.cpu_count()], length=8)


@dataclass(frozen=True)
class AuditKeys:
    """What ``conf/audit.yaml`` holds."""

    ladder: Mapping[str, Any]
    table: str = ""
    rungs: tuple[str, ...] = ()
    holdout: str = ""
    seeds: Count | None = None
    study: RootKeys = field(default_factory=RootKeys)
    runner: RunnerKeys = field(default_factory=RunnerKeys)


def decode_request(config: Mapping[str, Any], folders: Sequence[Path]) -> AuditRequest:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    keys = decode(AuditKeys, config, "config")
    ladder = decode_ladder(keys.ladder, roots=[*folders, Path.cwd()])
    return AuditRequest(
        ladder=ladder,
        audited=audited_ladder(ladder, keys.rungs, keys.holdout),
        panel=named_panel(ladder, list((keys.ladder.get("panel") or {}).get("changes") or {})),
        root=Path(keys.study.root).expanduser().resolve(),
        table=Path(keys.table).expanduser() if keys.table else None,
        seeds=keys.seeds,
        slots=keys.runner.slots,
        box=policy_for(keys.runner.box, ladder.setting),
    )


def audited_ladder(ladder: Ladder, names: Sequence[str], top: str) -> Ladder:
    """Return the ladder of the rungs to look at, with a held-out size on top if one is named."""
    for name in names:
        if name not in {rung.name for rung in ladder.rungs}:
            known = [rung.name for rung in ladder.rungs]
            raise InputError(f"rungs: '{name}' is not on the ladder; {nearest(name, known)}")
    rungs = [rung for rung in ladder.rungs if not names or rung.name in names]
    if top:
        if top not in ladder.holdout:
            raise InputError(
                f"holdout: '{top}' is no held-out size of ladder {ladder.name}; "
                f"{nearest(top, ladder.holdout)}"
            )
        above = ladder.holdout[top]
        if above.scale <= rungs[-1].scale:
            raise InputError(f"holdout: {top} is not above {rungs[-1].name}; choose a larger one")
        rungs.append(replace(above, seeds=1, baseline_seeds=max(above.baseline_seeds, 2)))
    return replace(ladder, rungs=tuple(rungs), target=max(ladder.target, rungs[-1].scale))


def run_audit(asked: AuditRequest, progress: Progress) -> list[str]:
    """Audit a ladder by a table or by running its panel; store what was found; return the words."""
    if asked.table is not None:
        runs = read_runs(asked.table, asked.audited, asked.panel)
    else:
        runs = _measured(asked, progress)
    audited = replace(
        audit(asked.audited, runs), digest=asked.ladder.digest, content=asked.ladder.content()
    )
    path = store(asked.root, asked.ladder, audited)
    picture = path.with_suffix(".png")
    picture.write_bytes(render_png(forecasts(audited)))
    designed = design_line(asked.ladder)
    head = [f"design   {designed}"] if designed else []
    return [*head, *audit_text.lines(audited), f"kept     {path}", f"picture  {picture}"]


def _measured(asked: AuditRequest, progress: Progress) -> Runs:
    if not asked.panel:
        raise InputError(
            f"ladder {asked.ladder.name} has no panel of known changes; add 'panel: {{changes: …}}'"
            " or give a table=RUNS.csv"
        )
    wants = run_panel.panel_wants(asked.audited, list(asked.panel))
    bench = run_panel.open_bench(asked.root, asked.ladder)
    with LocalRunner(asked.slots, box=choose(asked.box)) as runner:
        runs, _ = run_panel.run_all(
            asked.audited, wants, asked.panel, bench=bench, runner=runner, progress=progress
        )
    return checked(asked.audited, asked.panel, runs, data=bench.data_digest)


def run_calibrate(asked: AuditRequest, progress: Progress) -> list[str]:
    """Run the baseline on every rung, store what came of it and return it in words."""
    wants = run_panel.baseline_wants(asked.audited, asked.seeds)
    bench = run_panel.open_bench(asked.root, asked.ladder)
    with LocalRunner(asked.slots, box=choose(asked.box)) as runner:
        runs, results = run_panel.run_all(
            asked.audited, wants, {}, bench=bench, runner=runner, progress=progress
        )
    calibration = calibrate.calibrate(
        asked.audited,
        runs,
        results,
        machine=machine(),
        trials=bench.folders.trials,
    )
    calibration = replace(calibration, digest=asked.ladder.digest)
    path = calibrate.store_calibration(asked.root, asked.ladder, calibration)
    checks = preflight_checks(asked.audited, calibration)
    return [
        *table_lines(checks),
        "",
        *calibrate.lines(calibration, asked.ladder.unit),
        f"kept     {path}",
    ]
