"""Scaling laws for any table of runs: fit, forecast, compare arms, isoflop, design.

Examples
--------
    python -m scaling fit tests/data/chinchilla/svg_extracted_data.csv --drop-top 5
    python -m scaling forecast tests/data/chinchilla/svg_extracted_data.csv --below 1e21
    python -m scaling forecast runs.csv --only muon --at 7e10,1.4e12 --out forecast
    python -m scaling compare runs.csv --baseline adamw --change muon --at 1e9,2e10
    python -m scaling isoflop tests/data/chinchilla/svg_extracted_data.csv --drop-top 5
    python -m scaling design runs.csv --only muon --law power --gain 1.05

A table is csv, tsv, parquet, json, jsonl or a folder of wandb runs, one row a run or checkpoint.
Columns are recognised by name, or named: --loss val_bpb --parameters params_no_embed.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from scaling.report.report import Report

COMMANDS = ("fit", "forecast", "compare", "isoflop", "design")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    head, _, tail = (__doc__ or "").partition("Examples\n--------\n")
    top = argparse.ArgumentParser(
        "python -m scaling", description=head, epilog="examples:\n" + tail, formatter_class=plain
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="fit one law, with intervals and a status")
    forecast = commands.add_parser("forecast", help="forecast larger runs, or check forecasts")
    compare = commands.add_parser("compare", help="compute multiplier between two arms")
    isoflop = commands.add_parser("isoflop", help="compute-optimal parameters and tokens")
    design = commands.add_parser("design", help="rungs and seeds that resolve a gain")
    for command in (fit, forecast, compare, isoflop, design):
        _table_options(command)
        _fit_options(command)
        _output_options(command)
    forecast.add_argument("--at", action="append", default=[], metavar="N,D", help="or one scale")
    forecast.add_argument("--below", type=float, help="fit below this compute, check above it")
    compare.add_argument("--baseline", required=True, help="arm that the law is fitted to")
    compare.add_argument("--change", required=True, help="arm that is measured")
    compare.add_argument("--at", action="append", default=[], metavar="N,D", help="target")
    isoflop.add_argument("--budget", action="append", default=[], type=float, metavar="FLOPS")
    design.add_argument("--gain", type=float, default=1.05, help="compute multiplier to resolve")
    design.add_argument("--target", type=float, help="compute of the target; 10x the largest run")
    design.add_argument("--noise", type=float, help="sd of a run in log loss; from the table")
    design.add_argument("--rho", type=float, default=0.5, help="correlation of shared seeds")
    return top


def _table_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("table")
    group.add_argument("table", help="csv, tsv, parquet, json, jsonl or a folder of wandb runs")
    roles = ("loss", "parameters", "tokens", "flops", "seconds", "run", "seed", "arm")
    for role in roles:
        group.add_argument(f"--{role}", metavar="COLUMN")
    group.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                       help="one scale for all rows, e.g. flops=1e18")  # fmt: skip
    group.add_argument("--only", action="append", default=[], metavar="ARM",
                       help="keep one arm of the table, or one recipe: COLUMN=VALUE")  # fmt: skip
    group.add_argument("--last", action="store_true", help="keep the last row of each run")
    group.add_argument("--perplexity", action="store_true", help="the loss column is perplexity")
    group.add_argument("--state", help="keep the checkpoints of this state")
    group.add_argument("--drop-top", type=int, default=0, metavar="K",
                       help="leave out the K highest losses")  # fmt: skip
    group.add_argument("--allow", action="append", default=[], metavar="CODE",
                       help="turn a refusal into a warning")  # fmt: skip


def _fit_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("fit")
    group.add_argument("--law", help="a law's name, or module:OBJECT; by what the table has")
    group.add_argument("--x", choices=("flops", "seconds", "tokens", "parameters"),
                       help="scale of a law of one variable")  # fmt: skip
    group.add_argument("--objective", choices=("huber", "squared", "l1"), default="huber")
    group.add_argument("--delta", type=float, default=1e-3, help="Huber's width in log loss")
    group.add_argument("--resamples", type=int, default=1000)
    group.add_argument("--resample-seed", type=int, default=0)
    group.add_argument("--confidence", type=float)


def _output_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("output")
    group.add_argument("--out", type=Path, metavar="STEM", help="write STEM.html and STEM.png")
    group.add_argument("--wandb", action="store_true", help="log it; offline without a key")
    group.add_argument("--wandb-project", default="scale-transfer")
    group.add_argument("--wandb-group", default="scaling")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status, 2 where the table or an option is refused."""
    from rich.console import Console

    options = parser().parse_args(argv)
    options.name = Path(options.table).stem
    defaults = {"compare": 0.8, "design": 0.9}
    options.confidence = options.confidence or defaults.get(options.command, 0.95)
    from scaling import commands

    try:
        report = commands.COMMANDS[options.command](options)
    except ValueError as error:
        Console(stderr=True, highlight=False).print(f"refused: {error}", style="red", markup=False)
        return 2
    _show(report, Console(highlight=False))
    _keep(report, options, Console(highlight=False))
    return 0


def _show(report: "Report", console: "Console") -> None:
    """Print a report as rich tables."""
    from rich import box
    from rich.table import Table

    for line in report.lines:
        console.print(line, markup=False)
    for line in report.warnings:
        console.print(f"warning  {line}", style="yellow", markup=False)
    for sheet in report.sheets:
        table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def _keep(report: "Report", options: argparse.Namespace, console: "Console") -> None:
    """Write the page, the picture and the tracker's run that were asked for."""
    from scaling.present.axes import render_png
    from scaling.report.report import render_report

    if options.out:
        stem = options.out
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".html").write_text(render_report(report))
        stem.with_suffix(".png").write_bytes(render_png(report.figure))
        console.print(f"wrote {stem.with_suffix('.html')} and {stem.with_suffix('.png')}")
    if options.wandb:
        from scaling.report.wandb_log import log_report

        where = log_report(report, project=options.wandb_project, group=options.wandb_group)
        console.print(f"wandb {where}")


if __name__ == "__main__":
    sys.exit(main())
