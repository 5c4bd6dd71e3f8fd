"""The race: known changes on every cell against the reference, and who drops out when."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from transfer.arm_table import BASELINE
from transfer.design.race.decision_accuracy import Board, CellAccuracy, ahead, judge
from transfer.design.space.candidate_sizes import Book, Cell, Trial, last_line
from transfer.design.space.grid import overhead_of

FIRST, BATCH = 6, 4
"""Changes of the first batch, and of each later one."""
MOST_CRASHED = 0.25
"""Share of changes that may crash in a cell which is still compared."""
TRAILS = "trails"
DEARER = 1.2
"""A leader that costs at most so many times as much as a cell may take it out by accuracy."""


class CellState(StrEnum):
    """Where a cell stands."""

    OPEN = "open"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True)
class CellStanding:
    """A cell, how far it got and why it is out of the race if it is; ``cause`` is one word."""

    cell: Cell
    price: float
    state: CellState = CellState.OPEN
    cause: str = ""
    why: str = ""
    judged: CellAccuracy | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still in the race."""
        return self.state is CellState.OPEN

    @property
    def accuracy(self) -> float:
        """Decision accuracy as the gates look at it; 0 where it was not measured."""
        return self.judged.gate[0] if self.judged else 0.0

    @property
    def is_faithful(self) -> bool:
        """Whether it is in and clears the gate."""
        return self.is_open and self.judged is not None and self.judged.is_faithful

    def leave(self, cause: str, why: str, *, refused: bool = False) -> "CellStanding":
        """Return the cell as it leaves the race: of what, in a word, and the evidence."""
        state = CellState.REFUSED if refused else CellState.DROPPED
        return replace(self, state=state, cause=cause, why=why)


Standings = dict[str, CellStanding]


class OutOfBudget(Exception):
    """The next batch would cost more than is left; the race stands as it is."""


def race(board: Board, standings: Standings) -> tuple[Standings, int, list[str]]:
    """Run batches of changes on all tiers, the cheapest first, and drop what cannot win.

    Returns
    -------
    tuple
        The standings, how many changes were raced, and a note where the budget ended it.
    """
    n, notes = 0, list[str]()
    try:
        for end in batches(len(board.arms)):
            arms = board.arms[:end]
            run_top(board, arms)
            for tier in board.tiers:
                cells = [standings[c].cell for c in tier if _is_wanted(standings, c, end)]
                run_cells(board, cells, arms)
                moved = {cell.path for cell in cells}
                standings = weigh(board, standings, arms, moved)
            n = end
    except OutOfBudget as stop:
        notes = [f"the budget ends the race after {n} of {len(board.arms)} changes: {stop}"]
        standings = weigh(board, standings, board.arms[: max(n, 3)])
    return standings, n, notes


def batches(n: int) -> list[int]:
    """Return how many changes have been raced after each batch.

    >>> batches(14), batches(12), batches(7), batches(4)
    ([6, 10, 14], [6, 12], [7], [4])
    """
    ends = list(range(FIRST, n - 2, BATCH))
    return [*ends, n] if n > 1 + FIRST else [n]


def _is_wanted(standings: Standings, name: str, n: int) -> bool:
    """Whether a cell runs the next batch: open, and no cheaper one of its path does already."""
    one = standings[name]
    cheaper = (
        s for s in standings.values() if s.cell.path == one.cell.path and s.price < one.price
    )
    return one.is_open and not any(s.is_faithful and _n(s) >= min(n, FIRST) for s in cheaper)


def _n(standing: CellStanding) -> int:
    return standing.judged.n if standing.judged else 0


def run_top(board: Board, arms: Sequence[str]) -> None:
    """Run changes and the baseline at the reference."""
    base = max(board.top_seeds, 2)
    wants = [Trial(board.top, BASELINE, seed) for seed in range(base)]
    wants += [Trial(board.top, arm, seed) for arm in arms for seed in range(board.top_seeds)]
    _run(board, wants)


def run_cells(board: Board, cells: Sequence[Cell], arms: Sequence[str]) -> None:
    """Run the baseline, then changes, in some cells; a cell whose baseline fails gets no more."""
    book = board.book
    _run(board, [Trial(c, BASELINE, s) for c in cells for s in range(board.baseline_seeds)])
    live = [c for c in cells if any(s.value is not None for s in book.of(c.name, BASELINE))]
    live = [c for c in live if not overhead_of(board.form, book, c, _next_up(book, c, board.top))]
    _run(board, [Trial(c, a, s) for s in range(board.seeds) for c in live for a in arms])


