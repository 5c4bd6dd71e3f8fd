"""A design from end to end: probe, prices, rules, race, choice, held-out changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from miniscale.setting.decode import InputError
from transfer.arm_table import BASELINE
from transfer.change import Change
from transfer.design.lab.runs_from_table import TableLab
from transfer.design.race.decision_accuracy import Board, CellAccuracy, judge
from transfer.design.race.knob_rules import Check, FittedRule, Sweeper, are_needed
from transfer.design.race.race import CellStanding, Standings, race, run_cells, run_top
from transfer.design.race.race_result import Verdict, best_of, look_above, mismatches, verdicts
from transfer.design.race.race_setup import (
    Ask,
    check_prices,
    exhaustive,
    lay_out,
    reference,
    with_rules,
)
from transfer.design.space.candidate_sizes import Book, Cell, Lab, Trial
from transfer.design.space.grid import (
    OVER,
    Prices,
    Ways,
    cell_of,
    learn_prices,
    probe,
    tiers,
)
from transfer.design.space.shrink_dials import Shrinkable
from transfer.design.space.shrink_rules import Path, among
from transfer.ladder import Ladder

FEWEST = 8
"""Changes without which nothing is decided; the audit's own number."""
FEWEST_HELD = 3
"""Held-out changes without which an accuracy says nothing."""


@dataclass(frozen=True)
class DesignRun:
    """All that a design found out, before it is written down."""

    form: Shrinkable
    ask: Ask
    paths: tuple[Path, ...]
    prices: Prices
    rules: tuple[FittedRule, ...]
    top: Cell
    top_price: float
    is_expensive: bool
    """Whether the reference is the expensive form itself."""
    standings: Standings
    chosen: CellStanding | None
    smallest: CellStanding | None
    """The cheapest faithful cell above the price, where none at it is faithful."""
    verdicts: tuple[Verdict, ...]
    inside: CellAccuracy | None
    outside: CellAccuracy | None
    n: int
    spent: float
    exhaustive: float
    spent_on_top: float
    notes: tuple[str, ...] = field(default_factory=tuple)
    checks: tuple[Check, ...] = ()
    """Of rules against a sweep at the reference, where one was asked for."""


Say = Callable[[str], None]


def design(
    ladder: Ladder,
    form: Shrinkable,
    paths: Mapping[str, Path],
    changes: Mapping[str, Change],
    lab: Lab,
    ask: Ask,
    *,
    say: Say = lambda words: None,
    table: TableLab | None = None,
) -> DesignRun:
    """Find the cheapest cell that decides as the expensive form does.

    Parameters
    ----------
    ladder
        Carries the setting and a name; its rungs are not looked at.
    changes
        The panel by name, in the order of the race, held-out changes included.
    table
        The lab again where it is a table: cells and reference are those that it holds.

    Raises
    ------
    InputError
        If the request cannot be met at all.
    """
    book = Book(lab, dict(changes), ask.by_seconds)
    arms = tuple(name for name in changes if name not in ask.holdout)
    check_panel(arms, ladder.setting.name)
    kept, notes = _ways_left(ladder, form, paths, ask)
    if table is not None:
        return _of_table(book, ladder, form, kept, arms, ask, notes, say, table)
    say("probing what sizes cost")
    ways = Ways.of(form, kept)
    prices, said = probe(book, ways, ask.limit)
    notes += said
    check_prices(book, form, prices, ask)
    sweeper = _sweeper(book, ladder, form, ask, _swept_cells(ways, prices, ask))
    say(_sweep_words(form, sweeper))
    rules = sweeper.rules()
    ways, said = with_rules(ways, rules)
    notes += said
    top, is_expensive = reference(form, ways.paths, prices, ask, len(arms))
    board, standings = lay_out(book, ladder, ways, prices, rules, top, arms, ask)
    say(f"racing {len(arms)} changes on {len(standings)} cells against {top.name}")
    standings, n = _raced(board, standings, notes)
    checks = sweeper.checks(rules, top) if ask.checks_rules else ()
    found = _conclude(board, ways, rules, standings, n, ask, is_expensive, notes, say)
    return replace(found, checks=checks)


