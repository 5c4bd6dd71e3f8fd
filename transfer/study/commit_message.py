"""What an accepted change's commit says."""

from transfer.events import GainForecast, Proposed, VerdictReached
from transfer.journal.state import StudyState
from transfer.ladder import Ladder
from transfer.units import interval, loss_form


def multiplier(gain_forecast: GainForecast) -> str:
    """Say a gain as the compute it is worth, with its interval: ``1.06x [1.02, 1.10]``."""
    return interval(gain_forecast.low, gain_forecast.mean, gain_forecast.high)


def message(ladder: Ladder, state: StudyState, proposed: Proposed, verdict: VerdictReached) -> str:
    """Write the commit message: the hypothesis, and the evidence in trailers."""
    change = proposed.change
    lines = [change.title[:60], "", change.hypothesis or "No hypothesis was given.", ""]
    for effect in verdict.effects:
        form = loss_form(max(abs(effect.loss_gain), effect.loss_se))
        lines.append(
            f"Effect-{effect.rung}: {effect.loss_gain:{form}} +- {effect.loss_se:{form[1:]}} "
            f"{ladder.setting.objective.name} (positive is better), {effect.n} runs, "
            f"{effect.n_pairs} pairs"
        )
    if verdict.gain_forecast is not None:
        lines += [
            f"Gain-at-target: {multiplier(verdict.gain_forecast)} compute, 80 % interval",
            f"Odds: {verdict.gain_forecast.odds:.2f}",
        ]
    trials = [
        identity
        for rung in ladder.rungs
        for identity in state.trials.requests.get((proposed.arm, rung.name), {}).values()
    ]
    lines += [
        f"Target: {ladder.target_name}, {ladder.target:g} {ladder.unit}",
        f"Verdict: {verdict.outcome}",
        f"Change: {proposed.arm}",
        f"Trials: {' '.join(trials)}",
    ]
    return "\n".join(lines) + "\n"
