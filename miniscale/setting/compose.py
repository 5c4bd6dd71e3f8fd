"""Composing a configuration, with errors that are one line and name the next step."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miniscale.hardware import device
from miniscale.setting.decode import InputError, nearest
from miniscale.setting.help_page import show_help
from miniscale.setting.misspelt import check_flags, chosen, unknown_key
from miniscale.setting.sweep import MULTIRUN, sweep_jobs

INTERRUPTED = 130
"""Exit code of a program that was asked to stop, as shells have it."""
FLAGS_WITH_VALUE = ("--config-dir", "-cd")


def conf_folder() -> Path:
    """Return the shipped configuration: inside the wheel, or beside the packages in a checkout."""
    root = Path(__file__).resolve().parents[2]
    packed = root / "autoresearch" / "_conf"
    return packed if packed.is_dir() else root / "conf"


def normalise(argv: Sequence[str]) -> list[str]:
    """Accept ``ladder=x`` for ``+ladder=x``, ``knobs.x=…`` likewise: Hydra knows only one.

    Beside a ladder ``setting.x=…`` is a key of the ladder's setting.
    """
    items = [f"+{item}" if item.startswith(("ladder=", "knobs.")) else item for item in argv]
    if not any(item.startswith("+ladder=") for item in items):
        return items
    return [f"ladder.{item}" if item.startswith("setting.") else item for item in items]


def split(argv: Sequence[str]) -> tuple[list[str], list[Path], list[str]]:
    """Split arguments into overrides, the user's folders and Hydra's own flags.

    Raises
    ------
    InputError
        If a folder given by ``--config-dir`` does not exist.
    """
    overrides: list[str] = []
    folders: list[Path] = []
    flags: list[str] = []
    items = iter(argv)
    for item in items:
        name, equals, value = item.partition("=")
        if name in FLAGS_WITH_VALUE:
            folder = Path(value if equals else next(items, "")).expanduser().resolve()
            if not folder.is_dir():
                raise InputError(f"--config-dir: no folder {folder}; name an existing one")
            folders.append(folder)
        elif item.startswith("-"):
            flags.append(item)
        else:
            overrides.append(item)
    return overrides, folders, flags


def ladders(folders: Sequence[Path]) -> list[str]:
    """Return the names of all ladders, shipped ones and the user's."""
    paths = [p for f in (*folders, conf_folder()) for p in (f / "ladder").glob("*.yaml")]
    return sorted({path.stem for path in paths} - {"base"})


def read_group(group: str, folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return all files of a group as plain data by name, the user's before shipped ones.

    Raises
    ------
    InputError
        If a file is no YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    files: dict[str, dict[str, Any]] = {}
    for folder in (*folders, conf_folder()):
        for path in sorted((folder / group).glob("*.yaml")):
            try:
                plain = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
            except (YAMLError, OmegaConfBaseException) as error:
                raise InputError(f"{path}: {' '.join(str(error).split())}; mend the file") from None
            if not isinstance(plain, dict):
                raise InputError(f"{path}: holds no mapping; write 'key: value' lines")
            files.setdefault(path.stem, {str(key): value for key, value in plain.items()})
    return files


def check_ladder(overrides: Sequence[str], folders: Sequence[Path], *, program: str) -> None:
    """Check that a ladder is named and exists.

    Raises
    ------
    InputError
        With the list of ladders and the command that would work.
    """
    named = [item.partition("=")[2] for item in overrides if item.startswith("+ladder=")]
    known = ladders(folders)
    if not named:
        raise InputError(
            f"no ladder given; there are {', '.join(known)}: "
            f"type 'python -m {program} +ladder=nanochat'"
        )
    if named[0] not in known:
        raise InputError(
            f"ladder '{named[0]}' does not exist; {nearest(named[0], known)} "
            f"(there are {', '.join(known)}; yours is found with --config-dir FOLDER)"
        )


def compose(overrides: Sequence[str], folders: Sequence[Path], *, name: str) -> dict[str, Any]:
    """Compose a configuration to plain data.

    Raises
    ------
    InputError
        For whatever is wrong with the overrides or the files, in one line.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = _composed(overrides, folders, name)
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_one_line(error, overrides, folders, name)) from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _composed(overrides: Sequence[str], folders: Sequence[Path], name: str) -> Any:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("hardware", device, replace=True)
    search = ",".join(_quoted(f"file://{folder}") for folder in folders)
    extra = [f"hydra.searchpath=[{search}]"] if folders else []
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return hydra_compose(name, overrides=[*overrides, *extra])


def _quoted(text: str) -> str:
    """Write text so that Hydra's grammar takes it for text, whatever is in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _one_line(
    error: Exception, overrides: Sequence[str], folders: Sequence[Path], name: str
) -> str:
    """Turn Hydra's message into one line; a misspelt key gets the nearest known one."""
    cause = error.__cause__ if error.__cause__ is not None else error
    text = " ".join((str(error) or str(cause)).split()).replace(
        "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.", ""
    )
    wrong = str(getattr(cause, "full_key", "") or getattr(error, "full_key", "") or "")
    if "is not in struct" in str(cause) and wrong:
        known = _composed(chosen(overrides, [*folders, conf_folder()]), folders, name)
        return unknown_key(wrong, overrides, known)
    if "Missing mandatory value" in text:
        return f"{wrong}: missing; add '{wrong}=…' to the command"
    option = re.search(
        r"Could not find '(\w+)/(\S+)' Available options in '\w+': (.*?) Config", text
    )
    if option:
        group, value, known = option.groups()
        return f"{group}={value}: no such option; {nearest(value, known.split())}"
    return text.strip() or type(error).__name__


