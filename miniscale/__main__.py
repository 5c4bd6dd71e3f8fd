"""``python -m miniscale +ladder=NAME rung=d2``: train one rung by hand and print what came."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miniscale.plain_output import use_plain_output
from miniscale.setting.compose import run_with
from miniscale.setting.decode import InputError, Whole, decode, nearest

if TYPE_CHECKING:
    from miniscale.setting.rung import Rung
    from miniscale.setting.setting import Setting
    from miniscale.setting.trial import Scalar, TrialSpec


@dataclass(frozen=True)
class TrialKeys:
    """What ``conf/train.yaml`` holds."""

    ladder: Mapping[str, Any]
    rung: Any
    out: str
    seed: Whole = 0
    box: str = "prefer"
    knobs: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRequest:
    """One trial as it was typed: all of it is checked before anything is made."""

    setting: "Setting"
    rung: "Rung"
    knobs: Mapping[str, "Scalar"]
    seed: int
    out: Path
    box: str
    """``require``, ``prefer`` or ``off``."""


def train(config: dict[str, Any], folders: Sequence[Path]) -> int:
    """Run one trial of the setting as it is, or with knobs, and print its numbers."""
    from miniscale.box import choose
    from miniscale.run.runner.local import LocalRunner

    asked = decode_request(config, folders)
    box = choose(asked.box)  # before what may take long
    print(f"box      {box.line}")
    spec = _prepared(asked)
    runner = LocalRunner(1, box=box, retries_failed=True)
    try:
        runner.submit([spec])
        while not (results := runner.poll(0.5)):
            _show(Path(spec.out))
    finally:
        runner.close()
    result = results[0]
    ended = f"{result.state} {result.cause} {result.reason}"
    print(f"\r{spec.rung} seed {spec.seed}: {ended}".rstrip())
    _print_numbers({asked.setting.objective.name: result.value, "seconds": result.seconds})
    _print_numbers(result.metrics)
    print(f"folder   {spec.out}")
    return 0 if result.is_complete else 1


def decode_request(config: dict[str, Any], folders: Sequence[Path]) -> TrialRequest:
    """Read a composed configuration.

    Raises
    ------
    InputError
        On the first thing that is wrong.
    """
    from miniscale.box import policy_for
    from miniscale.setting.rung import decode_rungs
    from miniscale.setting.setting import decode_setting

    keys = decode(TrialKeys, config, "config")
    setting = decode_setting(keys.ladder["setting"], "ladder.setting", roots=[*folders, Path()])
    rungs = {**decode_rungs(keys.ladder), **decode_rungs(keys.ladder, "holdout")}
    name = str(keys.rung)
    if name not in rungs:
        raise InputError(f"rung '{name}': not on this ladder; {nearest(name, rungs)}")
    return TrialRequest(
        setting=setting,
        rung=rungs[name],
        knobs=setting.check_knobs(keys.knobs, where="knobs"),
        seed=keys.seed,
        out=Path(keys.out).expanduser().resolve() / setting.name,
        box=policy_for(keys.box, setting),
    )


def _prepared(asked: TrialRequest) -> "TrialSpec":
    """Prepare data and checkout, and describe the trial."""
    from miniscale.run import prepare_data
    from miniscale.setting.rung import Folders, trial_spec
    from miniscale.tree.workspace import workspace_now

    setting, out = asked.setting, asked.out
    digests = prepare_data.prepare(setting, out / "cache")
    trees = workspace_now(setting, out / "sources")
    return trial_spec(
        setting,
        asked.rung,
        arm="hand",
        seed=asked.seed,
        tree=trees.checkout("hand", parent=trees.first(), patch="", knobs=asked.knobs),
        data=digests,
        folders=Folders(out / "trials", out / "cache"),
    )


def _show(folder: Path) -> None:
    from miniscale.run.progress import progress

    seen = progress(folder)
    if seen is not None and sys.stdout.isatty():
        loss = "" if seen.loss is None else f"  loss {seen.loss:.4f}"
        print(f"\rstep {seen.step}/{seen.steps}{loss}   ", end="", flush=True)


def _print_numbers(numbers: Mapping[str, float | None]) -> None:
    for name, value in numbers.items():
        if value is not None:
            print(f"{name:<20} {value:.6g}")


def main(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    if argv[:1] == ["init"]:
        from miniscale.starter.init_command import run_init

        return run_init(argv[1:])
    return run_with(argv, train, program="miniscale", name="train")


if __name__ == "__main__":
    use_plain_output()
    sys.exit(main(sys.argv[1:]))
