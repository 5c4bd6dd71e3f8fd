"""What a design lays out before its race: the request, the reference, rules in use, the cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from miniscale.setting.decode import InputError
from transfer.design.race.decision_accuracy import Board
from transfer.design.race.knob_rules import FittedRule, factors
from transfer.design.race.race import CellStanding, Standings
from transfer.design.space.candidate_sizes import Book, Cell, last_line
from transfer.design.space.grid import MOSTLY_OVERHEAD, OVER, Prices, Ways, cell_of, tiers
from transfer.design.space.shrink_dials import Shrinkable
from transfer.design.space.shrink_rules import CellSize, Path, size_at
from transfer.ladder import Ladder

STAND_IN_SHARE = 0.6
"""Of the budget, at most, for the reference's trials."""
REFERENCE = Path("reference", {}, about="the expensive form, or the largest size affordable")


@dataclass(frozen=True)
class Ask:
    """What is asked for: what a trial of the lowest rung may cost, and how to go about it.

    limit, by_seconds
        Price of a trial allowed, in seconds or in the setting's cost.
    budget
        What the design may spend, in the same.
    sizes, ratio
        Tiers of price at and below the limit, and how far they lie apart.
    checks_rules
        Whether knobs with rules are swept at the reference too, after the race.
    holdout
        Changes kept out of the race, to be judged by what it chose.
    """

    limit: float
    by_seconds: bool
    budget: float = float("inf")
    seeds: int = 2
    top_seeds: int = 1
    sizes: int = 3
    ratio: float = 4.0
    rungs: int = 3
    paths: tuple[str, ...] = ()
    holdout: tuple[str, ...] = ()
    checks_rules: bool = False

    @property
    def unit(self) -> str:
        """What prices are counted in."""
        return "s" if self.by_seconds else "cost"


def check_prices(book: Book, form: Shrinkable, prices: Prices, ask: Ask) -> None:
    """Refuse what the probes show to be impossible.

    Parameters
    ----------
    book
        Trials seen so far.
    form
        The expensive form: its dials and what may shrink.
    prices
        What a size costs and takes.
    ask
        What was asked for.

    Raises
    ------
    InputError
        If no baseline left a number, or the expensive form is as cheap as a trial may be.
    """
    if not any(s.value is not None for s in book.seen.values()):
        why = next((s.reason for s in book.seen.values() if s.reason), "no run of it in the table")
        raise InputError(
            f"design: no size that was probed leaves a number ({last_line(why)}); mend the "
            "setting, or raise the dials' 'low'"
        )
    whole = prices(form.expensive)
    if whole <= 2 * ask.limit:
        raise InputError(
            f"design: the expensive form costs about {whole:.3g} {ask.unit} a trial and a trial may"
            f" cost {ask.limit:.3g}: nothing to shrink; lower trial.{_key(ask)} or raise the dials'"
            " 'value'"
        )


def _key(ask: Ask) -> str:
    return "seconds" if ask.by_seconds else "compute"


def with_rules(ways: Ways, rules: Sequence[FittedRule]) -> tuple[Ways, list[str]]:
    """Drop paths that differ from another only by not using rules of which none is needed."""
    if any(rule.is_needed for rule in rules) or ways.form.built_in:
        return ways, []
    kept: list[Path] = []
    notes = []
    why = "no knob needs a rule" if rules else "no rule was fitted"
    for path in ways.paths:
        twin = next((p.name for p in kept if (p.shrink, p.knobs) == (path.shrink, path.knobs)), "")
        if twin:
            notes.append(f"path {path.name} is skipped: {why}, so it is {twin}")
        else:
            kept.append(path)
    return replace(ways, paths=tuple(kept)), notes


def reference(
    form: Shrinkable, paths: Sequence[Path], prices: Prices, ask: Ask, n_changes: int
) -> tuple[Cell, bool]:
    """Return the cell that plays the target: the expensive form, or the largest affordable size.

    Parameters
    ----------
    form
        The expensive form: its dials and what may shrink.
    paths
        Ways to shrink; the first is that of a stand-in.
    prices
        What a size costs and takes.
    ask
        What was asked for.
    n_changes
        Number of changes in the panel.

    Raises
    ------
    InputError
        If the budget does not pay for a reference of at least four times the price of a trial.
    """
    n = n_changes * ask.top_seeds + 2
    most = STAND_IN_SHARE * ask.budget / n
    whole = replace(REFERENCE, shrink=paths[0].shrink, uses_rules=True)
    dials, is_expensive = form.expensive, True
    if prices(dials) > most:
        is_expensive = False
        size = _largest(whole, form, prices, most)
        if size is None or prices(size.dials) < ask.ratio * ask.limit:
            raise InputError(
                f"design: the reference needs {n} trials of at least {ask.ratio * ask.limit:.3g} "
                f"{ask.unit} and the budget of {ask.budget:.3g} pays {most:.3g} each; raise the "
                f"budget to {ask.ratio * ask.limit * n / STAND_IN_SHARE:.3g} {ask.unit}, lower "
                f"trial.{_key(ask)}, or give fewer changes"
            )
        dials = dict(size.dials)
    cell = cell_of(form, REFERENCE, dials, prices)
    name = form.expensive_name if is_expensive else cell.name
    return replace(cell, rung=replace(cell.rung, name=name)), is_expensive


def _largest(path: Path, form: Shrinkable, prices: Prices, most: float) -> CellSize | None:
    for k in range(1, 400):
        size = size_at(path, form, 0.98**k)
        if size is None:
            return None
        if prices(size.dials) <= most:
            return size
    return None


def lay_out(
    book: Book,
    ladder: Ladder,
    ways: Ways,
    prices: Prices,
    rules: Sequence[FittedRule],
    top: Cell,
    arms: tuple[str, ...],
    ask: Ask,
) -> tuple[Board, Standings]:
    """Lay out the cells of the race, the cheapest tier first.

    Parameters
    ----------
    prices
        What a size costs and takes.
    rules
        Of optimizer knobs, applied on the paths that use them.
    top
        The reference.
    arms
        Changes by name, in the order of the race.
    """
    top_price, form = prices(top.dials), ways.form
    there = tiers(ways, prices, limit=ask.limit, top=top_price, ratio=ask.ratio, n=ask.sizes)
    standings: Standings = {}
    for _, here in there:
        for path, size in here:
            used = factors(form, rules, size.dials, uses_rules=path.uses_rules)
            cell = cell_of(form, path, size.dials, prices, used)
            one = CellStanding(cell, prices(size.dials))
            share = prices.seconds.overhead(size.dials)
            if share > MOSTLY_OVERHEAD and ask.by_seconds:
                why = f"overhead: {share:.0%} of its {one.price:.2g} s do not fall with size"
                one = one.leave("overhead", why, refused=True)
            standings[cell.name] = one
    names = [
        tuple(s for path, size in here for s in standings
              if standings[s].cell.path == path.name and standings[s].cell.dials == size.dials)
        for amount, here in there if amount <= OVER * ask.limit
    ]  # fmt: skip
    board = Board(book, ladder, form, top, tuple(names), arms, ask.seeds, ask.top_seeds,
                  budget=ask.budget)  # fmt: skip
    return board, standings


def exhaustive(standings: Standings, board: Board, top_price: float) -> float:
    """Return what it would cost to try every change on every cell of the grid and the reference."""
    each = len(board.arms) * board.seeds + board.baseline_seeds
    cells = sum(s.judged.price if s.judged else s.price for s in standings.values())
    return each * cells + (len(board.arms) * board.top_seeds + 2) * top_price
