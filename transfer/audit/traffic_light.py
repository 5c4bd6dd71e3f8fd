"""Green, amber or red, with the reasons in words and what to change in the ladder."""

import math
from dataclasses import replace

from miniscale.setting.rung import Rung
from miniscale.setting.setting import Kind
from transfer.audit.agreement import planned_se
from transfer.audit.audit_result import Audit, Drifter, RungAudit
from transfer.ladder import Ladder
from transfer.ladder_trust import Light

FEWEST = 8
"""Interventions without which an audit decides nothing."""
GREEN_ACCURACY, GREEN_LOW, RED_ACCURACY = 0.80, 0.70, 0.65
GREEN_SE, RED_SE = 0.02, 0.05
GREEN_MISFIT, RED_MISFIT = 0.005, 0.010

TOPICS = {
    "tokens a parameter": ("token",),
    "repetition of data": ("repetition", "repeat", "epoch", "pass"),
    "schedule shape": ("schedule", "warm", "decay"),
    "learning-rate rule": ("learning rate", "learning-rate", " lr"),
    "batch rule": ("batch",),
    "context length": ("context", "sequence"),
}
"""What a ladder of language models should say that it matches, and the words it is known by."""


def judge(found: Audit, ladder: Ladder) -> Audit:
    """Return the audit with its light, the right lowest rung, reasons and advice.

    The gates apply to the lowest rung: green needs an accuracy of .80, noise removed, with .70 as
    the lower end of its 80 % interval, a planned standard error of .02 nats at most and a misfit of
    .005 at most; red is an accuracy below .65, an error above .05 or a misfit above .010, or
    a rule of the ladder that does not hold. Fewer than eight changes or three rungs are amber.
    """
    rungs = tuple(_lit(rung, found) for rung in found.rungs)
    found = replace(found, rungs=rungs)
    start = next((r.rung for r in rungs[:-1] if clears(r)), "")
    reasons = [*_scope(found), *rungs[0].why, *_common(found)]
    light = _light(found)
    if not reasons:
        reasons = [f"{rungs[0].rung} decides as {found.target} does, and with little noise"]
    return replace(
        found,
        start=start,
        light=light,
        reasons=tuple(reasons),
        advice=tuple(advice(replace(found, start=start, light=light), ladder)),
        notes=(*found.notes, *declared(ladder)),
    )


def gate_accuracy(rung: RungAudit) -> tuple[float | None, float | None]:
    """Return the accuracy that the gates look at, and its lower end: noise removed if can be."""
    if rung.transfer is not None:
        return rung.transfer, rung.transfer_low
    return rung.accuracy, rung.low


def clears(rung: RungAudit) -> bool:
    """Whether decisions may begin on a rung: its accuracy clears the gate, its noise is not red."""
    value, low = gate_accuracy(rung)
    if value is None or low is None or rung.planned_se > RED_SE:
        return False
    return value >= GREEN_ACCURACY and low >= GREEN_LOW


def _lit(rung: RungAudit, found: Audit) -> RungAudit:
    """Return a rung with its own light and why it is not green."""
    why = []
    value, low = gate_accuracy(rung)
    is_red = rung.planned_se > RED_SE
    if rung.planned_se > GREEN_SE:
        why.append(
            f"a comparison on {rung.rung} has a standard error of {rung.planned_se:.1%} of compute "
            f"({rung.seeds} seeds), {RED_SE if is_red else GREEN_SE:.0%} is allowed"
        )
    is_target = rung.rung == found.target
    if value is None or low is None:
        if not is_target:
            why.append(f"{rung.rung} has too few changes in common with {found.target}")
    elif not clears(replace(rung, planned_se=0.0)):
        is_red = is_red or value < RED_ACCURACY
        noted = "noise removed" if rung.transfer is not None else "as measured"
        why.append(
            f"{rung.rung} orders {value:.0%} of pairs as {found.target} does ({noted}, "
            f"at least {low:.0%}); green needs {GREEN_ACCURACY:.0%} and at least {GREEN_LOW:.0%}"
        )
    light = Light.RED if is_red else Light.AMBER if why else Light.GREEN
    return replace(rung, light=light, why=tuple(why))


def _scope(found: Audit) -> list[str]:
    lines = []
    if found.n < FEWEST:
        lines.append(
            f"{found.n} changes on {found.target}: fewer than {FEWEST} decide nothing, so the "
            "defaults of an unaudited ladder stand"
        )
    if len(found.rungs) == 1:
        lines.append("one rung: whether anything transfers cannot be seen, accepts are provisional")
    elif len(found.rungs) == 2:
        lines.append("two rungs: misfit cannot be told from drift, accepts are provisional")
    return lines


