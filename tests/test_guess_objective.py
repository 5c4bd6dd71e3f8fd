"""Which number that a program printed is taken for its objective."""

import pytest

from miniscale.starter.guess_objective import rank_metrics


@pytest.mark.parametrize(
    ("output", "line", "is_minimized"),
    [
        (
            "step 5: train loss 4.2, val loss 4.3\niter 5: loss 4.1, time 9ms",
            "val loss {number}",
            True,
        ),
        (
            "\rstep 9 | loss: 3.2 |\n---\nval_bpb:      1.23\npeak_mb: 45.1",
            "val_bpb: {number}",
            True,
        ),
        ("Validation bpb: 2.4\nMinimum validation bpb: 2.3", "Validation bpb: {number}", True),
        (
            "\x1b[32mEpoch 3\x1b[0m accuracy=0.91 loss=0.3\ntest acc 0.9123",
            "test acc {number}",
            False,
        ),
        ("epoch 1 mean reward: 21.5 steps: 300", "reward: {number}", False),
        ("{'eval_loss': 1.25e-1, 'epoch': 3}", "eval_loss': {number}", True),
    ],
)
def test_the_objective_is_guessed_by_what_its_line_calls_it(
    output: str, line: str, is_minimized: bool
) -> None:
    first = rank_metrics(output)[0]
    assert (first.line, first.is_minimized) == (line, is_minimized)


def test_costs_and_counters_are_no_objective() -> None:
    assert rank_metrics("step 5 time: 3.2s lr: 0.1 tokens: 500 mfu 38%\nparams: 12") == []
