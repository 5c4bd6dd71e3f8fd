"""A draft of a setting and its ladder: sizes, knobs and command, as guessed from what was read."""

import math
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from miniscale.setting.decode import InputError
from miniscale.starter.find_program import find_program
from miniscale.starter.guess_objective import PrintedMetric, rank_metrics
from miniscale.starter.options import OptionStyle, ProgramOption
from miniscale.starter.outside_tree import (
    find_ignored_data,
    match_folders,
    paths_elsewhere,
)
from miniscale.starter.read_source import (
    local_imports,
    override_options,
    printed_lines,
    read_options,
    seed_calls,
)
from miniscale.starter.roles import Role, choose_knobs, first_with, role_of

RUNGS = ("small", "medium", "large")
GROWTH: Mapping[Role, tuple[float, ...]] = {
    Role.DEPTH: (1, 1.5, 2),
    Role.WIDTH: (1, 2, 4),
    Role.LENGTH: (1, 2, 4),
    Role.DATA: (1, 3, 10),
}
"""assumption: three rungs a factor of 3 to 10 apart in work, as the ladders that ship have."""
SMALLER: Mapping[Role, float] = {
    Role.DEPTH: 4, Role.WIDTH: 4, Role.LENGTH: 16, Role.DATA: 16
}  # fmt: skip
"""assumption: how far the lowest rung lies below a default, where no small run was shown."""
WIDTH_POWER = 2.0
_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*=.*")
_SHELL = re.compile(r"[|&;<>`]|\$\(")


@dataclass(frozen=True)
class SizeDial:
    """An option that makes the training larger, with its value on every rung."""

    option: ProgramOption
    values: tuple[int | float, ...]
    power: float
    """Work grows as this power of it."""


@dataclass(frozen=True)
class Draft:
    """All that a first setting and ladder hold."""

    name: str
    source: Path
    program: str
    command: tuple[str, ...]
    dials: tuple[SizeDial, ...]
    knobs: tuple[ProgramOption, ...]
    editable: tuple[str, ...]
    constants: Mapping[str, Mapping[str, str]]
    """File -> constant -> the placeholder that it is set to."""
    env: Mapping[str, str]
    reads: tuple[Path, ...] = ()
    """What the program reads that is not in a trial's tree."""
    is_seeded_by_us: bool = False
    """Whether nothing of it takes a seed, so that it must be given before it starts."""
    notes: tuple[str, ...] = ()
    """What has to be looked at by hand."""
    metrics: tuple[PrintedMetric, ...] = ()
    """What may be the objective, the likeliest first."""
    seconds: float = 0.0
    """What the run that was shown took; 0 if there was none."""

    @property
    def scales(self) -> tuple[float, ...]:
        """Work of each rung, in runs of the lowest."""
        return tuple(
            math.prod((dial.values[place] / dial.values[0]) ** dial.power for dial in self.dials)
            for place in range(len(RUNGS))
        )