def _common(found: Audit) -> list[str]:
    lines = []
    if len(found.rungs) >= 3 and found.misfit > GREEN_MISFIT:
        lines.append(
            f"rungs lie {found.misfit:.1%} of compute off any smooth curve "
            f"({found.misfit_low:.1%} to {found.misfit_high:.1%}); {GREEN_MISFIT:.1%} is allowed"
        )
    lines += [
        f"{drifter.arm} ({drifter.category}) is worth {drifter.first:+.3f} on the lowest rung and "
        f"{drifter.last:+.3f} on the highest: a rule of this ladder does not hold"
        for drifter in broken_rules(found)
    ]
    return lines


def broken_rules(found: Audit) -> list[Drifter]:
    """Return hyper-parameter edits that hurt on the lowest rung and do not higher up.

    A baseline scaled rightly stands at its optimum on every rung, so a step away from it costs
    about the same everywhere; one that costs ever less says that the baseline itself drifts off.
    """
    return [d for d in found.drifters if d.kind == Kind.HYPERPARAMETER and d.first < 0]


def _light(found: Audit) -> Light:
    lowest = found.rungs[0]
    is_red = lowest.planned_se > RED_SE
    if found.n < FEWEST or len(found.rungs) < 2:
        return Light.RED if is_red else Light.AMBER
    if lowest.light is Light.RED or broken_rules(found):
        return Light.RED
    if len(found.rungs) < 3:
        return Light.AMBER
    if found.misfit > RED_MISFIT:
        return Light.RED
    if lowest.light is Light.AMBER or found.misfit > GREEN_MISFIT:
        return Light.AMBER
    return Light.GREEN


def advice(found: Audit, ladder: Ladder) -> list[str]:
    """Say what to change in the ladder, one line each."""
    lines = [_seeds(rung, ladder) for rung in found.rungs if rung.planned_se > GREEN_SE]
    lowest = found.rungs[0].rung
    if found.start and found.start != lowest:
        lines.append(f"begin at {found.start}: decisions on the rungs below it do not hold")
    if not found.start and len(found.rungs) > 1 and found.n >= FEWEST:
        lines.append(
            "no rung decides well enough: match tokens a parameter, repetition, schedule and the "
            "rules for rates and batch on all rungs, then audit again"
        )
    for drifter in broken_rules(found):
        claims = [text for text in ladder.matches if _speaks_of(text, drifter.category)]
        claim = f"; the ladder says it matches '{claims[0]}'" if claims else ""
        lines.append(
            f"scale the {drifter.category} so that {drifter.arm} costs the same everywhere{claim}"
        )
    if found.n < FEWEST:
        lines.append(f"add known changes to the panel: {FEWEST} at least, 12 to 16 to be sure")
    if len(found.rungs) < 3:
        lines.append("add rungs: three at least, over 15x of compute")
    if len(found.rungs) >= 3 and found.misfit > GREEN_MISFIT:
        lines.append("look at what is tuned on one rung alone: rates, batch, warm-up in steps")
    return [line for line in lines if line]


def _seeds(rung: RungAudit, ladder: Ladder) -> str:
    """Say how many seeds bring a rung's comparison under the gate."""
    plan: Rung = ladder.rung(rung.rung)
    for seeds in range(plan.seeds + 1, 17):
        base = max(plan.baseline_seeds, seeds)
        if planned_se(rung.noise, rung.rho, seeds=seeds, baseline_seeds=base) <= GREEN_SE:
            return f"{rung.rung}: {seeds} seeds a change (and {base} of the baseline) would do"
    ratio = math.ceil((rung.planned_se / GREEN_SE) ** 2)
    return f"{rung.rung}: its noise would take {ratio}x the seeds; a larger rung is cheaper"


def _speaks_of(text: str, category: str) -> bool:
    return any(word in text.lower() for word in category.lower().split() if len(word) > 3)


def declared(ladder: Ladder) -> list[str]:
    """Return notes on what a ladder does not say of how its rungs match the target."""
    if not ladder.matches and not ladder.unmatched:
        return [
            f"ladder {ladder.name} declares neither what its rungs match nor what they do not; "
            "add 'matches' and 'unmatched' to its file"
        ]
    text = " ".join((*ladder.matches, *ladder.unmatched)).lower()
    if "token" not in text:
        return []
    silent = [topic for topic, words in TOPICS.items() if not any(word in text for word in words)]
    return (
        [f"the ladder does not say whether its rungs match: {', '.join(silent)}"] if silent else []
    )
