"""Writing to wandb; all of it runs on the tracker's thread, where wandb is imported."""

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.tracking.study_rows import (
    Record,
    TrialCard,
    curve,
    scaling_rows,
    summary,
)
from transfer.report.constraint_table import constraint_table, find_standings
from transfer.report.findings import Findings
from transfer.report.tables import tracked_tables

if TYPE_CHECKING:
    import polars as pl
    from wandb import Run, Settings

INIT_S, FINISH_S = 15.0, 20.0
"""Longest waits for wandb's server at a run's start and end."""


class WandbWriter:
    """Owns the runs of one session; falls back to files on disk when the server cannot be had.

    Parameters
    ----------
    folder
        The study's folder; runs go to ``wandb/`` there.
    group
        Name that all runs of the study share; their ids end in it.
    mode
        ``online`` or ``offline``.
    """

    def __init__(
        self, folder: Path, *, project: str, group: str, mode: str, warn: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._files = folder / "wandb"
        self._project = project
        self._group = group
        self._mode = mode
        self._warn = warn
        self._run: Run | None = None
        self._ledger = self._files / "trials.txt"
        self._logged: set[str] = set()

    def open(self, config: Record, rows: list[Record]) -> None:
        """Start the study's run of this session with all rows so far."""
        import wandb

        self._files.mkdir(parents=True, exist_ok=True)
        wandb.setup(settings=_settings())  # init alone would still print where a key came from
        with contextlib.suppress(FileNotFoundError):
            self._logged = set(self._ledger.read_text().split())
        session = 1 + len(list(self._files.glob(f"*run-*-study-*-{self._group}*")))
        self._run = self._start(
            f"study-{session}-{self._group}",
            job_type="study",
            name=f"{self._folder.name} (session {session})",
            config=config,
            tags=("study",),
        )
        self._run.define_metric("study/*", step_metric="study/trials")
        self._run.define_metric("models/*", step_metric="study/trials")
        self._run.define_metric("scaling/*", step_metric="scaling/compute")
        for row in rows:
            self._run.log(row)

    def log(self, row: Record) -> None:
        """Add one row to the study's run."""
        assert self._run is not None
        self._run.log(row)

    def trial(self, card: TrialCard) -> None:
        """Write an ended trial as a run of its own, once for ever."""
        if card.identity in self._logged:
            return
        run_id = f"{card.name}-{card.identity}-{self._group}"
        for half_written in self._files.glob(f"offline-run-*-{run_id}"):
            shutil.rmtree(half_written)
        run = self._start(
            run_id, job_type="trial", name=card.name, config=card.config, tags=card.tags
        )
        rows = curve(card.curve)
        if rows:
            run.define_metric("train/*", step_metric="train/step")
        for row in rows:
            run.log(row)
        run.summary.update(card.summary)
        run.finish()
        self._logged.add(card.identity)
        with open(self._ledger, "a") as ledger:
            ledger.write(f"{card.identity}\n")

    def finish(self, findings: Findings, pictures: Mapping[str, Path]) -> None:
        """Write laws, tables, pictures and diffs into the study's run and end it."""
        import wandb

        run = self._run
        assert run is not None
        rows = scaling_rows(findings)
        for row in rows:
            run.log(row)
        last: dict[str, Any] = {
            f"figures/{name}": wandb.Image(str(path)) for name, path in pictures.items()
        }
        last |= {
            f"tables/{name}": _table(table) for name, table in tracked_tables(findings).items()
        }
        if standings := find_standings(findings.ladder, findings.state):
            last["tables/constraints"] = _table(constraint_table(standings))
        if rows:
            last["scaling_chart"] = _chart(findings, rows)
        run.log(last)
        run.summary.update(summary(findings))
        self._log_changes(run, findings)
        run.finish()
        self._run = None

    def _log_changes(self, run: "Run", findings: Findings) -> None:
        """Keep hypotheses, knobs and patches as files of one artifact."""
        import wandb

        if not findings.rows:
            return
        artifact = wandb.Artifact(f"{self._group}-changes", type="changes")
        for row in findings.rows:
            change = row.proposed.change
            described = {key: value for key, value in asdict(change).items() if key != "patch"}
            with artifact.new_file(f"{row.arm}.json") as file:
                file.write(json.dumps(described, indent=1))
            if change.patch:
                with artifact.new_file(f"{row.arm}.patch") as file:
                    file.write(change.patch)
        run.log_artifact(artifact)

    def _start(
        self, run_id: str, *, job_type: str, name: str, config: Record, tags: tuple[str, ...]
    ) -> "Run":
        import wandb

        def init(name_of_run: str) -> "Run":
            return wandb.init(
                project=self._project,
                dir=self._folder,
                id=name_of_run,
                group=self._group,
                job_type=job_type,
                name=name,
                config=config,
                tags=[tag[:64] for tag in tags],
                mode="online" if self._mode == "online" else "offline",
                reinit="create_new",
                settings=_settings(),
            )

        if self._mode != "online":
            return init(run_id)
        try:
            return init(run_id)
        except (wandb.errors.Error, OSError, TimeoutError) as error:
            self._mode = "offline"
            reason = str(error).replace("<no message>", "").strip().splitlines()
            reason = reason or [f"no answer from the server in {INIT_S:.0f} s"]
            self._warn(
                f"wandb is offline from now on ({reason[0][:160]}); the study's files upload "
                f"later with: wandb sync {self._files}/offline-run-*"
            )
        return init(f"{run_id}-offline")  # the first id stays in use by the run that failed


def _settings() -> "Settings":
    """Return settings that print nothing, spy on nothing and wait for nobody for long."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        init_timeout=INIT_S,
        finish_timeout=FINISH_S,
        login_timeout=INIT_S,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


def _table(table: "pl.DataFrame") -> Any:
    import wandb

    return wandb.Table(columns=[*table.columns], data=[[*row] for row in table.iter_rows()])


def _chart(findings: Findings, rows: list[Record]) -> Any:
    """Return law, band and runs as one chart of lines."""
    import wandb

    keys = [
        key for key in dict.fromkeys(k for row in rows for k in row) if key != "scaling/compute"
    ]
    lines = [[(row["scaling/compute"], row[key]) for row in rows if key in row] for key in keys]
    return wandb.plot.line_series(
        xs=[[x for x, _ in line] for line in lines],
        ys=[[y for _, y in line] for line in lines],
        keys=[key.removeprefix("scaling/") for key in keys],
        title=f"{findings.ladder.setting.objective.name} over {findings.ladder.scale_name}",
        xname=f"{findings.ladder.scale_name}, {findings.ladder.unit}",
    )
