"""``python -m miniscale +ladder=NAME rung=d2``: train one rung by hand and print what came."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from miniscale.compose import run_with
from miniscale.decode import InputError, Node, nearest


def train(config: dict[str, Any], folders: Sequence[Path]) -> int:
    """Run one trial of the setting as it is, or with knobs, and print its numbers."""
    from miniscale import data
    from miniscale.box import choose, policy_for
    from miniscale.rung import Folders, decode_rung, trial_spec
    from miniscale.runner.local import LocalRunner
    from miniscale.setting import decode_setting
    from miniscale.workspace import workspace_of

    node = Node(config, "config")
    ladder = node.raw("ladder")
    setting = decode_setting(Node(ladder["setting"], "ladder.setting"), roots=[*folders, Path()])
    rungs = {**ladder["rungs"], **(ladder.get("holdout") or {})}
    name = str(node.raw("rung"))
    if name not in rungs:
        raise InputError(f"rung '{name}': not on this ladder; {nearest(name, rungs)}")
    rung = decode_rung(name, Node(rungs[name], f"ladder.rungs.{name}"))
    knobs = setting.check_knobs(node.scalars("knobs"), where="knobs")
    out = Path(node.text("out")).expanduser().resolve() / setting.name
    box = choose(policy_for(node.text("box", "prefer"), setting))  # before what may take long
    print(f"box      {box.line}")
    digests = data.prepare(setting, out / "cache")
    trees = workspace_of(setting, out)
    tree = trees.checkout("hand", parent=trees.first(), patch="", knobs=knobs)
    folders_ = Folders(out / "trials", out / "cache")
    spec = trial_spec(
        setting,
        rung,
        arm="hand",
        seed=node.whole("seed", 0),
        tree=tree,
        data=digests,
        folders=folders_,
    )
    runner = LocalRunner(1, box=box)
    try:
        runner.submit([spec])
        while not (results := runner.poll(0.5)):
            _show(Path(spec.out))
    finally:
        runner.close()
    result = results[0]
    print(f"\r{name} seed {spec.seed}: {result.state} {result.cause} {result.reason}".rstrip())
    _print_numbers({setting.objective.name: result.value, "seconds": result.seconds})
    _print_numbers(result.metrics)
    print(f"folder   {spec.out}")
    return 0 if result.is_complete else 1


def _show(folder: Path) -> None:
    from miniscale.progress import progress

    seen = progress(folder)
    if seen is not None and sys.stdout.isatty():
        loss = "" if seen.loss is None else f"  loss {seen.loss:.4f}"
        print(f"\rstep {seen.step}/{seen.steps}{loss}   ", end="", flush=True)


def _print_numbers(numbers: Mapping[str, float | None]) -> None:
    for name, value in numbers.items():
        if value is not None:
            print(f"{name:<20} {value:.6g}")


if __name__ == "__main__":
    sys.exit(run_with(sys.argv[1:], train, program="miniscale", name="train"))
