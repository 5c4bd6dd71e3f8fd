"""What the harness itself costs: CPU-seconds a trial, latencies around training, start of --help.

    python benchmarks/harness.py [--trials 60] [--rung d2]

Trainer and evaluator processes are not the harness; their supervisor is. Everything is measured in
one run; the machine's speed is stated by a fixed loop of Python beside it.
"""

import argparse
import json
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def children_cpu() -> float:
    """CPU-seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def python_loop() -> float:
    """CPU-seconds of ten million additions: how fast this machine is today."""
    start = time.process_time()
    total = 0
    for n in range(10_000_000):
        total += n
    return time.process_time() - start


def study_cpu(changes: int, tracker: str) -> dict[str, float]:
    """Run a study of the oracle in real processes; return CPU-seconds in all and a trial."""
    with tempfile.TemporaryDirectory() as folder:
        before = children_cpu()
        argv = ["+ladder=oracle", f"tracker={tracker}", f"study.root={folder}"]
        argv += [f"budget.changes={changes}", "budget.compute=1e9", "agent.knobs_at_once=2"]
        subprocess.run(
            [sys.executable, "-m", "autoresearch", *argv],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        whole = children_cpu() - before
        results = [
            json.loads(path.read_text())
            for path in Path(folder).glob("oracle/trials/*/result.json")
        ]
        trainers = sum(result["metrics"]["cpu_seconds"] for result in results)
    return {"trials": len(results), "cpu": whole, "harness": whole - trainers}


def cpu_a_trial(tracker: str) -> dict[str, float]:
    """Compare a short and a long study: the difference is free of the start-up's share."""
    short, long = study_cpu(2, tracker), study_cpu(24, tracker)
    n = long["trials"] - short["trials"]
    return {
        "trials": long["trials"],
        "cpu_s_a_trial": round(long["harness"] / long["trials"], 4),
        "cpu_s_a_further_trial": round((long["harness"] - short["harness"]) / n, 4),
    }


def latencies(ladder: str, rung: str) -> dict[str, float]:
    """Run one trial by hand; return seconds from spec to first step and last step to result."""
    with tempfile.TemporaryDirectory() as folder:
        base = [sys.executable, "-m", "miniscale", f"+ladder={ladder}", f"out={folder}"]
        subprocess.run([*base, "rung=d1"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        process = subprocess.Popen(
            [*base, f"rung={rung}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        seen: dict[str, float] = {}
        known = set(Path(folder).glob("*/trials/*"))
        while process.poll() is None:
            _look(Path(folder), known, seen)
            time.sleep(0.005)
    return {
        "first_step_s": round(seen["first"] - seen["spec"], 3),
        "result_s": round(seen["result"] - seen["last"], 3),
    }


def _look(folder: Path, known: set[Path], seen: dict[str, float]) -> None:
    """Note when the spec, the first and the last step, and the result appear."""
    for trial in set(folder.glob("*/trials/*")) - known:
        now = time.monotonic()
        if (trial / "spec.json").exists():
            seen.setdefault("spec", now)
        metrics = trial / "metrics.jsonl"
        size = metrics.stat().st_size if metrics.exists() else 0
        if size:
            seen.setdefault("first", now)
        if size != seen.get("size"):
            seen["size"], seen["last"] = size, now
        if (trial / "result.json").exists():
            seen.setdefault("result", now)


def help_cpu() -> float:
    """CPU-seconds of ``--help``, the median of five."""
    found = []
    for _ in range(5):
        before = children_cpu()
        subprocess.run(
            [sys.executable, "-m", "autoresearch", "--help"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found.append(children_cpu() - before)
    return round(sorted(found)[2], 3)


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rung", default="d2")
    parser.add_argument("--out", type=Path, default=RESULTS / "harness.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = {
        "machine": re.sub(r"\s+", " ", platform.processor() or platform.machine()),
        "python": platform.python_version(),
        "ten_million_additions_cpu_s": round(python_loop(), 3),
        "help_cpu_s": help_cpu(),
        "no_tracker": cpu_a_trial("none"),
        "wandb_offline": cpu_a_trial("wandb"),
        f"latency_{arguments.rung}": latencies("nanochat", arguments.rung),
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
