"""Which column plays which part, guessed from the names that people use."""

import re
from enum import StrEnum


class ColumnRole(StrEnum):
    """The part that a column plays in a table of runs."""

    LOSS = "loss"
    PARAMETERS = "parameters"
    TOKENS = "tokens"
    FLOPS = "flops"
    SECONDS = "seconds"
    RUN = "run"
    SEED = "seed"
    ARM = "arm"
    STATE = "state"


SCALES = (ColumnRole.PARAMETERS, ColumnRole.TOKENS, ColumnRole.FLOPS, ColumnRole.SECONDS)
NUMBERS = (ColumnRole.LOSS, *SCALES)

# assumption: the order is the order of trust; the first name present plays the part.
_NAMES: dict[ColumnRole, tuple[str, ...]] = {
    ColumnRole.LOSS: (
        "loss",
        "val_bpb",
        "val_loss",
        "final_val_loss",
        "final_loss",
        "val_val_loss",
        "val_bpb_min",
        "validation_loss",
        "eval_loss",
        "test_loss",
        "final_test_loss",
        "smooth_loss",
        "bpb",
        "objective",
    ),
    ColumnRole.PARAMETERS: (
        "parameters",
        "params",
        "n",
        "num_params",
        "n_params",
        "params_scaling",
        "num_scaling_params",
        "params_total",
        "model_size",
        "params_active_precise",
        "params_no_embed",
        "n_no_emb",
        "non_embedding_parameters",
    ),
    ColumnRole.TOKENS: (
        "tokens",
        "d",
        "tokens_trained",
        "train_tokens",
        "num_tokens",
        "n_tokens",
        "total_tokens",
        "final_tokens",
    ),
    ColumnRole.FLOPS: (
        "flops",
        "flops_budget",
        "compute",
        "c",
        "training_flop",
        "training_flops",
        "total_training_flops",
        "actual_flops",
        "final_compute",
    ),
    ColumnRole.SECONDS: (
        "seconds",
        "train_time_sec",
        "train_time_s",
        "total_training_time",
        "training_seconds",
        "wall_s",
        "runtime",
    ),
    ColumnRole.RUN: ("run", "run_id", "run_name", "name", "id", "commit", "trial", "exp_name"),
    ColumnRole.SEED: ("seed", "torch_seed", "config_seed"),
    ColumnRole.ARM: ("arm", "variant", "change", "recipe", "dataset", "optimizer", "description"),
    ColumnRole.STATE: ("checkpoint_state", "decayed", "is_decayed", "cooldown", "annealed"),
}
RECIPES = (
    *_NAMES[ColumnRole.ARM],
    "data",
    "corpus",
    "mixture",
    "tokenizer",
    "schedule",
    "architecture",
    "arch",
    "model_type",
    "family",
    "method",
    "ablation",
)
"""Columns that say how a run was made: runs of several recipes lie on several laws."""
TUNED = ("lr", "learning_rate", "peak_lr", "max_lr", "bs", "batch_size", "wd", "weight_decay")
"""Columns that may follow the scale; several values at one scale are a sweep."""
STEPS = (
    "step",
    "iter",
    "iteration",
    "epoch",
    "global_step",
    "trainer_global_step",
    "train_step",
    "current_step",
    "current_steps",
)
"""Columns that count through one run, where they change within it."""
_PERPLEXITY = re.compile(r"(^|_)(ppl|perplexity)(_|$)")
_WITHOUT = ("no_emb", "non_emb", "noemb", "scaling_params", "params_scaling")


def plain(name: str) -> str:
    """Return a column's name as the tables of this module spell it.

    >>> plain("Model Size"), plain("val/bpb")
    ('model_size', 'val_bpb')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def guess_roles(columns: list[str]) -> dict[ColumnRole, str]:
    """Return the column of every part that can be recognised.

    >>> guess_roles(["N", "D", "val loss", "lr"])[ColumnRole.TOKENS]
    'D'
    """
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain(column), column)
    roles = {}
    for role, names in _NAMES.items():
        known = [by_name[name] for name in names if name in by_name]
        if known:
            roles[role] = known[0]
    perplexities = [column for column in columns if is_perplexity(column)]
    if ColumnRole.LOSS not in roles and len(perplexities) == 1:
        roles[ColumnRole.LOSS] = perplexities[0]
    return roles


def is_perplexity(column: str) -> bool:
    """Whether a column's name says that it holds perplexities, ``exp`` of a loss in nats.

    >>> is_perplexity("Wiki Eval PPL"), is_perplexity("val_loss")
    (True, False)
    """
    return _PERPLEXITY.search(plain(column)) is not None


def named(columns: list[str], names: tuple[str, ...]) -> list[str]:
    """Return the columns whose plain names are among some."""
    return [column for column in columns if plain(column) in names]


def rivals(role: ColumnRole, columns: list[str], chosen: str) -> list[str]:
    """Return the other columns that could have played a part."""
    return [c for c in columns if c != chosen and plain(c) in _NAMES[role]]


def counts_embeddings(column: str) -> bool | None:
    """Whether a column of parameters counts embeddings; None where its name does not say.

    >>> counts_embeddings("params_no_embed"), counts_embeddings("params_total")
    (False, True)
    """
    name = plain(column)
    if any(part in name for part in _WITHOUT):
        return False
    return True if "total" in name or "with_emb" in name else None
