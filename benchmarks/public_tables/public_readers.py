"""Readers for public tables of effects over scale, each into the one frozen form.

Every reader takes the folder that its source's files lie in. Tables keep tokens per parameter the
same on all rungs where the source allows it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from miniscale.setting.setting import Kind
from public_tables.public_table import Source, Table, csv_files, read_plain, read_source

MARIN_NOISE = 0.0012
"""Nats; the source's proxy for a run's noise: what a change of epsilon does."""
MARIN_SIZES = ("130m", "300m", "520m", "1.2b")
DIVERGED = 5.0
"""Nats; a step-law run that ends above it diverged."""
STEPLAW_BASES = ((-2, 128), (0, 256), (2, 128), (4, 512))
"""(half-octaves of learning rate from .000977, batch) that edits start from: near the optimum of
the smallest cell, near that of the largest, and off it to both sides."""
STEPLAW_MOE_BASES = ((-1, 64), (1, 128))
GADRE_SETS = {
    "c4": "loss:c4_val/shard-{0000000..0000010}.tar",
    "refinedweb": "loss:paloma_falcon-refinedweb/00000001.tar",
}
MISFITTING_TOKENS = (10, 20, 40)
Key = tuple[str, float, int]


def read(path: Path) -> pl.DataFrame:
    """Read a csv whose columns may hold anything."""
    return pl.read_csv(path, infer_schema_length=None)


def _table(
    name: str,
    source: Source,
    baseline: str,
    loss: Mapping[Key, float],
    kind: Kind,
    *,
    noise: float | None = None,
    edits: Mapping[str, tuple[str, float]] | None = None,
) -> Table | None:
    """Return a table of one kind; None without the baseline on two scales and an arm there."""
    usable = {key: value for key, value in loss.items() if math.isfinite(value)}
    scales = {scale for arm, scale, _ in usable if arm == baseline}
    kept = {key: value for key, value in usable.items() if key[1] in scales}
    kinds = {arm: kind for arm, _, _ in kept if arm != baseline}
    if len(scales) < 2 or not kinds:
        return None
    failed = len(loss) - len(usable)
    return Table(
        name, source.name, source.licence, baseline, kept, kinds, noise, failed, edits or {}
    )


def _only(tables: Sequence[Table | None]) -> list[Table]:
    return [table for table in tables if table is not None]


def marin_runs(folder: Path) -> pl.DataFrame:
    """Return the best loss of each (optimizer, size, multiple of Chinchilla tokens)."""
    frame = read(folder / "results_ablations.csv")
    cells = ["optimizer", "size", "params", "chinchilla"]
    return frame.group_by(cells).agg(loss=pl.col("min_loss").min()).sort(cells)


def read_marin(folder: Path) -> list[Table]:
    """Tuned optimizers against AdamW over model size, one table a token multiple."""
    source = read_source(folder)
    found = []
    for (multiple,), rows in (
        marin_runs(folder).sort("chinchilla").group_by("chinchilla", maintain_order=True)
    ):
        loss = {
            (row["optimizer"], 6.0 * 20 * multiple * row["params"] ** 2, 0): row["loss"]
            for row in rows.iter_rows(named=True)
        }
        name = f"marin optimizers {multiple}x"
        found.append(_table(name, source, "adamw", loss, Kind.STRUCTURAL, noise=MARIN_NOISE))
    return _only(found) + read_marin_ablations(folder)


def read_marin_ablations(folder: Path) -> list[Table]:
    """One knob off its tuned value, against the same cell's tuned run; worse by construction."""
    source = read_source(folder)
    frame = read(folder / "results_ablations.csv").with_columns(
        scale=120.0 * pl.col("chinchilla") * pl.col("params").cast(pl.Float64) ** 2,
        loss=pl.when(pl.col("diverged")).then(None).otherwise(pl.col("loss")),
    )
    found = []
    for (optimizer, multiple), rows in frame.sort("optimizer", "chinchilla").group_by(
        "optimizer", "chinchilla", maintain_order=True
    ):
        loss = {
            (row["ablation"], row["scale"], 0): math.nan if row["loss"] is None else row["loss"]
            for row in rows.iter_rows(named=True)
        }
        name = f"marin ablations {optimizer} {multiple}x"
        found.append(_table(name, source, "Baseline", loss, Kind.HYPERPARAMETER, noise=MARIN_NOISE))
    return _only(found)


