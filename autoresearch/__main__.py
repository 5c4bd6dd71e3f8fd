"""``python -m autoresearch +ladder=NAME``: run a study, or resume it."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from miniscale.plain_output import use_plain_output
from miniscale.setting.compose import run_with
from miniscale.setting.decode import InputError


def study(config: dict[str, Any], folders: Sequence[Path]) -> int:
    """Run what a composed configuration asks for."""
    from autoresearch.build_study import decode_job

    job = decode_job(config, folders)
    if job.is_dry:
        from autoresearch.dry_run import show

        return show(job)
    from autoresearch.session import run_study, typed_command

    try:
        return run_study(job, config, command=typed_command())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise InputError(
            f"{error.filename or job.folder}: {error.strerror}; make room, then type the same "
            "command: what has finished is kept"
        ) from None


def show_sweep(done: Sequence[tuple[dict[str, Any], int]]) -> None:
    """Say where the studies of a sweep lie, and how each ended."""
    print(f"\nsweep    {len(done)} studies; the same command resumes them")
    for config, code in done:
        folder = Path(config["study"]["root"]) / config["study"]["name"]
        print(f"         {folder}" + (f"   ended with exit code {code}" if code else ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    use_plain_output()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["doctor"]:
        from autoresearch.doctor import main as doctor

        return doctor()
    if arguments[:1] == ["schema"]:
        from autoresearch.config_schema import write_schemas

        print("\n".join(str(path) for path in write_schemas(*map(Path, arguments[1:2]))))
        return 0
    return run_with(
        arguments,
        study,
        program="autoresearch",
        job_key="study.name",
        after_sweep=show_sweep,
    )


if __name__ == "__main__":
    sys.exit(main())
