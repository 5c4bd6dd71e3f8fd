"""Checks of what is written: command, files, placeholders, caps. They run nothing of a trial."""

import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path

from miniscale.preflight.check import PreflightCheck, Standing
from miniscale.setting.command import THEN, Seeding
from miniscale.setting.rung import Folders, Rung, Tree, trial_spec
from miniscale.setting.setting import Setting

_PLACEHOLDER = re.compile(r"(?<!\{)\{([A-Za-z_][\w-]*)\}(?!\})")
_PROGRAM = re.compile(r"[^-=:]+\.(py|sh|bash|R|jl|lua|js|pl|rb|ya?ml|toml)$")
_NO_TEMPLATES = ("name", "about", "source", "knobs", "design", "objective", "editable", "locked",
                 "params", "rules")  # fmt: skip
_LONGEST_LIST = 6
"""Names that are listed; the rest are counted."""
_KNOBS_FILE = "knobs.json"
"""Where a tree holds its knob values; a program may read them there."""


def check_written(setting: Setting, rungs: Sequence[Rung]) -> list[PreflightCheck]:
    """Look at a setting and the rungs of its ladder, low to high."""
    return [
        _check_command(setting, rungs[0]),
        _check_params(setting, rungs),
        _check_knobs(setting, rungs),
        _check_seed(setting, rungs),
        _check_caps(rungs),
    ]


def names_used(setting: Setting, rungs: Sequence[Rung]) -> frozenset[str]:
    """Return every placeholder that stands anywhere in a setting's or its rungs' templates."""
    parts = [getattr(setting, field.name) for field in fields(setting) if _holds_templates(field)]
    parts += [getattr(rung, field.name) for rung in rungs for field in fields(rung)
              if _holds_templates(field)]  # fmt: skip
    return frozenset(name for text in _texts(parts) for name in _PLACEHOLDER.findall(text))


def _holds_templates(field: Field[object]) -> bool:
    return field.name not in _NO_TEMPLATES


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            yield from _texts(list(value.items()))
        case list() | tuple():
            for one in value:
                yield from _texts(one)


def compose_command(setting: Setting, rung: Rung) -> tuple[str, ...]:
    """Return the argv that trains the baseline on a rung, folders of the trial left open.

    Raises
    ------
    ValueError
        If a placeholder has no value.
    """
    tree = Tree(setting.source, "", setting.defaults())
    folders = Folders(Path("OUT"), Path("CACHE"))
    spec = trial_spec(setting, rung, arm="b0", seed=0, tree=tree, data={}, folders=folders)
    row = [place for place, word in enumerate(spec.trainer) if word.endswith("/in_a_row.py")]
    argv = spec.trainer[row[0] + 1 :] if row else spec.trainer
    return tuple(word.replace(spec.out, "OUT") for word in argv)


def _check_command(setting: Setting, rung: Rung) -> PreflightCheck:
    try:
        argv = compose_command(setting, rung)
    except ValueError as error:
        return PreflightCheck("command", Standing.BAD, str(error), "setting.command")
    missing = missing_files(argv, setting.source)
    shown = shlex.join("python" if word == sys.executable else word for word in argv)
    if missing:
        found = f"{', '.join(missing)}: not there, seen from {setting.source}; typed: {shown}"
        return PreflightCheck("command", Standing.BAD, found, "setting.command or setting.source")
    return PreflightCheck("command", Standing.GOOD, shown)


def missing_files(argv: Sequence[str], source: Path) -> list[str]:
    """Return the programs and files of a command that are not there, seen from its folder."""
    if THEN in argv:
        end = argv.index(THEN)
        return [*missing_files(argv[:end], source), *missing_files(argv[end + 1 :], source)]
    program, *words = argv
    missing = [] if _is_program(program, source) else [program]
    is_ours = program == sys.executable or Path(program).name.startswith("python")
    if is_ours and words[:1] == ["-m"] and len(words) > 1:
        return missing + ([] if _is_module(words[1], source) else [f"module {words[1]}"])
    named = [word for word in words if _PROGRAM.fullmatch(word)]
    return missing + [word for word in named if not (source / word).exists()]


def _is_program(name: str, source: Path) -> bool:
    if os.sep in name:
        return (source / name).exists()  # an absolute name stays as it is
    return shutil.which(name) is not None


def _is_module(name: str, source: Path) -> bool:
    path = source.joinpath(*name.split("."))
    if path.with_suffix(".py").exists() or path.is_dir():
        return True
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except ValueError:
        return False


