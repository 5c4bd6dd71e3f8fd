"""Which cells a design looks at: probes for prices, then sizes in tiers of the price allowed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transfer.arm_table import BASELINE
from transfer.design.space.candidate_sizes import Book, Cell, Trial, last_line, rung_of
from transfer.design.space.price import FLAT, Law, Priced, elasticity, exactly, fit_price, work
from transfer.design.space.shrink_dials import Shrinkable
from transfer.design.space.shrink_rules import CellSize, Path, sizes

OVER = 1.15
"""A cell may cost this many times what was asked for: prices scatter."""
PROBE_STEP = 6.0
"""Ratio of nominal work between probes of unknown price."""
MOSTLY_OVERHEAD = 0.67
STUCK = 3.0
"""A smallest size that costs so many times its share of the work is held up by overhead."""


@dataclass(frozen=True)
class Prices:
    """Laws of seconds and of the setting's cost over the dials, and the one that is asked for."""

    seconds: Law
    cost: Law
    by_seconds: bool

    def __call__(self, dials: Mapping[str, float]) -> float:
        """Return the price of a trial of a size."""
        return (self.seconds if self.by_seconds else self.cost)(dials)


@dataclass(frozen=True)
class Ways:
    """The paths that a setting can take, each with all its sizes from the largest down."""

    form: Shrinkable
    paths: tuple[Path, ...]
    sizes: Mapping[str, tuple[CellSize, ...]]

    @staticmethod
    def of(form: Shrinkable, paths: Sequence[Path]) -> "Ways":
        """Return the ways of some paths."""
        return Ways(form, tuple(paths), {path.name: tuple(sizes(path, form)) for path in paths})

    def under(self, path: Path, prices: Prices, amount: float) -> CellSize | None:
        """Return a path's largest size of at most this price; None if none is so cheap."""
        return next((s for s in self.sizes[path.name] if prices(s.dials) <= amount), None)

    def stuck(self, path: Path, prices: Prices, limit: float) -> str:
        """Say why a path reaches no price as low as the limit; empty if it does."""
        if self.under(path, prices, OVER * limit) is not None:
            return ""
        least, whole = self.sizes[path.name][-1].dials, prices(self.form.expensive)
        share, price = work(self.form, least), prices(least)
        if price > STUCK * share * whole:
            return (
                f"overhead: its smallest size does {share:.1%} of the expensive form's work for "
                f"{price / whole:.0%} of its price"
            )
        return f"its dials go no lower than {price / whole:.0%} of the expensive form's price"


def cell_of(
    form: Shrinkable,
    path: Path,
    dials: Mapping[str, float],
    prices: Prices | None,
    rules: Mapping[str, float] | None = None,
) -> Cell:
    """Return the cell of a size, named by its path and how often its work goes into a target's.

    Parameters
    ----------
    form
        The expensive form: its dials and what may shrink.
    path
        The way to shrink.
    dials
        Value of each dial.
    prices
        What a size costs and takes.
    rules
        Factor on each knob; none if not given.
    """
    share = work(form, dials)
    name = f"{path.name}_{1 / share:.4g}" + _suffix(path, rules)
    seconds = prices.seconds(dials) if prices else (form.seconds or 60.0) * share
    rung = rung_of(
        form,
        path,
        dials,
        name=name,
        cost=prices.cost(dials) if prices else share,
        seconds=seconds,
        rules=rules or {},
    )
    return Cell(path.name, dict(dials), replace(rung, seconds=seconds))


def _suffix(path: Path, rules: Mapping[str, float] | None) -> str:
    return "" if not rules else "_ruled" if path.uses_rules else "_unruled"


def learn_prices(book: Book, form: Shrinkable) -> Prices:
    """Fit the laws of price to all baseline trials seen, and the expensive form's if stated."""
    seconds, cost = [], []
    for name, cell in book.cells.items():
        for seen in book.of(name, BASELINE):
            if seen.value is not None and seen.seconds > 0:
                seconds.append(Priced(cell.dials, seen.seconds))
            if seen.value is not None and seen.cost > 0:
                cost.append(Priced(cell.dials, seen.cost))
    if form.seconds and not any(one.dials == form.expensive for one in seconds):
        seconds.append(Priced(form.expensive, form.seconds))
    told = seconds or cost or [Priced(form.expensive, 1.0)]
    timed = fit_price(form, told, has_floor=True)
    if form.cost in form.dials:
        own = exactly(form, form.cost)
    elif form.cost == "seconds":
        own = timed
    else:
        own = fit_price(form, cost or told, has_floor=False)
    return Prices(timed, own, book.by_seconds)


