"""The ladder a design chose: its rungs, how well each decides, the smallest gain each can see."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from miniscale.setting.rung import Rung
from scaling import compute_multiple
from transfer.audit.agreement import detectable
from transfer.design.race.decision_accuracy import CellAccuracy
from transfer.design.race.knob_rules import are_needed, factors
from transfer.design.race.race import CellStanding
from transfer.design.run_design import DesignRun
from transfer.design.space.candidate_sizes import Cell, rung_of, unmatched
from transfer.design.space.grid import Ways
from transfer.design.space.shrink_dials import DialRole
from transfer.design.space.shrink_rules import Path, epochs

STEEPEST = 6.0
"""Ratio of price between two rungs, at most."""
NIGHT_S, NIGHT_CHANGES = 8 * 3600.0, 40
CLEAR_OF_TARGET = 0.7
"""A rung costs at most this share of the target."""


@dataclass(frozen=True)
class DesignAnswer:
    """The ladder of a design, in the words and numbers that its YAML holds."""

    path: Path
    rungs: tuple[Rung, ...]
    target: float
    matches: tuple[str, ...]
    unmatched: tuple[str, ...]
    resolves: float
    """Smallest gain told from none in a night, as a share of compute."""


def picked(found: DesignRun) -> CellStanding | None:
    """Return the cell that the ladder begins with."""
    return found.chosen or found.smallest


def answer(found: DesignRun, *, measured_only: bool, slots: int = 1) -> DesignAnswer | None:
    """Return the ladder that a design came to; None if no size keeps the signal.

    Parameters
    ----------
    measured_only
        Whether only sizes that were run may be rungs: a table's.
    """
    start = picked(found)
    if start is None or start.judged is None:
        return None
    path = next(p for p in found.paths if p.name == start.cell.path)
    cells = _table_cells(found, start) if measured_only else _path_cells(found, path, start)
    rungs = [_rung(found, path, cell, start, start.judged) for cell in cells]
    target = found.top.rung.cost if found.is_expensive else found.prices.cost(found.form.expensive)
    cost = found.inside.cost if found.inside else rungs[0].cost
    rungs[0] = replace(rungs[0], scale=cost, cost=cost)
    return DesignAnswer(
        path=path,
        rungs=_rising(_named(rungs, target), target),
        target=max(target, rungs[-1].scale),
        matches=tuple(_matches(found, path, start.cell)),
        unmatched=tuple(_unmatched(found, path, start.cell)),
        resolves=night(start.judged, slots),
    )


def _path_cells(found: DesignRun, path: Path, start: CellStanding) -> list[Cell]:
    """Return sizes from the chosen one up its path, evenly by the logarithm of price."""
    ways = Ways.of(found.form, [path])
    first, last = start.price, found.prices(found.form.expensive)
    n = found.ask.rungs
    ratio = min((last * CLEAR_OF_TARGET / first) ** (1 / max(n - 1, 1)), STEEPEST,
                (last / first) ** (1 / n))  # fmt: skip
    sizes = [start.cell.dials]
    for k in range(1, n):
        size = ways.under(path, found.prices, first * ratio**k * 1.02)
        if size and dict(size.dials) not in [dict(known) for known in sizes]:
            sizes.append(size.dials)
    return [
        start.cell if k == 0 else Cell(path.name, dials, replace(
            start.cell.rung, scale=found.prices.cost(dials), cost=found.prices.cost(dials),
            seconds=found.prices.seconds(dials)))
        for k, dials in enumerate(sizes)
    ]  # fmt: skip


def _table_cells(found: DesignRun, start: CellStanding) -> list[Cell]:
    """Return the chosen cell and the dearer ones of its path that were run."""
    mine = [s for s in found.standings.values() if s.cell.path == start.cell.path]
    above = sorted((s for s in mine if s.price > start.price), key=lambda s: s.price)
    return [start.cell, *(s.cell for s in above)]


def _rung(
    found: DesignRun, path: Path, cell: Cell, start: CellStanding, judged: CellAccuracy
) -> Rung:
    """Return a cell as a ladder's rung: seeds by its noise, the knobs' factors by the rules."""
    is_first = cell is start.cell
    seeds = min(max(judged.seeds if is_first else min(judged.seeds, 2), 1), 4)
    rules = factors(found.form, found.rules, cell.dials, uses_rules=path.uses_rules)
    made = rung_of(
        found.form, path, cell.dials, name=cell.name, cost=cell.rung.cost,
        seconds=cell.rung.seconds, rules=rules,
    )  # fmt: skip
    seconds = judged.seconds if is_first else cell.rung.seconds
    return replace(
        made,
        seconds=float(f"{seconds:.3g}"),
        timeout_s=found.form.limits.get("timeout_s") or max(60.0, float(f"{20 * seconds:.2g}")),
        seeds=seeds,
        max_seeds=max(2 * seeds, 4),
        baseline_seeds=max(seeds + 1, 3) if is_first else max(seeds, 2),
        noise=float(f"{judged.noise:.3g}") if is_first else 0.0,
    )


def _named(rungs: list[Rung], target: float) -> list[Rung]:
    """Name rungs by how many times they are cheaper than the target: x36."""
    taken: set[str] = set()
    named = []
    for rung in rungs:
        times = target / rung.cost
        name = f"x{times:.0f}" if times >= 10 else f"x{times:.1f}".replace(".", "_")
        while name in taken:
            name += "b"
        taken.add(name)
        named.append(replace(rung, name=name))
    return named


def _rising(rungs: list[Rung], target: float) -> tuple[Rung, ...]:
    """Return rungs of strictly rising scale, rounded to four digits."""
    found: list[Rung] = []
    for rung in rungs:
        scale = float(f"{rung.scale:.4g}")
        if not found or (scale > found[-1].scale and scale <= target):
            found.append(replace(rung, scale=scale, cost=scale))
    return tuple(found)


def night(judged: CellAccuracy, slots: int) -> float:
    """Return the smallest gain that a night of forty changes tells from none with power .8."""
    seeds = max(1, int(NIGHT_S * slots / (NIGHT_CHANGES * max(judged.seconds, 1e-3))))
    seeds = min(seeds, 64)
    return (
        compute_multiple(detectable(judged.noise, judged.rho, seeds=seeds, baseline_seeds=seeds))
        - 1
    )


def _matches(found: DesignRun, path: Path, cell: Cell) -> list[str]:
    """Say what the ladder keeps as in the expensive form."""
    form = found.form
    off = unmatched(form, path, cell.dials, form.expensive, has_rules=_has_rules(found))
    said = list(form.matches)
    data, pool = form.of(DialRole.DATA), form.of(DialRole.POOL)
    if data and form.of(DialRole.SCALE) and "data a parameter" not in off:
        said.append(f"tokens or examples a parameter ({_names(data)} follow the size)")
    if data and pool and "repetition" not in off:
        most = max(epochs(form, cell.dials), epochs(form, form.expensive))
        how = "as many epochs as the expensive form" if most > 1 else "none is seen twice"
        said.append(f"repetition of data: {how}")
    if not any(topic in off for topic in ("schedule",)) and form.of(DialRole.SCHEDULE):
        said.append("schedule shape: run to its end")
    kept = [d for n, d in form.dials.items() if cell.dials[n] == d.value]
    if kept:
        said.append(f"as in the expensive form: {', '.join(f'{d.name} {d.value:g}' for d in kept)}")
    if path.uses_rules:
        said += [f"rule: {rule.words()}" for rule in found.rules]
    return said


def _unmatched(found: DesignRun, path: Path, cell: Cell) -> list[str]:
    """Say what the ladder lets differ, so that changes which depend on it cannot be judged."""
    form = found.form
    off = unmatched(form, path, cell.dials, form.expensive, has_rules=_has_rules(found))
    said = [f"{topic}: {how}" for topic, how in off.items()]
    for name, dial in form.dials.items():
        if cell.dials[name] != dial.value and dial.role in (DialRole.SCALE, DialRole.FIDELITY):
            said.append(
                f"{name}: {cell.dials[name]:g} on the lowest rung against {dial.value:g}: what "
                f"depends on {dial.about or name} itself cannot be judged here"
            )
    return [*said, *form.unmatched]


def _names(dials: tuple[object, ...]) -> str:
    return ", ".join(str(getattr(dial, "name", dial)) for dial in dials)


def _has_rules(found: DesignRun) -> bool:
    return are_needed(found.form, found.rules)


def shrink_line(found: DesignRun) -> str:
    """Say the shrink factor and how far it can be believed, in a line."""
    one = picked(found)
    if one is None or one.judged is None:
        return "nothing that was tried below the expensive form keeps the signal"
    value, low, high = one.judged.stated
    top = found.top_price
    unit = " s" if found.ask.by_seconds else f" {found.form.cost}"
    goes = f"{_short(top)}{unit} to {_short(one.judged.price)}{unit} a trial"
    times = f"{top / one.judged.price:.0f} times cheaper"
    said = f"{goes} ({times}), accuracy {value:.2f} [{low:.2f}, {high:.2f}]"
    if found.chosen is None:
        limit = f"{_short(found.ask.limit)}{unit}"
        return f"nothing as small as {limit} keeps the signal; the smallest that does: {said}"
    return said


def _short(value: float) -> str:
    return f"{value:.0f}" if 10 <= value < 1e5 else f"{value:.3g}"


def by_price(standings: Mapping[str, CellStanding]) -> list[CellStanding]:
    """Return standings from the cheapest up."""
    return sorted(standings.values(), key=lambda one: one.price)
