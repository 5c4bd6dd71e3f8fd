"""What the trust boundary costs an evaluation of nanochat, paired in one run.

    python benchmarks/evaluator_cost.py [--depths 2,4] [--repeats 3]

Three ways to score the same model, one after the other and over again, in CPU-seconds of all their
processes: all in one process (``plain``: what a trusting evaluator does), by the parent and a child
without a second look (``apart``), and as it is (``checked``). All without a box, whose cost
``benchmarks/box_cost.py`` measures.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CODE = ROOT / "miniscale" / "settings" / "nanochat"
RESULTS = ROOT / "benchmarks" / "results"
WAYS = ("plain", "apart", "checked")


def plain(data: Path, out: Path) -> dict[str, float]:
    """Score in one process by torch alone, FLOPs counted."""
    sys.path.insert(0, str(CODE))
    import tokens
    import torch
    import torch.nn.functional as F
    import train
    from safetensors.torch import load_file

    from miniscale.evaluate.heldout_text import read_split

    tokens.tune_cpu(1)
    model = train.build(json.loads((out / "model.json").read_text()))
    model.load_state_dict(load_file(out / "model.safetensors"), strict=False)
    model.eval()
    scores = {}
    with torch.inference_mode():
        for name in ("val", "sealed"):
            text = read_split(data, name, context=128, tokens=65_536)
            nats = 0.0
            for i in range(0, len(text.inputs), 8):
                logits = model(torch.from_numpy(text.inputs[i : i + 8])).float().flatten(0, 1)
                targets = torch.from_numpy(text.targets[i : i + 8]).flatten()
                kept = torch.from_numpy(text.target_bytes[i : i + 8]).flatten() > 0
                loss = F.cross_entropy(logits, targets, reduction="none").double()
                nats += float(loss[kept].sum())
            scores[f"{name}_bpb"] = nats / float(text.target_bytes.sum()) / math.log(2)
        one = torch.from_numpy(text.inputs[:1])
    with torch.no_grad():
        tokens.counted_flops(lambda: model(one))
    return scores


def unchecked(argv: list[str]) -> int:
    """Score by parent and child, and believe what the first instance said."""
    from miniscale.evaluate import leak_checks, score_tokens
    from miniscale.settings.nanochat import evaluate

    class Nothing:
        worst = mean = 0.0
        better = ()

        def exceeds(self, tolerance: leak_checks.Tolerance) -> bool:
            return False

    score_tokens.Host.stop = lambda self: 0.0  # type: ignore[method-assign]
    fresh, living = score_tokens.Host.fresh, []

    def same(self: score_tokens.Host) -> Any:
        if not living:
            living.append(fresh(self))
        return living[0]

    score_tokens.Host.fresh = same  # type: ignore[method-assign]
    leak_checks.ask_again = lambda *_: Nothing()  # type: ignore[assignment,return-value]
    return evaluate.main(argv)


def measured(way: str, data: Path, out: Path) -> dict[str, float]:
    """CPU-seconds and seconds of one evaluation, and its score."""
    program = str(Path(__file__).resolve())
    argv = [f"--code={CODE}", f"--data={data}", f"--out={out}", "--flops=1e15"]
    start = time.perf_counter()
    if way == "plain":
        command = [sys.executable, program, "--plain", str(data), str(out)]
    elif way == "apart":
        command = [sys.executable, program, "--unchecked", *argv]
    else:
        command = [sys.executable, "-m", "miniscale.settings.nanochat.evaluate", *argv]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    said = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{way}: ended with {status}; see above")
    scores = json.loads(said or (out / "evaluation.json").read_text())
    seconds = time.perf_counter() - start
    return {"cpu": used.ru_utime + used.ru_stime, "s": seconds, "val_bpb": scores["val_bpb"]}


def compare(depth: int, repeats: int, folder: Path) -> dict[str, Any]:
    """All ways on a model of one depth; medians, and the ratio of each pair's CPU-seconds."""
    out = folder / f"d{depth}"
    out.mkdir()
    trainer = [sys.executable, "train.py", f"--data={folder}/cache/train", f"--out={out}"]
    subprocess.run([*trainer, f"--depth={depth}", "--flops=3e9"], cwd=CODE, check=True)
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeats):
        for way in WAYS:
            runs.setdefault(way, []).append(measured(way, folder / "cache/heldout", out))
    made: dict[str, Any] = {"depth": depth}
    for way, each in runs.items():
        made[way] = {
            "cpu_s": round(statistics.median(r["cpu"] for r in each), 3),
            "wall_s": round(statistics.median(r["s"] for r in each), 3),
            "val_bpb": each[0]["val_bpb"],
        }
    for name, way, against in (
        ("separation", "apart", "plain"),
        ("checks", "checked", "apart"),
        ("all", "checked", "plain"),
    ):
        pairs = zip(runs[way], runs[against], strict=True)
        made[name] = round(statistics.median(a["cpu"] / b["cpu"] - 1 for a, b in pairs), 4)
    return made


def main() -> int:
    if sys.argv[1:2] == ["--plain"]:
        sys.stdout.write(json.dumps(plain(Path(sys.argv[2]), Path(sys.argv[3]))))
        return 0
    if sys.argv[1:2] == ["--unchecked"]:
        return unchecked(sys.argv[2:])
    from miniscale.settings.nanochat.prepare import prepare

    parser = argparse.ArgumentParser()
    parser.add_argument("--depths", default="2,4")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / "cache", None)
        depths = [int(part) for part in options.depths.split(",")]
        rows = [compare(depth, options.repeats, folder) for depth in depths]
    date = time.strftime("%Y-%m-%d", time.gmtime())
    made = {"date": date, "machine": platform.machine(), "rows": rows}
    text = json.dumps(made, indent=1)
    (RESULTS / "evaluator_cost.json").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
