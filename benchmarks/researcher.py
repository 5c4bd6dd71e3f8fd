"""A researcher of mixed quality, judged two ways: this project, and greedy keep or discard.

    python benchmarks/researcher.py [--studies 100] [--first 3000]

Both see the same 200 proposals with the same budget in worlds whose truth is planted: most ideas do
nothing or harm, some gain, some fade or reverse with scale. Greedy keeps whatever is lower on one
seed at the smallest size, as keep-or-discard loops do. Intervals are 95 %, by resampling studies.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from transfer.bench.play import play_by_name
from transfer.bench.score import StudyScore
from transfer.bench.worlds.suites import suite_world

POLICIES = ("atoms", "greedy")
RESAMPLES = 4_000
Figure = Callable[[Sequence[StudyScore]], float]


def gain(scores: Sequence[StudyScore]) -> float:
    """Mean true gain of the head at the target, nats of compute."""
    return float(np.mean([one.stack_true for one in scores]))


def false_share(scores: Sequence[StudyScore]) -> float:
    """Share of what stands in the heads that gains nothing at the target."""
    accepted = sum(one.n_accepted for one in scores)
    return 1 - sum(one.n_right for one in scores) / accepted if accepted else 0.0


def false_accepts(scores: Sequence[StudyScore]) -> float:
    """False accepts a study."""
    return float(np.mean([one.n_accepted - one.n_right for one in scores]))


def harmful(scores: Sequence[StudyScore]) -> float:
    """Accepts a study that harm by more than .5 % of compute."""
    return float(np.mean([one.n_harm for one in scores]))


FIGURES: dict[str, Figure] = {
    "true gain at the target, nats": gain,
    "false accepts a study": false_accepts,
    "share of accepts that are false": false_share,
    "harmful accepts a study": harmful,
}


def interval(
    figure: Figure, scores: Sequence[StudyScore], picks: np.ndarray
) -> tuple[float, float]:
    """Return the 95 % interval of a figure by resampling whole studies."""
    drawn = [figure([scores[i] for i in pick]) for pick in picks]
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--studies", type=int, default=100)
    options.add_argument("--first", type=int, default=3000)
    options.add_argument("--suite", default="B")
    given = options.parse_args()
    seeds = range(given.first, given.first + given.studies)
    scores = {
        policy: [play_by_name(suite_world(given.suite, seed), policy) for seed in seeds]
        for policy in POLICIES
    }
    picks = np.random.default_rng(0).integers(len(seeds), size=(RESAMPLES, len(seeds)))
    print(f"{len(seeds)} studies of suite {given.suite}, seeds {seeds[0]} to {seeds[-1]}")
    for name, figure in FIGURES.items():
        for policy in POLICIES:
            low, high = interval(figure, scores[policy], picks)
            print(f"{name:<34}{policy:<8}{figure(scores[policy]):7.3f} [{low:.3f}, {high:.3f}]")
    paired = [a.stack_true - b.stack_true for a, b in zip(*scores.values(), strict=True)]
    drawn = np.asarray(paired)[picks].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(f"gain over greedy, same studies    {np.mean(paired):+.3f} [{low:+.3f}, {high:+.3f}]")


if __name__ == "__main__":
    main()
