"""What a study in memory costs: CPU of a trial and of the policy for 500 ideas, memory a trial.

    python benchmarks/study_speed.py [--budgets 1500 20000] [--policies trend atoms]

Studies run in processes of their own: CPU-seconds and peak memory are theirs alone.
"""

import argparse
import itertools
import json
import math
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from autoresearch.build_study import decode_job
from miniscale.run.runner.in_process import InProcessRunner
from miniscale.setting.compose import compose
from miniscale.setting.trial import TrialResult, TrialSpec, TrialState
from transfer.bench.play import Timed, TimedReviewer, parsed
from transfer.change import Change
from transfer.ladder import Ladder
from transfer.policy.protocol import Reviewer
from transfer.study.simulated_study import KnobTrees, light_spec, simulate
from transfer.study_plan import RoundRule, StudyPlan

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "study_speed.jsonl"


def ideas() -> Iterator[Change]:
    """Yield patches that name their gain, without end."""
    rng = random.Random(1)
    for n in itertools.count():
        yield Change(title=f"idea {n}", patch=f"idea{n} {rng.gauss(-0.02, 0.05):.4f}")


def planted_runner(ladder: Ladder, trees: KnobTrees) -> InProcessRunner:
    """Return a runner whose changes add up; noise is 2 % of compute."""

    def result(spec: TrialSpec) -> TrialResult:
        gain = math.fsum(float(patch.split()[1]) for patch in trees.content(spec.tree).patches)
        compute = ladder.rung(spec.rung).scale
        reducible = 0.45 * (compute * math.exp(gain)) ** -0.18
        luck = random.Random(spec.identity).gauss(0, 1)
        return TrialResult(
            spec.identity, TrialState.COMPLETE, value=0.8 + reducible * (1 + 0.02 * 0.18 * luck)
        )

    return InProcessRunner(result)


def measure(policy_name: str, budget: float) -> dict[str, float | str]:
    """Run one study in this process and return its figures."""
    config = compose(["+ladder=oracle", "tracker=none"], [], name="config")
    job = decode_job(config, [])
    trees = KnobTrees(job.ladder.setting.defaults())
    plan = StudyPlan(budget=budget, round=RoundRule(3, 150, 0.34), idea_cost=2, tops_up=True)
    asked = parsed(policy_name)  # how many ideas come, nobody knows
    policy = (TimedReviewer if isinstance(asked, Reviewer) else Timed)(asked)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    study = simulate(
        job.ladder,
        ideas(),
        policy=policy,
        plan=plan,
        runner=planted_runner(job.ladder, trees),
        trees=trees,
        specs=light_spec,
    )
    cpu = time.process_time() - start
    n = len(study.state.trials.results)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "policy": policy_name,
        "budget": budget,
        "trials": n,
        "changes": study.state.changes.n_fresh,
        "stacks": len(study.state.changes.stacks),
        "baselines": len(study.state.bases),
        "ms_a_trial": round(1e3 * cpu / n, 4),
        "policy_s_500_ideas": round(500 * policy.clock.cpu_s / study.state.changes.n_fresh, 4),
        "kb_a_trial": round(grown / n, 3),
        "events": len(study.events),
    }


def main() -> None:
    """Run every study in a process of its own and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--budgets", type=float, nargs="+", default=[1500, 20_000, 600_000, 3_000_000]
    )
    parser.add_argument("--policies", nargs="+", default=["trend"])
    parser.add_argument("--one", nargs=2, metavar=("POLICY", "BUDGET"))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], float(arguments.one[1]))))
        return
    for policy, budget in itertools.product(arguments.policies, arguments.budgets):
        argv = [sys.executable, __file__, "--one", policy, str(budget)]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        where = {"machine": platform.machine(), "date": time.strftime("%Y-%m-%d")}
        line = json.dumps({**json.loads(done.stdout), **where})
        print(line)
        with RESULTS.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
