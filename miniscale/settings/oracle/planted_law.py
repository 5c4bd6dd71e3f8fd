"""A trainer that trains nothing: losses from a planted law, for tests and simulations.

It is a real trainer for a runner (``python -m miniscale.settings.oracle.planted_law --compute=…
--seed=… --out=…``) and the same arithmetic in the process (:func:`result_of`), at well under a
millisecond a trial.

    L = E + A (C e^g(x))^-alpha + noise,   x = ln(C / C0)
    g(x) = gain max(1 - x / vanish, -2) + drift x
"""

import json
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from miniscale.setting.trial import Cause, TrialResult, TrialSpec, TrialState

E, A, ALPHA, C0 = 0.8, 0.45, 0.18, 1.0
FIELDS = ("compute", "seed", "gain", "drift", "vanish", "noise", "shared", "crash", "idea")


@dataclass(frozen=True)
class Planted:
    """What an oracle trial is told; ``noise`` and gains are in nats of compute."""

    compute: float
    seed: int = 0
    gain: float = 0.0
    drift: float = 0.0
    vanish: float = 0.0
    """Where in x the gain is gone; 0 for never. Beyond it the gain reverses."""
    noise: float = 0.02
    shared: float = 0.5
    """Correlation of two arms on one seed."""
    crash: float = 0.0
    """Compute from which the trial crashes; 0 for never."""
    idea: int = 0
    """Tells changes apart that do the same."""

    @property
    def true_gain(self) -> float:
        """The planted g at this compute, nats."""
        x = math.log(self.compute / C0)
        share = 1.0 if self.vanish == 0 else max(1 - x / self.vanish, -2.0)
        return self.gain * share + self.drift * x

    def loss(self) -> float:
        """Draw the trial's loss; the same fields give the same number."""
        law: float = A * (self.compute * math.exp(self.true_gain)) ** -ALPHA
        common = random.Random(f"{self.seed} {self.compute}").gauss(0, 1)
        own_name = f"{self.seed} {self.compute} {self.gain} {self.drift} {self.vanish} {self.idea}"
        own = random.Random(own_name).gauss(0, 1)
        mixed = math.sqrt(self.shared) * common + math.sqrt(1 - self.shared) * own
        return E + law + self.noise * ALPHA * law * mixed


def parse(argv: Sequence[str]) -> tuple[Planted, Path]:
    """Read ``--name=value`` arguments.

    Raises
    ------
    ValueError
        For an argument that is not one of ours.
    """
    values: dict[str, str] = {}
    for item in argv:
        name, equals, value = item.removeprefix("--").partition("=")
        if not equals or name not in (*FIELDS, "out"):
            raise ValueError(f"oracle: got '{item}', expected --NAME=VALUE with one of {FIELDS}")
        values[name] = value
    out = Path(values.pop("out", "."))
    numbers = {k: int(v) if k in ("seed", "idea") else float(v) for k, v in values.items()}
    return Planted(**numbers), out  # type: ignore[arg-type]


def result_of(spec: TrialSpec) -> TrialResult:
    """Run an oracle trial in this process."""
    start = next(i for i, item in enumerate(spec.trainer) if item.startswith("--"))
    planted, _ = parse(spec.trainer[start:])
    if planted.crash and planted.compute >= planted.crash:
        return TrialResult(
            spec.identity,
            TrialState.FAILED,
            cause=Cause.CRASH,
            reason="RuntimeError: planted crash",
        )
    return TrialResult(spec.identity, TrialState.COMPLETE, value=planted.loss())


def write(out: Path, numbers: Mapping[str, float]) -> None:
    """Leave the result where a runner reads it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "loss.json").write_text(json.dumps(dict(numbers)))


def main(argv: Sequence[str]) -> int:
    """Run one trial as a program."""
    planted, out = parse(argv)
    if planted.crash and planted.compute >= planted.crash:
        raise RuntimeError("planted crash")
    write(out, {"loss": planted.loss()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
