"""An audit in words: the lines that a terminal shows."""

from transfer.audit.audit_result import Audit, RungAudit, Slope
from transfer.ladder_trust import Light
from transfer.units import resolved_share, times


def lines(found: Audit) -> list[str]:
    """Tell an audit from its light down to the forecasts it scored."""
    rows = [
        f"audit    {found.ladder} ({found.digest}): {found.n} known changes, "
        f"{found.target} playing the target",
        f"light    {str(found.light).upper()}: {_meaning(found.light)}",
        *[f"because  {reason}" for reason in found.reasons],
        *[f"mend     {advice}" for advice in found.advice],
        "",
        f"{'rung':<8}{'n':>4}{'noise':>8}{'shared':>8}{'planned':>9}{'resolves':>10}"
        f"{'agrees':>8}{'80 %':>14}{'no noise':>10}{'ranks':>7}{'flips':>7}  light",
        *[rung_line(rung, found) for rung in found.rungs],
        "noise    of one run in compute; planned: standard error of a comparison; resolves: gain",
        "         told from none; agrees: pairs of changes ordered as at the target; flips: clear",
        "         wins that lose there + losses that win, of changes clear on both",
        "",
    ]
    for rung in found.rungs[:-1]:
        rows += [slope_line(rung, slope, found) for slope in rung.persistence if slope.n >= 3]
    rows += [
        f"misfit   {found.misfit:.2%} of compute [{found.misfit_low:.2%}, {found.misfit_high:.2%}] "
        "that replicates do not remove (.5 % is green, 1 % red)",
        f"drift    {found.drift:.4f} nats per nat beyond the highest rung",
        f"start    {found.start or 'on no rung of these'}",
        *score_lines(found),
        *[f"note     {note}" for note in found.notes],
    ]
    return rows


def _meaning(light: Light) -> str:
    return {
        Light.GREEN: "small rungs decide as large ones do; accepts may be certified",
        Light.AMBER: "use with care; harm counts six times in a certified accept",
        Light.RED: "no accept on this ladder is certified; mend it first",
    }[light]


def rung_line(rung: RungAudit, found: Audit) -> str:
    """Say one rung in a line of the table."""
    known = "" if rung.noise_df else "?"
    start = (
        f"{rung.rung:<8}{rung.n:>4}{rung.noise:>7.1%}{known or ' '}{rung.rho:>8.2f}"
        f"{rung.planned_se:>9.1%}{resolved_share(rung.detectable):>10}"
    )
    if rung.rung == found.target:
        return f"{start}{'plays the target':>24}"
    if rung.accuracy is None or rung.low is None or rung.high is None:
        return f"{start}{'too few changes to compare':>34}"
    clean = f"{rung.transfer:.2f}" if rung.transfer is not None else "?"
    ranks = f"{rung.spearman:.2f}" if rung.spearman is not None else "?"
    flips = f"{rung.won_then_lost}+{rung.lost_then_won}/{rung.n_clear}"
    return (
        f"{start}{rung.accuracy:>8.2f}{f'[{rung.low:.2f}, {rung.high:.2f}]':>14}{clean:>10}"
        f"{ranks:>7}{flips:>7}  {rung.light}"
    )


def slope_line(rung: RungAudit, slope: Slope, found: Audit) -> str:
    """Say how much of a gain is left at the target, by kind."""
    if slope.value is None:
        return f"keeps    {rung.rung} to {found.target}, {slope.kind}: no more than noise"
    ends = f" [{slope.low:.2f}, {slope.high:.2f}]" if slope.low is not None else ""
    return (
        f"keeps    {rung.rung} to {found.target}, {slope.kind}: {slope.value:.2f}{ends} of a gain, "
        f"{slope.n} changes"
    )


def score_lines(found: Audit) -> list[str]:
    """Say how forecasts of the target from the rungs below fared."""
    if not found.scores:
        return []
    hits = sum(score.ratio <= 1 for score in found.scores)
    factor = f"{found.conformal:.2f}" if found.conformal is not None else "too few to say"
    rows = [
        f"forecast {hits} of {len(found.scores)} fell into their 80 % interval; factor on "
        f"intervals {factor}",
        f"  {'change':<24}{'kind':<16}{'forecast':>9}{'80 %':>18}{'came':>8}{'odds':>7}",
    ]
    for score in sorted(found.scores, key=lambda one: -one.came):
        ends = f"[{times(score.low)}, {times(score.high)}]"
        missed = "" if score.ratio <= 1 else "  missed"
        rows.append(
            f"  {score.arm:<24.24}{score.kind:<16}{times(score.mean):>9}{ends:>18}"
            f"{times(score.came):>8}{score.odds:>7.2f}{missed}"
        )
    return rows
