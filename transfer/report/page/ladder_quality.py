"""The report's part on the ladder: what an audit of it found, and how far it can be believed."""

import math
from collections.abc import Mapping

from transfer.audit.finding import Audit, RungAudit
from transfer.report.page.html import esc, facts, inline, table
from transfer.trust import Light
from transfer.units import percent, times

COLOURS = {Light.GREEN: "green", Light.AMBER: "orange", Light.RED: "red"}
MEANING = {
    Light.GREEN: "small rungs decide as large ones do",
    Light.AMBER: "use with care: harm counts six times in a certified accept",
    Light.RED: "no accept on this ladder is certified",
}


def audit_section(
    audit: Audit | None, words: str, figures: Mapping[str, str], *, design: str = ""
) -> str:
    """Tell the audit that lies beside a study; without one, what there is of it.

    Parameters
    ----------
    words
        The audit in a line, or why there is none.
    design
        What the ladder's design found, in a line; empty for one made by hand.
    """
    title = "<h2>Can the ladder be believed?</h2>"
    if design:
        title += f"<p>Designed: {esc(design)}.</p>"
    if audit is None:
        return f'{title}<p>{_light(Light.AMBER)} <span class="quiet">{esc(words)}</span></p>'
    drawn = ""
    if "audit" in figures and audit.scores:
        drawn = (
            "<h3>Forecasts of the top, and what came</h3><figcaption>Each known change: forecast "
            f"from the rungs below, learned without it, and its gain at {esc(audit.target)}; on "
            "the line the two agree. Bars are 80 % intervals.</figcaption>"
            f'<figure class="middle">{inline(figures["audit"], "audit")}</figure>'
        )
    caption = (
        f"{audit.n} known changes ran on every rung, {audit.target} playing the target; the table "
        "says how well each rung orders pairs of changes as that one does."
    )
    return (
        f"{title}<p>{_light(audit.light)} {esc(MEANING[audit.light])}</p>"
        f"<figcaption>{esc(caption)}</figcaption>{facts(_facts(audit))}{_rungs(audit)}{drawn}"
    )


def _light(light: Light) -> str:
    colour = f"var(--{COLOURS[light]})"
    return f'<span class="tag light" style="color:{colour}">● {light.value}</span>'


def _facts(audit: Audit) -> list[tuple[str, str]]:
    hits = sum(score.ratio <= 1 for score in audit.scores)
    factor = "" if audit.conformal is None else f"; factor on intervals {audit.conformal:.2f}"
    found = [
        ("because", "<br>".join(esc(reason) for reason in audit.reasons)),
        ("to mend", "<br>".join(esc(advice) for advice in audit.advice)),
        (
            "misfit",
            f"{percent(audit.misfit, '.2f')} of compute [{percent(audit.misfit_low, '.2f')}, "
            f"{percent(audit.misfit_high, '.2f')}] that replicates do not remove",
        ),
        ("begin on", esc(audit.start or "no rung of these")),
        ("forecasts", f"{hits} of {len(audit.scores)} in their 80 % interval{factor}"),
        ("mind", "<br>".join(esc(note) for note in audit.notes)),
    ]
    return [(name, words) for name, words in found if words]


def _rungs(audit: Audit) -> str:
    head = ["rung", "changes", "noise of a run", "resolves", "agrees", "80 % interval", "flips", ""]
    return table(head, [_rung(rung, audit) for rung in audit.rungs], numbers=range(1, 7))


def _rung(rung: RungAudit, audit: Audit) -> list[str]:
    assumed = "" if rung.noise_df else "?"
    cells = [
        esc(rung.rung),
        str(rung.n),
        percent(rung.noise, ".1f") + assumed,
        times(rung.detectable),
    ]
    if rung.rung == audit.target:
        return [*cells, "", "", "", "plays the target"]
    if rung.accuracy is None or rung.low is None or rung.high is None:
        return [*cells, "", "", "", "too few changes to compare"]
    span = f"{percent(rung.low)} – {percent(rung.high)}"
    flips = f"{rung.won_then_lost + rung.lost_then_won} of {rung.n_clear}"
    accuracy = percent(rung.accuracy) if math.isfinite(rung.accuracy) else ""
    return [*cells, accuracy, span, flips, _light(rung.light)]