def fail(error: InputError) -> int:
    """Print an input error the one way there is, and return the exit code."""
    sys.stderr.write(f"error: {error}\n")
    return 2


def run_with(
    argv: Sequence[str],
    main: Callable[[dict[str, Any], Sequence[Path]], int],
    *,
    program: str,
    name: str = "config",
    needs_ladder: bool = True,
    job_key: str = "",
    after_sweep: Callable[[Sequence[tuple[dict[str, Any], int]]], None] | None = None,
) -> int:
    """Compose a configuration from the command line and run it; return the exit code.

    Hydra's own flags but ``--help`` (``--cfg``, ``--info`` …) are Hydra's to answer. ``--multirun``
    composes every combination of values before the first is run; one that is refused or fails ends
    no other.

    Parameters
    ----------
    argv
        What was typed after the program's name.
    main
        What to do with the configuration and the user's folders; returns an exit code.
    program
        The program's name, for messages.
    name
        The file in ``conf/`` to begin with.
    needs_ladder
        Whether a ladder must be named.
    job_key
        The key that takes the name of a job of a sweep, such as ``study.name``.
    after_sweep
        Told the configurations of a sweep, each with its exit code.
    """
    try:
        overrides, folders, flags = split(normalise(argv))
        check_flags(flags)
        if set(flags) & {"--help", "-h"}:
            sys.stdout.write(f"{show_help(name, [*folders, conf_folder()])}\n")
            return 0
        if flags and set(flags) <= set(MULTIRUN):
            commands = _sweep_commands(overrides, job_key)
            _check_ladders(commands if needs_ladder else (), folders, program)
            configs = [compose(command, folders, name=name) for command in commands]
            return _run_sweep(configs, folders, main, after_sweep)
        if flags:
            return _by_hydra(normalise(argv), main, folders, name)
        _check_ladders([overrides] if needs_ladder else (), folders, program)
        return main(compose(overrides, folders, name=name), folders)
    except InputError as error:
        return fail(error)


def _check_ladders(
    commands: Sequence[Sequence[str]], folders: Sequence[Path], program: str
) -> None:
    """Check that every command names a ladder that exists."""
    for command in commands:
        check_ladder(command, folders, program=program)


def _sweep_commands(overrides: Sequence[str], job_key: str) -> list[list[str]]:
    """Return the overrides of every job of a sweep, each with a name of its own."""
    from hydra.errors import HydraException

    try:
        jobs = sweep_jobs(overrides)
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from None
    if not job_key:
        return [list(job.overrides) for job in jobs]
    return [job.named(job_key, "${ladder.name}") for job in jobs]


def _run_sweep(
    configs: Sequence[dict[str, Any]],
    folders: Sequence[Path],
    main: Callable[[dict[str, Any], Sequence[Path]], int],
    after_sweep: Callable[[Sequence[tuple[dict[str, Any], int]]], None] | None,
) -> int:
    """Run the jobs of a sweep one after another; return the first exit code that is not 0."""
    done: list[tuple[dict[str, Any], int]] = []
    for config in configs:
        try:
            code = main(config, folders)
        except InputError as error:
            code = fail(error)
        done.append((config, code))
        if code == INTERRUPTED:
            break
    if after_sweep is not None:
        after_sweep(done)
    return next((code for _, code in done if code), 0)


def _by_hydra(
    argv: Sequence[str],
    main: Callable[[dict[str, Any], Sequence[Path]], int],
    folders: Sequence[Path],
    name: str,
) -> int:
    import hydra
    from omegaconf import DictConfig, OmegaConf

    OmegaConf.register_new_resolver("hardware", device, replace=True)

    @hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=name)
    def entry(config: DictConfig) -> int:
        plain: Any = OmegaConf.to_container(config, resolve=True)
        try:
            return main(plain, folders)
        except InputError as error:
            return fail(error)

    sys.argv = [sys.argv[0], *argv]
    code = entry()
    return int(code or 0)