def _ways_left(
    ladder: Ladder, form: Shrinkable, paths: Mapping[str, Path], ask: Ask
) -> tuple[list[Path], list[str]]:
    kept, notes = among(paths, form, only=ask.paths, knobs=ladder.setting.knobs)
    if not kept:
        raise InputError(f"design of {ladder.setting.name}: no path is left; {'; '.join(notes)}")
    return kept, notes


def _of_table(
    book: Book,
    ladder: Ladder,
    form: Shrinkable,
    paths: Sequence[Path],
    arms: tuple[str, ...],
    ask: Ask,
    notes: list[str],
    say: Say,
    table: TableLab,
) -> DesignRun:
    """Design from runs made elsewhere: its cells are the table's, and nothing is run."""
    cells, top, said = table.cells(paths)
    notes += said
    book.run([Trial(c, BASELINE, seed) for c in (*cells, top) for seed in range(ask.seeds)])
    standings = {cell.name: CellStanding(cell, _mean_price(book, cell)) for cell in cells}
    if not standings:
        raise InputError(
            f"{table.name}: no run on any path; it needs sizes below the expensive form"
        )
    book.run([Trial(top, arm, seed) for arm in arms for seed in range(ask.top_seeds)])
    arms = tuple(a for a in arms if any(s.value is not None for s in book.of(top.name, a)))
    check_panel(arms, f"{ladder.setting.name}, as {table.name} has it at {top.name}")
    names = sorted(standings, key=lambda name: standings[name].price)
    low = [name for name in names if standings[name].price <= OVER * ask.limit]
    tiers_ = tuple((name,) for name in low)
    board = Board(
        book, ladder, form, top, tiers_, arms, ask.seeds, ask.top_seeds, baseline_seeds=ask.seeds
    )
    users = [p for p in paths if p.uses_rules and not p.knobs]
    swept = [c for c in cells if table.factors() and users and c.path == users[0].name]
    sweeper = _sweeper(book, ladder, form, ask, swept, table.factors())
    rules = sweeper.rules()
    say(f"comparing {len(arms)} changes on {len(low)} cells with {top.name}")
    standings, n = _raced(board, standings, notes)
    ways = Ways.of(form, [p for p in paths if any(c.path == p.name for c in cells)])
    found = _conclude(board, ways, rules, standings, n, ask, True, notes, say)
    return replace(found, checks=sweeper.checks(rules, top))


def _sweeper(
    book: Book,
    ladder: Ladder,
    form: Shrinkable,
    ask: Ask,
    cells: Sequence[Cell],
    tried: Mapping[str, Sequence[float]] | None = None,
) -> Sweeper:
    defaults = {name: float(ladder.setting.knobs[name].default) for name in form.rules}
    sign = 1.0 if ladder.setting.objective.is_minimized else -1.0
    return Sweeper(book, form, tuple(cells), defaults, ask.seeds, sign, ask.top_seeds, tried or {})


def check_panel(arms: Sequence[str], name: str) -> None:
    """Refuse a panel of too few changes.

    Raises
    ------
    InputError
        With the number and what to add.
    """
    if len(arms) < FEWEST:
        raise InputError(
            f"panel of {name}: {len(arms)} changes to race, fewer than {FEWEST} decide nothing; "
            "add known changes of all kinds (12 to 16), half of them expected to hurt"
        )


def _sweep_words(form: Shrinkable, sweeper: Sweeper) -> str:
    knobs = ", ".join(form.rules)
    if knobs and not sweeper.cells:
        return f"no size at this price can be swept: {knobs} stays as it is"
    return f"sweeping {knobs or 'no knob'} on {len(sweeper.cells)} sizes"


def _swept_cells(ways: Ways, prices: Prices, ask: Ask) -> list[Cell]:
    """Return two sizes, as far apart as may be, on the first path that uses rules."""
    users = [path for path in ways.paths if path.uses_rules]
    form = ways.form
    if not form.rules or not users:
        return []
    first = replace(ways, paths=tuple(users[:1]))
    there = [here for _, here in tiers(first, prices, limit=ask.limit, top=0.0,
                                       ratio=ask.ratio, n=ask.sizes)]  # fmt: skip
    cells = [cell_of(form, path, size.dials, prices) for here in there for path, size in here]
    return list({c.name: c for c in (*cells[:1], *cells[-1:])}.values())


