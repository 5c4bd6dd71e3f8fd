"""Result of a race: the cheapest size that decides as the reference, and a verdict by path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from transfer.design.race.decision_accuracy import Board
from transfer.design.race.race import (
    TRAILS,
    CellStanding,
    OutOfBudget,
    Standings,
    lead_of,
    run_cells,
    weigh,
)
from transfer.design.space.candidate_sizes import unmatched
from transfer.design.space.grid import OVER
from transfer.design.space.shrink_rules import Path

DOUBLES = 2.0
"""assumption: each thing left unmatched must pay for itself by halving the price of a decision;
what is unmatched may matter for changes that no panel holds."""
NO_LAW = (
    "but the loss does not fall along it, so that no law turns a gain into compute; cheaper trials "
    "of one size, no ladder"
)
PATHS_ABOVE = 2
"""Paths that are tried at dearer sizes where nothing at the price allowed is faithful."""


class Fate(StrEnum):
    """What a design says of a path."""

    CHOSEN = "chosen"
    FAITHFUL = "faithful"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """A path's fate, the topic that is to blame where it is broken, and the words for it."""

    path: str
    fate: Fate
    topic: str
    words: str
    best: str = ""
    """Its cell with the best accuracy."""
    unmatched: Mapping[str, str] | None = None


def mismatches(
    board: Board, paths: Mapping[str, Path], one: CellStanding, *, has_rules: bool
) -> dict[str, str]:
    """Say what a cell does not match of the reference, where some knob needs a rule or none."""
    path, reference = paths[one.cell.path], board.top.dials
    return unmatched(board.form, path, one.cell.dials, reference, has_rules=has_rules)


def best_of(
    standings: Standings, counts: Mapping[str, int], limit: float, n: int
) -> CellStanding | None:
    """Return the cell to decide on: the cheapest decision among those as accurate as any.

    Only faithful cells at the price allowed that ran all changes count; one is as accurate as the
    best if its accuracy is not clearly lower on the same changes. Each mismatch counts as if a
    decision cost twice as much.

    Parameters
    ----------
    standings
        Cells by name.
    counts
        Cell -> number of things it does not match of the reference.
    limit
        Price of a trial that is allowed.
    n
        Changes that were raced.
    """
    able = [
        s for s in standings.values()
        if s.is_faithful and s.price <= OVER * limit and s.judged and s.judged.n >= 0.75 * n
    ]  # fmt: skip
    able = [s for s in able if s.judged and s.judged.has_law] or able
    if not able:
        return None
    top = max(able, key=lambda s: s.accuracy)
    leads = {one.cell.name: lead_of(top, one) for one in able}
    kept = [one for one in able if not (lead := leads[one.cell.name]) or lead[0] <= 0]

    def price(one: CellStanding) -> float:
        own = one.judged.decision_price if one.judged else one.price
        return own * DOUBLES ** counts[one.cell.name]

    return min(kept, key=price)


def look_above(
    board: Board, standings: Standings, counts: Mapping[str, int], limit: float
) -> tuple[Standings, CellStanding | None]:
    """Try sizes above the price allowed, cheapest first, until one is faithful.

    Only the most promising paths are tried; ``counts`` says of each cell how many things it does
    not match of the reference.
    """

    def promise(path: str) -> tuple[int, float]:
        known = [s for s in standings.values() if s.cell.path == path]
        best = max((s.accuracy for s in known), default=0.0)
        return min(counts[s.cell.name] for s in known), -best

    above = [s for s in standings.values() if s.price > OVER * limit]
    order = sorted({s.cell.path for s in above}, key=promise)[:PATHS_ABOVE]
    for one in sorted(above, key=lambda s: s.price):
        if one.cell.path not in order:
            continue
        try:
            run_cells(board, [one.cell], board.arms)
        except OutOfBudget:
            break
        standings = weigh(board, standings, board.arms)
        known = standings[one.cell.name]
        if known.is_faithful and known.judged and known.judged.has_law:
            return standings, standings[one.cell.name]
    return standings, None


TOPICS: Mapping[str, tuple[str, ...]] = {
    "repetition": ("regular", "dropout", "augment", "repeti", "epoch", "decay", "data"),
    "data a parameter": ("capacity", "size", "width", "token", "mlp", "batch", "data"),
    "schedule": ("schedule", "warm", "anneal", "final", "average", "decay"),
    "optimizer rules": ("rate", "lr", "optim", "batch", "momentum"),
}
"""Words in a category of change that a topic is known to move."""