def steplaw_runs(folder: Path) -> pl.DataFrame:
    """Return the dense grid: N, D, step (half-octaves of learning rate from .000977), bs, loss."""
    return _grid(read(folder / "dense_lr_bs_loss.csv"), "N")


def steplaw_moe_runs(folder: Path) -> pl.DataFrame:
    """Return the grid of mixtures of experts, N the parameters active."""
    return _grid(read(folder / "moe_lr_bs_loss.csv"), "Na")


def _grid(frame: pl.DataFrame, size: str) -> pl.DataFrame:
    step = (2 * (pl.col("lr") / 0.0009766).log(2)).round().cast(pl.Int64)
    return frame.select(
        N=pl.col(size).cast(pl.Float64),
        D=pl.col("D").cast(pl.Float64),
        step=step,
        bs=pl.col("bs"),
        loss=pl.when(pl.col("loss") > DIVERGED)
        .then(math.nan)
        .otherwise(pl.col("smooth loss").cast(pl.Float64)),
    )


def read_steplaw(folder: Path) -> list[Table]:
    """Edits of learning rate or batch as fixed values, from several baselines.

    Dense: over model size at three ratios of tokens to parameters. Mixtures of experts: over
    tokens, for one model at a time.
    """
    source = read_source(folder)
    dense = steplaw_runs(folder).with_columns(ratio=pl.col("D") / pl.col("N"))
    found = []
    for centre in (18.6, 53.0, 93.2):
        cells = dense.filter((pl.col("ratio") / centre).log().abs() < 0.05)
        found += _edits(f"steplaw {centre:.0f} tokens", source, cells, STEPLAW_BASES)
    if (folder / "moe_lr_bs_loss.csv").is_file():
        experts = steplaw_moe_runs(folder)
        for (size,), cells in experts.sort("N").group_by("N", maintain_order=True):
            name = f"steplaw moe {float(str(size)) / 1e9:.2f}B"
            found += _edits(name, source, cells, STEPLAW_MOE_BASES)
    return _only(found)


def _edits(
    name: str, source: Source, cells: pl.DataFrame, bases: Sequence[tuple[int, int]]
) -> list[Table | None]:
    """Return one table a baseline: its edits of one knob by up to a factor of four."""
    rows = list(cells.iter_rows(named=True))
    found = []
    for step, batch in bases:
        loss, edits = {}, {}
        for row in rows:
            steps, octaves = abs(row["step"] - step), abs(math.log2(row["bs"] / batch))
            if (steps <= 4 and octaves == 0) or (steps == 0 and octaves <= 2):
                arm = f"lr{row['step']:+d} bs{row['bs']}"
                loss[arm, 6 * row["N"] * row["D"], 0] = row["loss"]
                ratio = 2 ** ((row["step"] - step) / 2) if steps else row["bs"] / batch
                edits[arm] = ("lr" if steps else "batch", math.log(ratio))
        base = f"lr{step:+d} bs{batch}"
        title = f"{name} from {base}"
        found.append(_table(title, source, base, loss, Kind.HYPERPARAMETER, edits=edits))
    return found


def read_gadre(folder: Path) -> list[Table]:
    """Training data instead of C4, over model size: one table a validation set and multiple."""
    source = read_source(folder)
    frame = read(folder / "models_104.csv")
    found = []
    for short, column in GADRE_SETS.items():
        for (multiple,), rows in frame.sort("chinchilla_multiplier").group_by(
            "chinchilla_multiplier", maintain_order=True
        ):
            loss = {
                (row["dataset"], 6.0 * row["params"] * row["tokens"], 0): row[column]
                for row in rows.iter_rows(named=True)
            }
            name = f"gadre {short} {multiple:g}x"
            found.append(_table(name, source, "c4_original", loss, Kind.STRUCTURAL))
    return _only(found)


