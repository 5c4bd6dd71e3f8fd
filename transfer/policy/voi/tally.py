"""What readings ask of all standings of a study, kept up as one after another changes."""

from itertools import compress, count
from operator import is_not

from miniscale.setting.setting import Kind
from transfer.events import Judged, Outcome
from transfer.policy.protocol import Scene, Standing

ACCEPTED = (Outcome.CERTIFIED, Outcome.PROVISIONAL)
Place = tuple[str, str]
"""(baseline, rung)."""


class Tally:
    """Single changes sorted by what is asked of them; follows the scenes of one study.

    It says what a walk over all standings would find, in the order of the standings. A scene that
    does not go on from the last one is read from its start.
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._numbers = count(1)
        self._clear()

    def _clear(self) -> None:
        self._arms: list[str] = []
        self._standings: list[Standing] = []
        self.n_singles = 0
        self._by_base: dict[str, dict[int, Standing]] = {}
        self._on: dict[Place, dict[int, Standing]] = {}
        self._accepted: dict[int, Judged] = {}
        self._teaching: list[tuple[Kind, Judged]] = []
        self._taught = 0
        self._stamps: dict[object, int] = {}

    def follow(self, scene: Scene) -> None:
        """Take in what changed since the last scene."""
        if scene is self._scene:
            return
        self._scene = scene
        arms, now = list(scene.standings), list(scene.standings.values())
        known = len(self._arms)
        changed = list(compress(range(known), map(is_not, self._standings, now)))
        is_same = arms[:known] == self._arms
        if not is_same or any(_is_other(self._standings[n], now[n]) for n in changed):
            self._clear()
            known, changed = 0, []
        for place in changed:
            before, self._standings[place] = self._standings[place], now[place]
            self._take(place, now[place], before)
        for place in range(known, len(now)):
            self._standings.append(now[place])
            self._take(place, now[place], None)
        self._arms = arms

    def _take(self, place: int, now: Standing, before: Standing | None) -> None:
        if now.change.members:
            return
        self.n_singles += before is None
        self._by_base.setdefault(now.base, {})[place] = now
        self._put_on_rungs(place, now, before)
        if now.change.knobs:
            self._renew("knobs")
        verdict, earlier = now.verdict, None if before is None else before.verdict
        if verdict is earlier:
            return
        if place < self._taught:
            self._teaching, self._taught = [], 0
            self._renew("taught")
        self._accepted.pop(place, None)
        if verdict is not None and verdict.outcome in ACCEPTED:
            self._accepted[place] = verdict
        self._renew("accepted")

    def _put_on_rungs(self, place: int, now: Standing, before: Standing | None) -> None:
        effects = () if before is None else before.effects
        is_new = effects != now.effects
        here = {effect.rung for effect in now.effects}
        for rung in here | {effect.rung for effect in effects}:
            there = self._on.setdefault((now.base, rung), {})
            if rung in here:
                there[place] = now
            else:
                del there[place]
            if is_new:
                self._renew((now.base, rung))

    # -- what is asked ---------------------------------------------------------------------

    def stamp(self, what: object) -> int:
        """Return a number that is another one whenever something became other than it was.

        Of a baseline's changes on a rung by (baseline, rung), of changes with "knobs", of
        "accepted" ones, of the verdicts that have "taught" so far.
        """
        if what not in self._stamps:
            self._renew(what)
        return self._stamps[what]

    def _renew(self, what: object) -> None:
        self._stamps[what] = next(self._numbers)

    def on_base(self, base: str) -> list[Standing]:
        """Return the changes measured on a baseline."""
        return list(self._by_base.get(base, {}).values())

    def on_rung(self, base: str, rung: str) -> list[Standing]:
        """Return those of them with an effect on a rung."""
        there = self._on.get((base, rung), {})
        return [there[place] for place in sorted(there)]

    def accepted(self) -> list[Judged]:
        """Return the verdicts of accepted changes."""
        return [self._accepted[place] for place in sorted(self._accepted)]

    def teaching(self) -> list[tuple[Kind, Judged]]:
        """Return kinds and verdicts of changes with effects, twins left out.

        Up to the first change without a verdict, so that resuming a study changes nothing.
        """
        for standing in self._standings[self._taught :]:
            is_none = bool(standing.change.members) or standing.change.is_twin
            if standing.verdict is None and not is_none:
                break
            self._taught += 1
            if not is_none and standing.verdict is not None and standing.verdict.effects:
                self._teaching.append((standing.change.kind, standing.verdict))
        return self._teaching


def _is_other(before: Standing, now: Standing) -> bool:
    """Whether a standing is of another change than the one in its place was."""
    return before.base != now.base or before.change != now.change