def verdicts(
    paths: Sequence[Path],
    board: Board,
    standings: Standings,
    chosen: CellStanding | None,
    *,
    has_rules: bool,
    limit: float,
    stuck: Mapping[str, str],
) -> list[Verdict]:
    """Say of each path what became of it and why.

    ``stuck`` says of paths that reach no price as low as is allowed what holds them up.
    """
    by_name = {path.name: path for path in paths}
    told: dict[str, dict[str, str]] = {}
    for one in sorted(standings.values(), key=lambda s: s.judged is not None):
        told[one.cell.path] = mismatches(board, by_name, one, has_rules=has_rules)
    sound = [
        s.cell.path for s in standings.values()
        if (s.is_faithful and s.price <= OVER * limit) or s is chosen
    ]  # fmt: skip
    found = []
    for path in paths:
        mine = [s for s in standings.values() if s.cell.path == path.name]
        if path.name in stuck and not any(s.judged for s in mine):
            is_held = stuck[path.name].startswith("overhead")
            fate, topic = (Fate.BROKEN, "overhead") if is_held else (Fate.SKIPPED, "price")
            found.append(Verdict(path.name, fate, topic, stuck[path.name]))
        elif mine:
            verdict = _verdict(path, mine, told, sound, chosen, limit)
            found.append(replace(verdict, unmatched=told.get(path.name, {})))
    return found


def _verdict(
    path: Path,
    mine: Sequence[CellStanding],
    told: Mapping[str, Mapping[str, str]],
    sound: Sequence[str],
    chosen: CellStanding | None,
    limit: float,
) -> Verdict:
    judged = [s for s in mine if s.judged]
    best = max(judged, key=lambda s: s.accuracy, default=mine[-1])
    if chosen is not None and chosen.cell.path == path.name:
        return Verdict(path.name, Fate.CHOSEN, "", _accuracy_words(chosen), chosen.cell.name)
    faithful = [s for s in mine if s.is_faithful and s.price <= OVER * limit]
    if faithful:
        best_one = faithful[0]
        words = f"{_accuracy_words(best_one)}; a decision is dearer, or more is unmatched"
        if best_one.judged and not best_one.judged.has_law:
            words = f"{_accuracy_words(best_one)}; {NO_LAW}"
        return Verdict(path.name, Fate.FAITHFUL, "", words, faithful[0].cell.name)
    if best.is_faithful and best.judged and not best.judged.has_law:
        words = f"{_accuracy_words(best)}; {NO_LAW}"
        return Verdict(path.name, Fate.FAITHFUL, "", words, best.cell.name)
    topic, words = reason(path.name, mine, best, told, sound)
    fate = Fate.BROKEN if topic != "undecided" else Fate.UNDECIDED
    return Verdict(path.name, fate, topic, words, best.cell.name)


def reason(
    path: str,
    mine: Sequence[CellStanding],
    best: CellStanding,
    told: Mapping[str, Mapping[str, str]],
    sound: Sequence[str],
) -> tuple[str, str]:
    """Name why a path is broken, and the evidence.

    What its cells died of if that is overhead, noise or crashes; else what it does not match,
    beginning with what a faithful path does match, then with what moves the contrary changes.
    """
    largest = max(mine, key=lambda s: s.price)
    if all(s.cause in ("overhead", "crash") for s in mine):
        return largest.cause, largest.why
    ran = [s for s in mine if s.judged]
    if ran and all(s.cause == "noise" for s in ran):
        return "noise", ran[-1].why
    mismatched = dict(told.get(path, {}))
    shown = _accuracy_words(best)
    if best.judged is None:
        return "undecided", f"not raced to an end: {best.why or 'the race ended before'}"
    for other in sound:
        alone = [t for t in mismatched if t not in told.get(other, {})]
        if len(alone) == 1:
            return alone[0], (
                f"{shown}; does not match {alone[0]} ({mismatched[alone[0]]}), which alone "
                f"parts it from {other}{_contrary(best)}"
            )
    if mismatched:
        topic = max(mismatched, key=lambda t: _moved(t, best.judged.odd if best.judged else {}))
        rest = [t for t in mismatched if t != topic]
        more = f", nor {' and '.join(rest)}" if rest else ""
        why = f"does not match {topic} ({mismatched[topic]}){more}"
        return topic, f"{shown}; {why}{_contrary(best)}"
    if best.state == "dropped" and best.cause == "accuracy":
        return "unknown", f"{shown}, though its dials match all they can{_contrary(best)}"
    return "undecided", f"{shown}: more changes would tell"


def _moved(topic: str, odd: Mapping[str, float]) -> float:
    """Return how contrary the changes are that a topic is known to move."""
    words = TOPICS.get(topic, (topic,))
    return max((s for c, s in odd.items() if any(w in c.lower() for w in words)), default=0.0)


def _contrary(one: CellStanding) -> str:
    """Say which changes disagree most with the reference."""
    odd = one.judged.odd if one.judged else {}
    few = [
        f"{category} ({share:.0%} of its pairs)" for category, share in odd.items() if share > 0.3
    ]
    return f"; most contrary: {', '.join(few[:2])}" if few else ""


def _accuracy_words(one: CellStanding) -> str:
    if one.judged is None:
        return one.why or "not measured"
    value, low, high = one.judged.stated
    trails = f", {one.why}" if one.why.startswith(TRAILS) else ""
    return (
        f"{one.cell.name} orders {value:.0%} of pairs as the reference does [{low:.0%}, {high:.0%}]"
        f"{trails}"
    )