def read_nanochat(folder: Path) -> list[Table]:
    """Per-layer scalars with a tuned learning rate, d8 to d20; bits per byte.

    Compute is that of the transformer's matrices at a fixed ratio of tokens: with width 64 d it
    grows as (d 64^2 d^2)^2.
    """
    source = read_source(folder)
    rows = read(folder / "log_tables.csv").filter(pl.col("table") == "scalar_lr")
    loss = {
        (
            "disabled" if row["variant"] == "disabled" else "scalars",
            6.0 * 20 * (12 * int(row["scale"][1:]) ** 3 * 64**2) ** 2,
            0,
        ): row["val_bpb"]
        for row in rows.iter_rows(named=True)
    }
    return _only([_table("nanochat scalars", source, "disabled", loss, Kind.STRUCTURAL)])


def read_misfitting(folder: Path) -> list[Table]:
    """Fixed learning rates against .002 over model size, at about the same tokens a parameter."""
    source = read_source(folder)
    frame = read(folder / "scaling_results_last_ckpt_only.csv").with_columns(
        ratio=pl.col("D") / pl.col("N_no_emb")
    )
    found = []
    for wanted in MISFITTING_TOKENS:
        near = (pl.col("ratio") / wanted).log().abs()
        cells = frame.filter(near < math.log(1.4)).with_columns(off=near)
        best = cells.group_by("N_no_emb").agg(off=pl.col("off").min())
        loss: dict[Key, float] = {}
        edits = {}
        for row in cells.join(best, on=["N_no_emb", "off"]).iter_rows(named=True):
            key = (f"lr {row['peak_lr']:g}", 6.0 * row["N_no_emb"] * row["D"])
            seed = sum((*key, s) in loss for s in range(8))
            loss[*key, seed] = row["loss"]
            edits[key[0]] = ("lr", math.log(row["peak_lr"] / 0.002))
        name = f"misfitting {wanted} tokens"
        found.append(_table(name, source, "lr 0.002", loss, Kind.HYPERPARAMETER, edits=edits))
    return _only(found)


def read_supercollapse(folder: Path) -> list[Table]:
    """Learning-rate schedules against a linear decay, over width and over horizon."""
    source = read_source(folder)
    found = []
    for task, width, horizon in (("c5m", 1024, 1e10), ("mlp", 1024, 1e9)):
        frame = read(folder / f"{task}_schedules_final.csv")
        noise = seed_noise(read(folder / f"{task}_final.csv"), ["D"], "final_test_loss")
        ways = {"widths": pl.col("T") == horizon, "horizons": pl.col("D") == width}
        for way, of_way in ways.items():
            loss = {
                (f"{row['schedule']} {row['decay_frac']:g}", row["final_compute"], 0): row[
                    "final_test_loss"
                ]
                for row in frame.filter(of_way).iter_rows(named=True)
            }
            name = f"supercollapse {task} {way}"
            found.append(
                _table(name, source, "linear 1", loss, Kind.HYPERPARAMETER, noise=noise[0])
            )
    return _only(found)


def seed_noise(frame: pl.DataFrame, group: Sequence[str], loss: str) -> tuple[float, int, int]:
    """Pool the spread of replicates: sd, degrees of freedom, number of groups with two or more."""
    spread = frame.group_by(group).agg(
        df=pl.len() - 1, squares=((pl.col(loss) - pl.col(loss).mean()) ** 2).sum()
    )
    spread = spread.filter(pl.col("df") > 0)
    df = int(spread["df"].sum())
    return math.sqrt(float(spread["squares"].sum()) / max(df, 1)), df, len(spread)


READERS: Mapping[str, Callable[[Path], list[Table]]] = {
    "gadre": read_gadre,
    "marin_optimizers": read_marin,
    "misfitting": read_misfitting,
    "nanochat": read_nanochat,
    "steplaw": read_steplaw,
    "supercollapse": read_supercollapse,
}
"""By the name of the folder that holds the source's files."""


def read_tables(folder: Path) -> list[Table]:
    """Read every table below a folder: the public sources by name, and plain csv files.

    Raises
    ------
    ValueError
        If there is no folder there, or a plain table breaks the rules of its format.
    """
    if not folder.is_dir():
        raise ValueError(f"tables: no folder {folder}; give one that holds tables")
    found: list[Table] = []
    for name, reader in READERS.items():
        if (folder / name).is_dir():
            found += reader(folder / name)
    for path in csv_files(folder):
        if path.parent.name not in READERS:
            found += read_plain(path)
    return found
