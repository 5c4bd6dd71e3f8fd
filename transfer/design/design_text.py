"""A design in words: the lines that a terminal shows."""

import math
from collections.abc import Sequence

from transfer.design.chosen_ladder import DesignAnswer, by_price, picked, shrink_line
from transfer.design.race.decision_accuracy import CellAccuracy
from transfer.design.race.race import CellStanding
from transfer.design.race.race_result import NO_LAW, Fate
from transfer.design.race.race_setup import Ask
from transfer.design.run_design import DesignRun
from transfer.ladder import Ladder


def lines(found: DesignRun, said: DesignAnswer | None, ladder: Ladder) -> list[str]:
    """Tell a design from its answer down to what it cost."""
    told = [f"design   {ladder.name}: {shrink_line(found)}"]
    if not found.is_expensive:
        told.append(
            f"         against {found.top.name}, the largest size the budget pays for, not the "
            "expensive form itself"
        )
    told += [f"rules    {rule.words()}" for rule in found.rules]
    told += [f"         {check.words()}" for check in found.checks]
    told += [f"price    {found.prices.seconds.words('seconds')}", "", *_table(found), ""]
    told += [f"path     {v.path}: {v.fate.upper()}{_topic(v.topic, v.fate)}. {v.words}"
             for v in sorted(found.verdicts, key=lambda v: v.fate != Fate.CHOSEN)]  # fmt: skip
    told += _panel_lines(found)
    if said is not None:
        told += _ladder_lines(found, said)
    told += _bill(found)
    return [*told, *[f"note     {note}" for note in found.notes]]


def _topic(topic: str, fate: Fate) -> str:
    return f" by {topic}" if topic and fate is Fate.BROKEN else ""


def _table(found: DesignRun) -> list[str]:
    unit = "s" if found.ask.by_seconds else found.form.cost
    head = (
        f"{'cell':<34}{'price ' + unit:>12}{'n':>4}{'agrees':>8}{'80 %':>14}{'no noise':>10}"
        f"{'keeps':>7}{'noise':>8}{'seeds':>6}{'decision':>10}"
    )
    told = [head]
    for one in by_price(found.standings):
        if one.judged is not None or one.why:
            told.append(_row(one, one is picked(found)))
    told += [
        "agrees   pairs of changes ordered as by the reference; no noise: without the noise of",
        "         both; keeps: slope of gains there on gains here; noise: of one run over the",
        "         spread of effects; seeds: pairs that a decision takes; decision: what they cost",
    ]
    return told


def _row(one: CellStanding, is_chosen: bool) -> str:
    mark = "  ← chosen" if is_chosen else f"  {one.cause}" if one.cause else ""
    known = one.judged
    start = f"{one.cell.name:<34.34}{known.price if known else one.price:>12.4g}"
    if known is None:
        return f"{start}  {one.why}"
    ends = f"[{known.low:.2f}, {known.high:.2f}]"
    clean = f"{known.clean:.2f}" if known.clean is not None else "?"
    keeps = f"{known.persistence:.2f}" if known.persistence is not None else "?"
    noise = known.noise / known.signal if known.signal else 9.99
    return (
        f"{start}{known.n:>4}{known.accuracy:>8.2f}{ends:>14}{clean:>10}{keeps:>7}"
        f"{min(noise, 9.99):>8.2f}{known.seeds:>6}{known.decision_price:>10.3g}{mark}"
    )


def _panel_lines(found: DesignRun) -> list[str]:
    told = [f"panel    {_accuracy(found.inside)}: in the panel"] if found.inside else []
    if found.outside:
        told.append(f"         {_accuracy(found.outside)}: held out of it, never used to choose")
    elif found.ask.holdout:
        told.append("         fewer than three held-out changes could be measured")
    return told


def _accuracy(one: CellAccuracy) -> str:
    return (
        f"accuracy {one.accuracy:.2f} [{min(one.low, one.least):.2f}, {one.high:.2f}] as measured, "
        f"{one.n} changes"
    )


def _ladder_lines(found: DesignRun, said: DesignAnswer) -> list[str]:
    rungs = ", ".join(f"{rung.name} ({rung.seconds:.3g} s)" for rung in said.rungs)
    told = [f"ladder   {rungs} for {found.form.expensive_name}"]
    if len(said.rungs) < 3:
        told.append("         fewer than three rungs fit below the target: accepts are provisional")
    told += [f"matches  {text}" for text in said.matches]
    told += [f"differs  {text}" for text in said.unmatched]
    if found.inside and not found.inside.has_law:
        told.append(f"         {NO_LAW}")
    told.append(
        f"sees     gains of {said.resolves:.1%} of compute and more with power .8, in a night of "
        "8 hours and 40 changes on the lowest rung; smaller ones it cannot see"
    )
    return told


def _bill(found: DesignRun) -> list[str]:
    unit = "s" if found.ask.by_seconds else f" {found.form.cost}"
    return [
        f"spent    {found.spent:.4g}{unit} on {len(found.standings)} cells and the reference "
        f"({found.spent_on_top:.3g} of it); every change on every cell: {found.exhaustive:.3g}, "
        f"{found.spent / found.exhaustive:.0%} of it"
    ]


def bill(ask: Ask, unit: str, parts: Sequence[tuple[str, int, float]]) -> list[str]:
    """Say what a plan costs, part by part: words, trials, price of all of them."""
    told = [f"{'part':<44}{'trials':>8}{'price ' + unit:>14}"]
    told += [f"{words:<44}{n:>8}{price:>14.4g}" for words, n, price in parts]
    n, price = sum(n for _, n, _ in parts), math.fsum(price for _, _, price in parts)
    told.append(f"{'at most':<44}{n:>8}{price:>14.4g}")
    if math.isfinite(ask.budget):
        told.append(f"{'budget':<44}{'':>8}{ask.budget:>14.4g}")
    return told