@dataclass(frozen=True)
class _TypedRun:
    """A command as it was typed: its words, and what it sets each option to."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    values: Mapping[str, str]
    """Option -> what it is set to."""
    places: Mapping[str, tuple[int, str]]
    """Option -> the word that holds its value, and what stands before it there."""


def draft_setting(source: Path, run: str = "", *, name: str = "") -> Draft:
    """Read a repository and draft a setting and a ladder for it; nothing is run.

    Parameters
    ----------
    run
        A command that runs it at a small size, if one is known.
    name
        What to call it; the folder's name if not given.

    Raises
    ------
    InputError
        If there is no such folder, no program in it, or the command needs a shell.
    """
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; name the repository's")
    words = split_run(run)
    program = find_program(source, words)
    options = override_options(read_options(source, program), source, words)
    typed = _read_run(words or plain_command(source, program), options)
    shown = [_as_shown(option, typed.values.get(option.name)) for option in options]
    dials, knobs = choose_dials(shown, typed.values), choose_knobs(shown)
    data = match_folders(shown, find_ignored_data(source), source)
    placed = {
        **{dial.option.name: dial.option for dial in dials},
        **{option.name: option for option in knobs},
        **{o.name: o for role in (Role.SEED, Role.OUT) if (o := first_with(shown, role))},
    }
    has_seed = any(role_of(option) is Role.SEED for option in placed.values())
    seeds = {} if has_seed else seed_calls(source, program)
    elsewhere = paths_elsewhere(typed.words, typed.env, source)
    return Draft(
        name=re.sub(r"\W+", "_", name or source.name).strip("_").lower() or "mine",
        source=source,
        program=program,
        command=(*_command(typed, placed, options, source), *_data_words(shown, data, typed)),
        dials=dials,
        knobs=tuple(knobs),
        editable=(program, *local_imports(source, program)),
        constants=_constants(placed, seeds),
        env=typed.env,
        metrics=tuple(rank_metrics("\n".join(printed_lines(source, program)))),
        reads=tuple(dict.fromkeys([*data.values(), *elsewhere])),
        is_seeded_by_us=not has_seed,
        notes=tuple(_notes(shown, dials, seeds, data, has_seed=has_seed)),
    )


def plain_command(source: Path, program: str) -> tuple[str, ...]:
    """Return the words that run a program: as a module where it imports from the repository's top.

    A file in a folder finds only what lies beside it.
    """
    parent = Path(program).parent
    is_module = parent != Path() and any(
        not Path(name).is_relative_to(parent) for name in local_imports(source, program)
    )
    if is_module:
        return ("python", "-m", ".".join(Path(program).with_suffix("").parts))
    return ("python", program)


def split_run(run: str) -> tuple[str, ...]:
    """Split a command into words.

    Raises
    ------
    InputError
        If it needs a shell, or its quotes do not close.
    """
    if _SHELL.search(run):
        raise InputError(f"--run: got {run!r}, needs a shell; give one program with its options")
    try:
        return tuple(shlex.split(run))
    except ValueError as error:
        raise InputError(f"--run: got {run!r} ({error}); close the quotes") from None


def _read_run(words: Sequence[str], options: Sequence[ProgramOption]) -> _TypedRun:
    env: dict[str, str] = {}
    rest = list(words)
    while rest and _ENVIRONMENT.fullmatch(rest[0]):
        key, _, value = rest.pop(0).partition("=")
        env[key] = value
    known = {option.key: option for option in options}
    values: dict[str, str] = {}
    places: dict[str, tuple[int, str]] = {}
    for place, word in enumerate(rest):
        head, equals, value = word.partition("=")
        option = known.get(head.lstrip("-+").replace("-", "_").replace(".", "_"))
        if option is None or not (equals or head.startswith("--")):
            continue
        if equals:
            values[option.name], places[option.name] = value, (place, f"{head}=")
        elif option.style is not OptionStyle.FLAG and place + 1 < len(rest):
            values[option.name], places[option.name] = rest[place + 1], (place + 1, "")
    return _TypedRun(tuple(rest), env, values, places)


def _as_shown(option: ProgramOption, text: str | None) -> ProgramOption:
    """Return an option with the value that a run gave it for its default."""
    if text is None:
        return option
    number = _number(text)
    if number is None:
        return replace(option, default=text)
    is_float = isinstance(option.default, float)
    return replace(option, default=float(number) if is_float else number)


def _number(text: str) -> int | float | None:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        pass
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        return None


def choose_dials(
    options: Sequence[ProgramOption], shown: Mapping[str, str]
) -> tuple[SizeDial, ...]:
    """Choose what grows over the rungs: one size and one length, or one of them, or the data.

    Parameters
    ----------
    options
        With the values of the small run, if there is one, for defaults.
    shown
        Names and values that the small run set.
    """
    size = _usable(first_with(options, Role.DEPTH)) or _usable(first_with(options, Role.WIDTH))
    length = _usable(first_with(options, Role.LENGTH))
    if length is None and (size is None or not _length_follows(options)):
        length = _usable(first_with(options, Role.DATA))
    dials = []
    for option in (size, length):
        if option is not None:
            dials.append(_dial(option, options, is_shown=option.name in shown))
    if length is not None and is_time(length):  # seconds are work, whatever runs in them
        dials = [replace(dial, power=float(dial.option is length)) for dial in dials]
    return tuple(dials)


def is_time(option: ProgramOption) -> bool:
    """Whether an option is a length in seconds."""
    return bool(re.search(r"time|second", option.key.lower()))


def _usable(option: ProgramOption | None) -> ProgramOption | None:
    """Return an option that holds a size: -1 and 0 mean that it is off."""
    return option if option is not None and (option.number or 0) > 0 else None


def _length_follows(options: Sequence[ProgramOption]) -> bool:
    """Whether the program derives its length from its size."""
    return any(re.search(r"param.*ratio|tokens_per_param", option.key) for option in options)


def _dial(option: ProgramOption, options: Sequence[ProgramOption], *, is_shown: bool) -> SizeDial:
    role, first = role_of(option), float(option.number or 1)
    if not is_shown:
        first /= SMALLER[role]
    values = [first * factor for factor in GROWTH[role]]
    if not isinstance(option.default, float):
        values = [max(math.ceil(value), place + 1) for place, value in enumerate(values)]
    power = WIDTH_POWER if role is Role.WIDTH else 1.0
    if role is Role.DEPTH and any("aspect" in other.key.lower() for other in options):
        power += WIDTH_POWER  # the width follows the depth
    follows = _length_follows(options) and _usable(first_with(options, Role.LENGTH)) is None
    return SizeDial(option, tuple(values), 2 * power if follows and role is Role.DEPTH else power)


def _command(
    typed: _TypedRun,
    placed: Mapping[str, ProgramOption],
    options: Sequence[ProgramOption],
    source: Path,
) -> tuple[str, ...]:
    known = {option.name: option for option in options}
    words = [re.sub(r"([{}])", r"\1\1", word) for word in typed.words]
    words[0] = _interpreter(words[0], source)
    lengths = {name for name, option in placed.items() if role_of(option) is Role.LENGTH}
    for name, (place, before) in typed.places.items():
        twin = next((n for n in lengths if typed.values.get(n) == typed.values[name]), "")
        if name in placed:
            words[place] = f"{before}{{{_placeholder(placed[name])}}}"
        elif twin and role_of(known[name]) is Role.LENGTH:  # a schedule as long as the run
            words[place] = f"{before}{{{placed[twin].key}}}"
    for name, option in placed.items():
        if name not in typed.places:
            words += option.words(f"{{{_placeholder(option)}}}")
    return tuple(words)


def _placeholder(option: ProgramOption) -> str:
    role = role_of(option)
    return str(role) if role in (Role.SEED, Role.OUT) else option.key


def _interpreter(word: str, source: Path) -> str:
    found = shutil.which(word)
    if word.startswith("python") and (
        found is None or Path(found).resolve().samefile(sys.executable)
    ):
        return "{python}"
    return str(source / word) if "/" in word and (source / word).exists() else word


def _data_words(
    options: Sequence[ProgramOption], data: Mapping[str, Path], typed: _TypedRun
) -> list[str]:
    """Return the words that name ignored data by their whole path, where a trial finds them."""
    found: list[str] = []
    for option in options:
        if option.name in data and option.name not in typed.places:
            found += option.words(str(data[option.name]))
    return found


def _constants(
    placed: Mapping[str, ProgramOption], seeds: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for option in placed.values():
        if option.style is OptionStyle.CONSTANT:
            found.setdefault(option.file, {})[option.name] = f"{{{_placeholder(option)}}}"
    for file, calls in seeds.items():
        found.setdefault(file, {}).update({f"{name}()": "{seed}" for name in calls})
    return found


def _notes(
    options: Sequence[ProgramOption],
    dials: Sequence[SizeDial],
    seeds: Mapping[str, Mapping[str, str]],
    data: Mapping[str, Path],
    *,
    has_seed: bool,
) -> list[str]:
    notes = []
    if not has_seed:
        calls = [f"{file}: {call}" for file, each in seeds.items() for call in each.values()]
        how = (
            f"it is set in the source ({', '.join(calls)})" if calls else "we seed before it starts"
        )
        notes.append(f"seed: no option takes one; {how}")
    if not dials:
        notes.append("size: no option looks like one; add rungs' params by hand")
    if any(dial.option.style is OptionStyle.CONSTANT for dial in dials):
        notes.append("sizes are constants of the source: set in the tree of each trial")
    if any(role_of(option) is Role.OTHER and "device" in option.key for option in options):
        notes.append("device: as the run had it, or the program's default")
    for name, folder in data.items():
        notes.append(f"data: {folder} is not in git, so not in a trial's tree; read by {name}=…")
    return notes
