"""Configuration keys that several programs share, such as those of a runner."""

from dataclasses import dataclass
from typing import Literal

from miniscale.setting.decode import Count


@dataclass(frozen=True)
class RunnerKeys:
    """``conf/runner/``: where trials run."""

    name: Literal["local"] = "local"
    slots: Count | None = None
    """Trials side by side; absent: as many as cores and GPUs allow."""
    box: str = "prefer"
    """``require``, ``prefer`` or ``off``."""


@dataclass(frozen=True)
class RootKeys:
    """``study:`` of programs that run no study."""

    root: str = "studies"
    """Folder of all studies; results and trials lie in hidden folders of it."""
