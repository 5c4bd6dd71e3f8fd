"""The report of a study: one HTML page, its pictures and its tables, made from the state alone."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from miniscale.setting.records import replace_file
from transfer.audit.archive import stored_audit
from transfer.journal.folder import StudyFolder
from transfer.journal.state import StudyState
from transfer.ladder import Ladder, design_line
from transfer.report import tables
from transfer.report.constraint_table import constraint_table, find_standings
from transfer.report.findings import survey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_LOOKED = "no audit was looked for"


def write_results(ladder: Ladder, state: StudyState, folder: StudyFolder) -> None:
    """Write everything that a person reads afterwards; all of it is made from the state."""
    tables.write_results_tsv(ladder, state, folder.path / "results.tsv")
    write_report(ladder, state, folder.report, audits=folder.path.parent)


def write_report(
    ladder: Ladder, state: StudyState, folder: Path, *, audits: Path | None = None
) -> None:
    """Write ``index.html``, the pictures and the tables of a study.

    The same state gives the same files. Each is renamed into place, so a reader never sees half
    of one. Works at any moment of a study.

    Parameters
    ----------
    folder
        Where to write; made if need be. Existing files of the same names are replaced.
    audits
        The folder of studies in which an audit of the ladder may lie.
    """
    from scaling.present.axes import render_svg
    from transfer.audit.audit_plot import forecasts
    from transfer.report.page.render import render_page
    from transfer.report.plots.study_plots import draw_all

    findings = survey(ladder, state)
    audit, words = stored_audit(audits, ladder) if audits is not None else (None, NOT_LOOKED)
    drawn = {**draw_all(findings), **({"audit": forecasts(audit)} if audit is not None else {})}
    save_pictures(drawn, folder)
    figures = {name: render_svg(figure, salt=name) for name, figure in drawn.items()}
    designed = design_line(ladder)
    html = render_page(findings, figures, audit=audit, audit_words=words, design_words=designed)
    replace_file(folder / "index.html", html)
    frames = {
        "trials": tables.trial_table(ladder, state),
        "effects": tables.effect_table(ladder, state),
        "changes": tables.change_table(state),
    }
    if ladder.constraints:
        frames["constraints"] = constraint_table(find_standings(ladder, state))
    for name, frame in frames.items():
        replace_file(folder / f"{name}.parquet", _parquet(frame))
        replace_file(folder / f"{name}.csv", frame.write_csv().encode())


def save_pictures(drawn: "Mapping[str, Figure]", folder: Path) -> dict[str, Path]:
    """Write figures as PNG into a folder, made if need be; return where each lies by its name."""
    from scaling.present.axes import render_png

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.png" for name in drawn}
    for name, figure in drawn.items():
        replace_file(paths[name], render_png(figure))
    return paths


def _parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()
