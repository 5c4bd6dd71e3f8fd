"""A report in wandb: native charts over FLOPs, tables and the picture; offline without a key."""

import io
import os
from collections.abc import Mapping
from typing import Any

from scaling.present.axes import render_png
from scaling.report.report import Report


def log_report(
    report: Report, *, project: str, group: str, environ: Mapping[str, str] | None = None
) -> str:
    """Write a report into a wandb run and return the folder or address to look at.

    Points and law are logged as history over ``scaling/<x>``, so that the runs of several studies
    share one chart; the same as a table and as line series, and the figure.
    """
    import wandb

    held = os.environ if environ is None else environ
    online = held.get("WANDB_API_KEY") or held.get("WANDB_MODE") == "online"
    run = wandb.init(
        project=project,
        group=group,
        name=report.title,
        job_type="scaling-fit",
        mode="online" if online else "offline",
        settings=wandb.Settings(init_timeout=20, silent=True, console="off"),
    )
    axis = f"scaling/{report.x_name}"
    run.define_metric(axis)
    run.define_metric("scaling/*", step_metric=axis)
    for name, (x, y) in report.series.items():
        for at, value in sorted(zip(x, y, strict=True)):
            run.log({axis: at, f"scaling/{name}": value})
    run.log(_panels(report, wandb))
    folder = str(run.dir)
    run.finish()
    return folder


def _panels(report: Report, wandb: Any) -> dict[str, object]:
    from PIL import Image

    picture = Image.open(io.BytesIO(render_png(report.figure)))
    panels: dict[str, object] = {"picture": wandb.Image(picture)}
    for sheet in report.sheets:
        rows = [list(row) for row in sheet.rows]
        panels[f"tables/{sheet.title}"] = wandb.Table(columns=list(sheet.columns), data=rows)
    if report.series:
        panels["charts/law"] = wandb.plot.line_series(
            xs=[list(x) for x, _ in report.series.values()],
            ys=[list(y) for _, y in report.series.values()],
            keys=list(report.series),
            title=report.title,
            xname=report.x_name,
        )
    return panels