def _run(board: Board, wants: Sequence[Trial]) -> None:
    book = board.book
    new = [want for want in wants if want.key not in book.seen and want.key not in book.missing]
    price = sum(book.price_of(w.cell.rung.cost, w.cell.rung.seconds) for w in new)
    if book.spent + price > board.budget:
        raise OutOfBudget(f"{book.spent:.3g} spent, the next {len(new)} trials cost {price:.3g}")
    book.run(new)


def _next_up(book: Book, cell: Cell, top: Cell) -> Cell:
    """Return the next larger cell of a path that was run; the reference if there is none."""
    above = [
        other
        for name, other in book.cells.items()
        if other.path == cell.path and name != cell.name and other.rung.cost > cell.rung.cost
    ]
    return min(above, key=lambda other: other.rung.cost, default=top)


def weigh(
    board: Board,
    standings: Standings,
    arms: Sequence[str],
    paths: Collection[str] | None = None,
) -> Standings:
    """Judge open cells by the changes that have been run, and take out those that cannot win.

    ``paths`` are those with new runs, all if not given.
    """
    judged: dict[str, CellAccuracy] = {}
    every = sorted({one.cell.path for one in standings.values()})
    for path in every if paths is None else sorted(paths):
        cells = [s.cell for s in standings.values() if s.cell.path == path and s.is_open]
        judged |= judge(board, cells, arms)
    found = {}
    for name, one in standings.items():
        known = replace(one, judged=judged.get(name, one.judged)) if one.is_open else one
        found[name] = _weighed(board, known)
    return _behind(found)


def _weighed(board: Board, one: CellStanding) -> CellStanding:
    """Return a cell's standing by its own trials."""
    book = board.book
    base = book.of(one.cell.name, BASELINE)
    if not one.is_open or not base:
        return one
    if all(seen.value is None for seen in base):
        why = next((s.reason for s in base if s.reason), "no reason given")
        return one.leave("crash", f"the baseline leaves no number: {last_line(why)}", refused=True)
    overhead = overhead_of(board.form, book, one.cell, _next_up(book, one.cell, board.top))
    if overhead:
        return one.leave("overhead", overhead, refused=True)
    known = one.judged
    if known is None:
        return one
    if len(known.crashed) > MOST_CRASHED * (known.n + len(known.crashed)):
        few = ", ".join(known.crashed[:3])
        return one.leave("crash", f"{len(known.crashed)} changes crash here: {few}")
    if known.is_noisy:
        return one.leave("noise", noise_words(known))
    if known.is_hopeless:
        value, low, high = known.gate
        why = f"orders {value:.0%} of pairs as the reference does [{low:.0%}, {high:.0%}]"
        return one.leave("accuracy", f"{why}, {known.n} changes")
    return one


def noise_words(known: CellAccuracy) -> str:
    """Say how noise drowns a cell."""
    return (
        f"noise: one run scatters by {known.noise_loss:.2g}, {known.noise_share:.0%} of what tells "
        f"changes apart is noise; {known.seeds} seeds a change do not mend it"
    )


def _behind(standings: Standings) -> Standings:
    """Take out cells that are clearly less accurate than a leader that costs no more."""
    racing = [s for s in standings.values() if s.is_open and s.judged]
    leaders = [s for s in racing if s.is_faithful]
    if not leaders:
        return standings
    leader = max(leaders, key=lambda s: s.accuracy)
    found = dict(standings)
    for one in racing:
        lead = lead_of(leader, one)
        if leader.price <= DEARER * one.price and lead and lead[0] > 0:
            why = f"{TRAILS} {leader.cell.name} in {lead[0]:.0%} to {lead[1]:.0%} of pairs"
            found[one.cell.name] = one.leave("accuracy", why)
    return found


def lead_of(one: CellStanding, other: CellStanding) -> tuple[float, float] | None:
    """Return the 80 % interval by which one cell is more accurate, None if that cannot be said."""
    if one is other or one.judged is None or other.judged is None:
        return None
    return ahead(one.judged, other.judged)
