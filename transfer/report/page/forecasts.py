"""The report's part on forecasts: hits by rung, scores by kind of change, and what was missed."""

from collections.abc import Mapping

from transfer.report.findings import Findings, ScoredForecast, hit_interval
from transfer.report.page.html import esc, inline, table
from transfer.units import interval, percent, times


def forecast_section(findings: Findings, figures: Mapping[str, str]) -> str:
    """Show every forecast of a next rung against what came, and score them by rung and kind."""
    if not findings.scored:
        return ""
    rows = []
    for rung in findings.ladder.rungs:
        told = [s for s in findings.scored if s.forecast.rung == rung.name]
        if not told:
            continue
        hits = sum(s.is_hit for s in told)
        low, high = hit_interval(hits, len(told))
        bias = sum(s.miss for s in told) / len(told)
        size = sum(abs(s.miss) for s in told) / len(told)
        rows.append(
            [
                esc(rung.name),
                str(len(told)),
                str(hits),
                percent(hits / len(told)),
                f"{percent(low)} – {percent(high)}",
                percent(bias, "+.1f"),
                percent(size, ".1f"),
            ]
        )
    head = ["rung", "forecasts", "hits", "hit rate", "80 % interval", "mean miss", "mean |miss|"]
    missed = [s for s in findings.scored if not s.is_hit]
    lines = [
        [
            esc(s.forecast.arm),
            esc(s.forecast.rung),
            interval(s.forecast.low, s.forecast.mean, s.forecast.high),
            times(s.effect.gain),
            str(s.effect.n),
        ]
        for s in sorted(missed, key=lambda s: -abs(s.miss) / s.half)[:20]
    ]
    misses = ""
    if lines:
        misses = "<h3>Missed</h3>" + table(
            ["change", "rung", "predicted", "came", "runs"], lines, numbers=(2, 3, 4)
        )
    return (
        "<h2>How our forecasts fared</h2><figcaption>Every forecast was journaled before its rung "
        "was run. An honest 80 % interval is hit four times in five; more hits mean intervals "
        "wider than need be. Misses are in compute, came minus predicted.</figcaption>"
        + f'<figure class="narrow">{inline(figures["forecasts"], "forecasts")}</figure>'
        + table(head, rows, numbers=range(1, 7))
        + scores_table(findings)
        + misses
    )


def scores_table(findings: Findings) -> str:
    """Score forecasts by kind of change: how sure, how wide, how right; stated beside come true."""
    by_kind: dict[str, list[ScoredForecast]] = {}
    for scored in findings.scored:
        change = findings.state.changes[scored.forecast.arm].change
        kind = "null change" if change.is_control else str(change.kind)
        by_kind.setdefault(kind, []).append(scored)
    every = {"all": list(findings.scored)} if len(by_kind) > 1 else {}
    rows = [_scores(kind, told) for kind, told in {**by_kind, **every}.items()]
    head = ["kind", "forecasts", "hit rate", "width", "odds of a gain", "gained", "Brier"]
    caption = (
        "Width: of the 80 % interval, in compute. Odds: mean stated before the run, beside the "
        "share that gained. Brier score of those odds: 0 is best, .25 knows nothing."
    )
    return (
        f"<h3>Scores</h3><figcaption>{caption}</figcaption>{table(head, rows, numbers=range(1, 7))}"
    )


def _scores(kind: str, told: list[ScoredForecast]) -> list[str]:
    n = len(told)
    return [
        esc(kind),
        str(n),
        percent(sum(s.is_hit for s in told) / n),
        percent(sum(s.forecast.high - s.forecast.low for s in told) / n, ".1f"),
        f"{sum(s.odds for s in told) / n:.2f}",
        f"{sum(s.effect.gain > 0 for s in told) / n:.2f}",
        f"{sum(s.brier for s in told) / n:.3f}",
    ]