def _raced(board: Board, standings: Standings, notes: list[str]) -> tuple[Standings, int]:
    """Race, adding to the notes; refuse a metric that is the same everywhere.

    Raises
    ------
    InputError
        With the value.
    """
    standings, n, said = race(board, standings)
    notes += said
    values = {seen.value for seen in board.book.seen.values() if seen.value is not None}
    if len(values) == 1:
        raise InputError(
            f"design: {board.ladder.setting.objective.name} is {values.pop():g} in every one of "
            f"{len(board.book.seen)} trials: a metric that does not move decides nothing; check "
            "how it is read"
        )
    return standings, n


def _conclude(
    board: Board,
    ways: Ways,
    rules: tuple[FittedRule, ...],
    standings: Standings,
    n: int,
    ask: Ask,
    is_expensive: bool,
    notes: list[str],
    say: Say,
) -> DesignRun:
    """Choose, search above the price if need be, try held-out changes, judge every path."""
    book, form, paths, has_rules = board.book, ways.form, ways.paths, are_needed(ways.form, rules)
    by_name = {path.name: path for path in paths}
    counts = {
        name: len(mismatches(board, by_name, one, has_rules=has_rules))
        for name, one in standings.items()
    }
    chosen = best_of(standings, counts, ask.limit, n)
    smallest = None
    if chosen is None and n:
        say("nothing at this price keeps the signal: looking at dearer sizes")
        standings, smallest = look_above(board, standings, counts, ask.limit)
    picked, prices = chosen or smallest, learn_prices(book, form)
    stuck = {path.name: ways.stuck(path, prices, ask.limit) for path in paths}
    outside = _held_out(board, picked, ask, say) if picked else None
    return DesignRun(
        form=form,
        ask=ask,
        paths=paths,
        prices=prices,
        rules=rules,
        top=_as_measured(book, board.top),
        top_price=_mean_price(book, board.top),
        is_expensive=is_expensive,
        standings=standings,
        chosen=chosen,
        smallest=smallest,
        verdicts=tuple(verdicts(paths, board, standings, picked,
                                has_rules=has_rules, limit=ask.limit,
                                stuck={n: w for n, w in stuck.items() if w})),
        inside=picked.judged if picked else None,
        outside=outside,
        n=n,
        spent=book.spent,
        exhaustive=exhaustive(standings, board, _mean_price(book, board.top)),
        spent_on_top=sum(book.price_of(s.cost, s.seconds) for s in book.of(board.top.name)),
        notes=tuple(notes),
    )  # fmt: skip


def _held_out(board: Board, picked: CellStanding, ask: Ask, say: Say) -> CellAccuracy | None:
    """Judge the chosen cell by changes that had no part in choosing it."""
    if len(ask.holdout) < FEWEST_HELD:
        return None
    say(f"trying {len(ask.holdout)} held-out changes on {picked.cell.name}")
    free = replace(board, budget=float("inf"))
    run_top(free, ask.holdout)
    run_cells(free, [picked.cell], ask.holdout)
    return judge(board, [picked.cell], ask.holdout).get(picked.cell.name)


def _as_measured(book: Book, cell: Cell) -> Cell:
    """Return a cell whose rung costs and takes what its baseline did, instead of a forecast."""
    seen = [s for s in book.of(cell.name, BASELINE) if s.value is not None]
    if not seen:
        return cell
    cost, seconds = (
        sum(x) / len(seen) for x in zip(*((s.cost, s.seconds) for s in seen), strict=True)
    )
    return replace(cell, rung=replace(cell.rung, cost=cost, scale=cost, seconds=seconds))


def _mean_price(book: Book, cell: Cell) -> float:
    rung = _as_measured(book, cell).rung
    return book.price_of(rung.cost, rung.seconds)
