"""The plan of a design and its bill, before anything is spent."""

from collections.abc import Mapping, Sequence

from transfer.change import Change
from transfer.design.design_text import bill
from transfer.design.race.race_setup import Ask, reference
from transfer.design.run_design import check_panel
from transfer.design.space.candidate_sizes import Book, Seen, Trial
from transfer.design.space.grid import OVER, Prices, Ways, learn_prices, tiers
from transfer.design.space.shrink_dials import Shrinkable
from transfer.design.space.shrink_rules import Path, among
from transfer.ladder import Ladder


class Nothing:
    """A lab that runs nothing."""

    def run(self, trials: Sequence[Trial], changes: Mapping[str, Change]) -> list[Seen | None]:
        """Return nothing of any trial."""
        return [None for _ in trials]


def guessed(form: Shrinkable, ask: Ask) -> tuple[Prices, bool]:
    """Return prices by nominal work alone, and whether the expensive form's price is known.

    Where it is not, prices are taken as if it cost a hundred times what a trial may.
    """
    book = Book(Nothing(), {}, ask.by_seconds)
    is_known = form.seconds is not None if ask.by_seconds else form.cost in form.dials
    if form.cost in form.dials and not ask.by_seconds:
        return learn_prices(book, form), True
    whole = form.seconds if is_known else 100 * ask.limit
    priced = Shrinkable(**{**form.__dict__, "seconds": whole})
    return learn_prices(book, priced), is_known


def plan(
    ladder: Ladder,
    form: Shrinkable,
    paths: Mapping[str, Path],
    changes: Mapping[str, Change],
    ask: Ask,
) -> list[str]:
    """Say what would be run, on which cells, and what it costs at most.

    Raises
    ------
    InputError
        Where the design itself would refuse.
    """
    arms = [name for name in changes if name not in ask.holdout]
    check_panel(arms, ladder.setting.name)
    kept, notes = among(paths, form, only=ask.paths, knobs=ladder.setting.knobs)
    ways = Ways.of(form, kept)
    prices, is_known = guessed(form, ask)
    unit = "s" if ask.by_seconds else form.cost
    top, is_expensive = reference(form, kept, prices, ask, len(arms))
    price = prices(top.dials)
    there = tiers(ways, prices, limit=ask.limit, top=price, ratio=ask.ratio, n=ask.sizes)
    allowed = [(path, size) for amount, here in there if amount <= OVER * ask.limit
               for path, size in here]  # fmt: skip
    each = len(arms) * ask.seeds + 3
    sweeps = 2 * len(form.rules) * 4 * ask.seeds
    said = "" if is_expensive else " (the largest the budget pays for)"
    told = [
        f"design   {ladder.setting.name}: {len(arms)} changes, {len(allowed)} cells on "
        f"{len(kept)} paths, reference {top.name}{said}",
        *([] if is_known else ["price    of the expensive form unknown: taken as 100 times what a "
                               "trial may cost, until probes tell"]),
    ]  # fmt: skip
    for path, size in allowed:
        shown = ", ".join(f"{name} {value:g}" for name, value in size.dials.items())
        told.append(f"cell     {path.name:<22}{prices(size.dials):>10.3g} {unit}   {shown}")
    n_top = len(arms) * ask.top_seeds + 2
    parts = [
        ("probes", 2 * len(kept) + 3, (2 * len(kept) + 3) * ask.limit / 2),
        (f"rules: {', '.join(form.rules) or 'none'}", sweeps, sweeps * ask.limit / 2),
        (f"the panel at {top.name}", n_top, n_top * price),
        ("the panel on all cells; most drop out", each * len(allowed),
         each * sum(prices(size.dials) for _, size in allowed)),
    ]  # fmt: skip
    parts += _extras(form, ask, top.name, price)
    told += bill(ask, unit, parts)
    return [*told, *[f"note     {note}" for note in notes]]


def _extras(form: Shrinkable, ask: Ask, top: str, price: float) -> list[tuple[str, int, float]]:
    """Return what is run after the race, if it is asked for."""
    found = []
    if ask.checks_rules:
        n = 4 * len(form.rules) * ask.top_seeds
        found.append((f"rules checked at {top}", n, n * price))
    if ask.holdout:
        n = len(ask.holdout)
        found.append(("held-out changes", n * 3, n * (price + 2 * ask.limit)))
    return found