def probe(book: Book, ways: Ways, limit: float) -> tuple[Prices, list[str]]:
    """Run baselines until every path's size at the price allowed has been priced.

    The first path's smallest size comes first, then sizes of six times the work each, until a
    trial costs a third of what is allowed; then one cell of every path, twice corrected.
    """
    notes = []
    form, first = ways.form, ways.paths[0]
    for size in _schedule(ways.sizes[first.name], form):
        cell = cell_of(form, first, size.dials, None)
        book.run([Trial(cell, BASELINE, 0)])
        done = [seen for seen in book.of(cell.name, BASELINE) if seen.value is not None]
        if not done:
            why = next((s.reason for s in book.of(cell.name)), "no run of it in the table")
            notes.append(f"{cell.name}: the baseline leaves no number ({last_line(why)})")
        elif book.price_of(done[0].cost, done[0].seconds) > limit / 3:
            break
    if not any(seen.value is not None for seen in book.seen.values()):
        return _unpriced(form, book), notes
    prices = learn_prices(book, form)
    for _ in range(2):
        sized = [(path, ways.under(path, prices, limit)) for path in ways.paths]
        # a path that seems to be dear all over is priced at its smallest size
        cells = [
            cell_of(form, path, (size or ways.sizes[path.name][-1]).dials, prices)
            for path, size in sized
        ]
        book.run([Trial(cell, BASELINE, 0) for cell in cells])
        prices = learn_prices(book, form)
    return prices, notes


def _unpriced(form: Shrinkable, book: Book) -> Prices:
    law = fit_price(form, [Priced(form.expensive, form.seconds or 1.0)], has_floor=False)
    return Prices(law, law, book.by_seconds)


def _schedule(there: Sequence[CellSize], form: Shrinkable) -> list[CellSize]:
    """Return sizes from the smallest up, each of at least six times the work of the last."""
    found: list[CellSize] = []
    for size in reversed(there):
        if not found or work(form, size.dials) >= PROBE_STEP * work(form, found[-1].dials):
            found.append(size)
    return found


def tiers(
    ways: Ways, prices: Prices, *, limit: float, top: float, ratio: float, n: int
) -> list[tuple[float, list[tuple[Path, CellSize]]]]:
    """Return amounts from the cheapest tier up with each path's size there.

    ``n`` tiers at and below what a trial may cost, a ``ratio`` apart, then as many above it as
    stay clear of the reference's price. A path has no size in a tier that its dials step over.

    Parameters
    ----------
    ways
        Paths with their sizes.
    prices
        What a size costs and takes.
    limit
        Price of a trial that is allowed.
    top
        Price of the reference.
    ratio
        Price of a tier over the next lower.
    n
        Number of tiers.
    """
    amounts = [limit / ratio**k for k in range(n - 1, -1, -1)]
    while amounts[-1] * ratio <= 0.6 * top:
        amounts.append(amounts[-1] * ratio)
    found = []
    taken: set[tuple[str, tuple[float, ...]]] = set()
    for amount in amounts:
        here = []
        for path in ways.paths:
            size = ways.under(path, prices, amount)
            key = (path.name, tuple(size.dials.values()) if size else ())
            if size and key not in taken and prices(size.dials) > amount / ratio:
                taken.add(key)
                here.append((path, size))
        found.append((amount, here))
    return found


def overhead_of(form: Shrinkable, book: Book, cell: Cell, larger: Cell) -> str:
    """Say that a cell costs hardly less than a larger one on its path; empty if it does not.

    Parameters
    ----------
    form
        The expensive form: its dials and what may shrink.
    book
        Trials seen so far.
    cell
        The cell in question.
    larger
        The next larger that was run.
    """
    small, large = (_seen_price(book, one) for one in (cell, larger))
    if small is None or large is None:
        return ""
    found = elasticity(form, Priced(cell.dials, small), Priced(larger.dials, large))
    if found is None or found >= FLAT:
        return ""
    share = work(form, cell.dials) / work(form, larger.dials)
    return (
        f"overhead: {share:.0%} of the work of {larger.name} takes {small / large:.0%} of its price"
    )


def _seen_price(book: Book, cell: Cell) -> float | None:
    done = [s for s in book.of(cell.name, BASELINE) if s.value is not None]
    if not done:
        return None
    return math.fsum(book.price_of(s.cost, s.seconds) for s in done) / len(done)