def _check_params(setting: Setting, rungs: Sequence[Rung]) -> PreflightCheck:
    used = names_used(setting, rungs)
    names = dict.fromkeys(name for rung in rungs for name in rung.params)
    unused = [name for name in names if name not in used and not _fills_knobs(name, setting, used)]
    if unused:
        found = f"{_listed(unused)}: set by the rungs, but nothing uses it"
        remedy = f'setting.command: add "--{unused[0]}={{{unused[0]}}}", or drop it from the rungs'
        return PreflightCheck("params", Standing.BAD, found, remedy)
    twins = [
        f"{low.name} and {high.name}"
        for place, low in enumerate(rungs)
        for high in rungs[place + 1 :]
        if _what_is_run(low) == _what_is_run(high)
    ]
    if twins:
        found = f"{_listed(twins)} run the same command: the size is not heard"
        remedy = f"ladder.rungs.{rungs[-1].name}.params: {{SIZE: …}}, used in setting.command"
        return PreflightCheck("params", Standing.BAD, found, remedy)
    return PreflightCheck(
        "params", Standing.GOOD, f"{_listed(list(names)) or 'none'}: all are used"
    )


def _fills_knobs(name: str, setting: Setting, used: frozenset[str]) -> bool:
    """Whether a rung's param is the value of a knob that the command lists with the others."""
    return name in setting.knobs and _are_all_placed(setting, used)


def _what_is_run(rung: Rung) -> dict[str, object]:
    ours = {"name", "scale", "cost", "seconds", "noise", "seeds", "max_seeds", "baseline_seeds",
            "timeout_s", "memory_gb", "disk_gb", "processes"}  # fmt: skip
    return {
        field.name: getattr(rung, field.name) for field in fields(rung) if field.name not in ours
    }


def _are_all_placed(setting: Setting, used: frozenset[str]) -> bool:
    """Whether all knobs reach the program at once: as options, or in a file that it opens."""
    return "knobs" in used or any(_KNOBS_FILE in text for text in _program_texts(setting))


def _program_texts(setting: Setting) -> Iterator[str]:
    for pattern in setting.editable:
        for path in sorted(setting.source.glob(pattern))[:100]:
            if path.is_file() and path.stat().st_size < 1e6:
                yield path.read_text(errors="replace")


def _check_knobs(setting: Setting, rungs: Sequence[Rung]) -> PreflightCheck:
    used = names_used(setting, rungs)
    unused = [name for name in setting.knobs if name not in used]
    if unused and not _are_all_placed(setting, used):
        found = f"{_listed(unused)}: nothing uses it, so every value of it measures the same"
        return PreflightCheck(
            "knobs", Standing.BAD, found, 'setting.command: add "{knobs}", or drop it'
        )
    fixed = [name for name in setting.knobs if any(name in rung.params for rung in rungs)]
    if fixed:
        found = f"{_listed(fixed)}: set by the rungs too, which win over a change"
        return PreflightCheck(
            "knobs", Standing.DOUBTFUL, found, f"setting.knobs: drop {_listed(fixed)}"
        )
    if not setting.knobs and not setting.editable:
        found = "none, and no file is editable: there is nothing to change"
        return PreflightCheck("knobs", Standing.BAD, found, "setting.editable: [train.py]")
    return PreflightCheck("knobs", Standing.GOOD, f"{len(setting.knobs)}, all used")


def _check_seed(setting: Setting, rungs: Sequence[Rung]) -> PreflightCheck:
    if "seed" in names_used(setting, rungs) or setting.seeding is Seeding.AUTO:
        return PreflightCheck("seed", Standing.GOOD, "is passed on")
    if setting.deterministic:
        return PreflightCheck(
            "seed", Standing.GOOD, "none: the setting says that it is deterministic"
        )
    return PreflightCheck(
        "seed",
        Standing.BAD,
        "nothing uses {seed}: all runs of an arm may be copies, or differ as nobody can repeat",
        'setting.command: add "--seed={seed}"',
    )


def _check_caps(rungs: Sequence[Rung]) -> PreflightCheck:
    wants: Mapping[str, tuple[Callable[[Rung], float], float, str]] = {
        "threads": (lambda rung: rung.threads, os.cpu_count() or 1, "cores"),
        "memory_gb": (lambda rung: rung.memory_gb, _memory_gb(), "GB of memory"),
    }
    for name, (wanted, there, what) in wants.items():
        most = max(rungs, key=wanted)
        if there and wanted(most) > there:
            found = (
                f"{most.name} may use {name}={wanted(most):g}, this machine has {there:.3g} {what}"
            )
            remedy = f"ladder.rungs.{most.name}.{name}: {there:.3g}"
            return PreflightCheck("caps", Standing.DOUBTFUL, found, remedy)
    top = rungs[-1]
    memory, disk = f"{top.memory_gb:g} GB of memory", f"{top.disk_gb:g} GB of disk"
    return PreflightCheck(
        "caps", Standing.GOOD, f"{top.name}: {top.timeout_s:g} s, {memory}, {disk}"
    )


def _memory_gb() -> float:
    """Return this machine's memory, 0 where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return 0.0


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LONGEST_LIST
    return ", ".join(names[:_LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")
