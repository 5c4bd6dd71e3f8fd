"""What an accepted change's commit says."""

from transfer.events import Judged, Outlook, Proposed
from transfer.journal.state import State
from transfer.ladder import Ladder
from transfer.report.findings import interval


def multiplier(outlook: Outlook) -> str:
    """Say a gain as the compute it is worth, with its interval: ``1.06x [1.02, 1.10]``."""
    return interval(outlook.low, outlook.mean, outlook.high)


def message(ladder: Ladder, state: State, proposed: Proposed, verdict: Judged) -> str:
    """Write the commit message: the hypothesis, and the evidence in trailers."""
    change = proposed.change
    lines = [change.title[:60], "", change.hypothesis or "No hypothesis was given.", ""]
    for effect in verdict.effects:
        lines.append(
            f"Effect-{effect.rung}: {effect.loss_gain:+.4f} +- {effect.loss_se:.4f} "
            f"{ladder.setting.objective.name} (positive is better), {effect.n} runs, "
            f"{effect.n_pairs} pairs"
        )
    if verdict.outlook is not None:
        lines += [
            f"Gain-at-target: {multiplier(verdict.outlook)} compute, 80 % interval",
            f"Odds: {verdict.outlook.odds:.2f}",
        ]
    trials = [
        identity
        for rung in ladder.rungs
        for identity in state.requests.get((proposed.arm, rung.name), {}).values()
    ]
    lines += [
        f"Target: {ladder.target_name}, {ladder.target:g} {ladder.unit}",
        f"Verdict: {verdict.outcome}",
        f"Change: {proposed.arm}",
        f"Trials: {' '.join(trials)}",
    ]
    return "\n".join(lines) + "\n"
