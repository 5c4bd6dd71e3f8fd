"""``--multirun``: one command, a job for every combination of values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MULTIRUN = ("--multirun", "-m")


@dataclass(frozen=True)
class SweepJob:
    """One combination: its overrides, and a short name made of those that vary."""

    overrides: tuple[str, ...]
    label: str

    def named(self, key: str, default: str) -> list[str]:
        """Return the overrides with a name of the job's own under a key.

        >>> SweepJob(("policy=greedy",), "greedy").named("study.name", "${ladder.name}")
        ['policy=greedy', 'study.name=${ladder.name}-greedy']
        """
        values = [item.partition("=")[2] for item in self.overrides if item.startswith(f"{key}=")]
        rest = [item for item in self.overrides if not item.startswith(f"{key}=")]
        base = values[-1] if values else default
        return [*rest, f"{key}={base}-{self.label}" if self.label else f"{key}={base}"]


def sweep_jobs(overrides: Sequence[str]) -> list[SweepJob]:
    """Return a job for every combination of values that the overrides list.

    >>> [job.label for job in sweep_jobs(["policy=greedy,ttest", "study.seed=0,1"])]
    ['greedy-seed0', 'greedy-seed1', 'ttest-seed0', 'ttest-seed1']

    Raises
    ------
    HydraException
        If an override cannot be read.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    varies = [override.is_sweep_override() for override in parsed]
    (combinations,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    chosen = [
        [item for item, is_varied in zip(each, varies, strict=True) if is_varied]
        for each in combinations
    ]
    labels = ["-".join(_label(item) for item in items if _label(item)) for items in chosen]
    if len(set(labels)) < len(labels):  # two keys that end alike
        labels = [_file_name(",".join(items)) for items in chosen]
    return [SweepJob(tuple(c), label) for c, label in zip(combinations, labels, strict=True)]


def _label(override: str) -> str:
    """Name a value: an option of a group by itself, a value after the last part of its key.

    A ladder and a study's own name are in the name already.
    """
    key, _, value = override.lstrip("+~").partition("=")
    if key in ("ladder", "study.name"):
        return ""
    return _file_name(f"{key.rpartition('.')[2]}{value}" if "." in key else value)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.,=+-]+", "_", text)
