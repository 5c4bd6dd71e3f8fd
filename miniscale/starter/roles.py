"""What an option is for, by its name: a size, a length, a seed, a rate."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from miniscale.starter.options import OptionStyle, ProgramOption


class Role(StrEnum):
    """What an option does to a training."""

    DEPTH = "depth"
    WIDTH = "width"
    LENGTH = "length"
    """Steps, epochs, trees, seconds: how long it trains."""
    DATA = "data"
    SEED = "seed"
    OUT = "out"
    KNOB = "knob"
    """A number that may be better elsewhere."""
    OTHER = "other"


_NAMES: Mapping[Role, str] = {
    Role.SEED: r"(.*_)?(seed|random_state)(_.*)?",
    Role.OUT: r"(out|output|save|log|checkpoint|ckpt|work)_?(dir|path|folder)|output|out",
    Role.LENGTH: r"(max|num|n|total|train|training)_?(iters|iterations|steps|epochs|updates|trees|"
    r"estimators|rounds|seconds|timesteps|episodes)|iters|iterations|steps|epochs|"
    r"n_estimators|num_boost_round|time_budget(_s)?|budget_seconds|"
    r"train_seconds|lr_decay_(iters|steps)|decay_steps",
    Role.DEPTH: r"depth|layers|(n|num)_?(hidden_)?(layers?|blocks)|blocks|num_hidden_layers",
    Role.WIDTH: r"width|dim|channels|(n|d)_?(embd|embed|model|hidden)|units|hidden|num_filters|"
    r"(hidden|embed|embedding|model)_(dim|size|units|channels)|base_channels",
    Role.DATA: r"points|rows|samples|(n|num|max|train)_?(train|samples|rows|points|examples|images|"
    r"tokens|data|size|sentences)(_samples)?|data_(size|fraction)|train_size",
}
"""Role -> what its options are called, groups before the last dot left out; the first one wins."""
_KNOBS = re.compile(
    r"(.*_)?(lr|rate|learning_rate|weight_decay|decay|momentum|dropout|beta_?[12]?|betas?|eps|"
    r"warmup\w*|warmdown\w*|grad_clip|clip\w*|alpha|gamma|lambda|temperature|smoothing|"
    r"batch_size|l1|l2|reg\w*|min_child_\w+|subsample|leaves|step|step_size|frac|scale)"
)
_NO_KNOBS = re.compile(r".*(eval|log|save|sample_every|resume|wandb|print|port|rank|worker).*")
MOST_KNOBS = 6
"""assumption: as many as fit a page; the file is there to be changed."""


def role_of(option: ProgramOption) -> Role:
    """Return what an option is for, by its name.

    >>> option = ProgramOption("model.num-layers", 4, OptionStyle.EQUALS, "train.py")
    >>> role_of(option).value
    'depth'
    """
    name = option.name.rpartition(".")[2].replace("-", "_").lower()
    if option.style is OptionStyle.FLAG:
        return Role.OTHER
    for role, pattern in _NAMES.items():
        if re.fullmatch(pattern, name):
            return role
    number = option.number
    if number is None or number <= 0 or _NO_KNOBS.fullmatch(name) or not _KNOBS.fullmatch(name):
        return Role.OTHER
    return Role.KNOB


def first_with(options: Sequence[ProgramOption], role: Role) -> ProgramOption | None:
    """Return the first option with a role, one with a number before one without."""
    named = [option for option in options if role_of(option) is role]
    return next((option for option in named if option.number is not None), None) or next(
        iter(named), None
    )


def choose_knobs(options: Sequence[ProgramOption]) -> list[ProgramOption]:
    """Return the options that a change may set: rates first, then in the order of the source."""
    knobs = [option for option in options if role_of(option) is Role.KNOB]
    is_rate = re.compile(r".*(lr|rate)")
    rates = [option for option in knobs if is_rate.fullmatch(option.key.lower())]
    return [*rates, *(option for option in knobs if option not in rates)][:MOST_KNOBS]
