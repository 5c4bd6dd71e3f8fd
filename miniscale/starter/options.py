"""What a program can be told: one option, wherever it is declared, and how it is typed."""

import math
from dataclasses import dataclass
from enum import StrEnum

from miniscale.setting.trial import Scalar


class OptionStyle(StrEnum):
    """How a program is told of an option."""

    EQUALS = "--name=value"
    SPACE = "--name value"
    FLAG = "--name"
    HYDRA = "name=value"
    CONSTANT = "a constant in the source"


@dataclass(frozen=True)
class ProgramOption:
    """One value that a program can be told."""

    name: str
    default: Scalar | None
    """None if there is none, or it is computed."""
    style: OptionStyle
    file: str
    """Where it is declared, seen from the repository."""
    about: str = ""
    choices: tuple[Scalar, ...] = ()

    @property
    def key(self) -> str:
        """Its name as a placeholder.

        >>> ProgramOption("optim.max-lr", 1.0, OptionStyle.EQUALS, "train.py").key
        'optim_max_lr'
        """
        return self.name.replace("-", "_").replace(".", "_")

    @property
    def number(self) -> float | None:
        """Its default as a number, None if it is none."""
        if isinstance(self.default, bool | str | None) or not math.isfinite(self.default):
            return None
        return self.default

    def words(self, value: str) -> tuple[str, ...]:
        """Return the words of a command line that set it.

        >>> ProgramOption("lr", 1.0, OptionStyle.SPACE, "train.py").words("{lr}")
        ('--lr', '{lr}')
        """
        match self.style:
            case OptionStyle.HYDRA:
                return (f"{self.name}={value}",)
            case OptionStyle.SPACE:
                return (f"--{self.name}", value)
            case OptionStyle.EQUALS:
                return (f"--{self.name}={value}",)
        return ()
