"""What this machine can do: one line for each thing a study needs."""

import os
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

from miniscale.box import strongest
from miniscale.hardware import has_cuda


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def python_line() -> tuple[bool, str]:
    """Check the interpreter."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return sys.version_info >= (3, 11), f"python   {version} (needs 3.11 or newer)"


def torch_line() -> tuple[bool, str]:
    """Check the torch build and the device."""
    version = _version("torch")
    device = "one or more CUDA devices" if has_cuda() else "no CUDA device, CPU ladder"
    return bool(version), f"torch    {version or 'not installed: pip install torch'}; {device}"


def git_line() -> tuple[bool, str]:
    """Check git."""
    git = shutil.which("git")
    if git is None:
        return False, "git      not found; install it: accepted changes become commits"
    version = subprocess.run([git, "--version"], capture_output=True, text=True).stdout.strip()
    return True, f"git      {version.removeprefix('git version ')}"


def wandb_line() -> tuple[bool, str]:
    """Say how wandb would run, without asking the network."""
    if not _version("wandb"):
        return True, "wandb    not installed; studies run without"
    from autoresearch.tracking.tracker import has_key

    mode = "online (a key is present)" if has_key() else "offline (no key): complete, sync later"
    return True, f"wandb    {_version('wandb')}, {mode}"


def disk_line() -> tuple[bool, str]:
    """Check the room for studies."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return free > 1, f"disk     {free:.0f} GiB free here (a study takes some 50 MB)"


def cores_line() -> tuple[bool, str]:
    """Say how many trials run side by side."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return True, f"cores    {cores} usable: as many one-thread trials side by side"


def box_line() -> tuple[bool, str]:
    """Say what keeps trainers from the rest of this machine, having tried to break out of it."""
    return True, f"box      {strongest().line}"


def agents_line() -> tuple[bool, str]:
    """Say which proposers can work here."""
    optuna = "search, " if util.find_spec("optuna") else "(search needs optuna), "
    key = "a key is set" if os.environ.get("OPENAI_API_KEY", "").strip() else "no OPENAI_API_KEY"
    installed = [name for name in ("claude", "codex", "aider") if shutil.which(name)]
    agents = ", ".join(installed) or "none of claude, codex, aider on the path"
    return True, (
        f"agents   {optuna}patches, scripted: no key needed; openai: {key}, or base_url; "
        f"command: {agents}"
    )


def main() -> int:
    """Print one line a check; exit code 1 if a study cannot run here."""
    checks = [
        python_line(),
        torch_line(),
        git_line(),
        wandb_line(),
        disk_line(),
        cores_line(),
        box_line(),
        agents_line(),
    ]
    for is_good, line in checks:
        sys.stdout.write(f"{'ok ' if is_good else 'NO '} {line}\n")
    return 0 if all(is_good for is_good, _ in checks) else 1
